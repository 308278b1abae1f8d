// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/message"
)

func timerLoad(t Target) TimerLoad {
	return TimerLoad{
		Load:  Load{Targets: []Target{t}, Topic: "T", Conns: 2, Inflight: 3, Size: 10, Rate: 500, Warmup: time.Hour, Duration: 100 * time.Millisecond},
		Delay: time.Hour, Linger: time.Minute,
	}
}

// TestTimersEarly has a broker deliver each message as soon as it is stored: at
// once, however its time was asked for.
func TestTimersEarly(t *testing.T) {
	for want, set := range map[string]func(*TimerLoad){
		`\x02TIMER_DELIVER_MS\x01\d{13}$`:  func(*TimerLoad) {},
		`\x02TIMER_DELIVER_MS\x01\d{12}\d`: func(l *TimerLoad) { l.Burst, l.Encoding = true, wire.Binary },
		`\x02TIMER_DELAY_MS\x013600000$`:   func(l *TimerLoad) { l.Relative, l.Rate = true, 0 },
		`\x02DELAY\x0117$`:                 func(l *TimerLoad) { l.Level = 17 },
	} {
		f := &fakeTopics{}
		l := timerLoad(f.start(t))
		set(&l)
		res, err := Timers(t.Context(), l)
		if err != nil {
			t.Fatal(err)
		}
		if res.Asked < 1 || res.Asked != int64(f.sends) || res.Received != res.Asked || res.Early != res.Asked || res.Earliest < 59*time.Minute || res.Earliest > time.Hour+2*time.Second || res.Lateness.TotalCount() != 0 {
			t.Errorf("%s: %+v of %d", want, res, f.sends)
		}
		if err := res.Err(); err == nil || !strings.Contains(err.Error(), "before their time") || strings.Contains(err.Error(), "twice") {
			t.Errorf("%v", err)
		}
		if !regexp.MustCompile(want).MatchString(f.properties) {
			t.Errorf("properties %q, want %s", f.properties, want)
		}
	}
}

// TestTimersLostAndTwice has some messages lost, and some given twice.
func TestTimersLostAndTwice(t *testing.T) {
	f := &fakeTopics{times: func(i int) int { return []int{0, 2, 1, 1}[i%4] }}
	l := timerLoad(f.start(t))
	l.Delay, l.Linger = time.Millisecond, 100*time.Millisecond
	res, err := Timers(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	n := int64(f.sends)
	if lost, twice := (n+3)/4, (n+2)/4; res.Asked != n || res.Received != n-lost || res.Duplicated != twice {
		t.Errorf("%d sent, %d received, %d twice, %d should be lost", n, res.Received, res.Duplicated, lost)
	}
	for _, want := range []string{"were delivered twice", "were not delivered"} {
		if err := res.Err(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// TestTimersLateness receives at times of the test's choosing.
func TestTimersLateness(t *testing.T) {
	r := &timersRun{load: &TimerLoad{Burst: true}, id: 0xFFFF, burst: 1_700_000_000_000, res: TimerResult{Lateness: newHistogram()}}
	r.sends = []*timedSends{{run: r}, {run: r, conn: 1}}
	at := time.UnixMilli(r.burst)
	for _, late := range []time.Duration{0, 5 * time.Millisecond, -time.Nanosecond, 3 * time.Minute} {
		key, millis := r.sends[1].next()
		r.receive(key, time.UnixMilli(millis).Add(late))
	}
	if r.res.Received != 4 || r.res.Early != 1 || r.res.Earliest != 1 || r.res.Latest != 3*time.Minute || r.res.Lateness.TotalCount() != 3 || r.first != at || r.last != at.Add(3*time.Minute+3*time.Millisecond) {
		t.Errorf("%+v, from %v to %v", r.res, r.first, r.last)
	}
	if p := time.Duration(r.res.Lateness.ValueAtQuantile(50)); p < 4990*time.Microsecond || p > 5010*time.Microsecond {
		t.Errorf("median %v", p)
	}
	if n, last := r.sent(); n != 4 || last != r.burst+3 {
		t.Errorf("%d sent, the last for %d", n, last)
	}
	r.receive(0xFFFF_0001_00000002, at)
	r.receive(0xFFFF_0001_00000004, at) // was not sent
	r.receive(0xFFFF_0002_00000000, at)
	r.receive(0xFFFE_0001_00000000, at)
	if r.res.Received != 4 || r.res.Duplicated != 1 {
		t.Errorf("%+v", r.res)
	}
	res := TimerResult{Received: 1000, Delivering: 2 * time.Second, ServerCPU: 3 * time.Millisecond}
	if res.OutPerSecond() != 500 || res.ServerMicros() != 3 {
		t.Errorf("%g out a second, %g us", res.OutPerSecond(), res.ServerMicros())
	}
}

func TestKeyOf(t *testing.T) {
	for props, want := range map[string]uint64{
		sendProperties: 0, "UNIQ_KEY\x01" + keyPrefix + "FFFF000200000003\x02A\x01b": 0xFFFF_0002_00000003,
	} {
		if got, ok := keyOf(&message.Record{Properties: []byte(props)}); !ok || got != want {
			t.Errorf("%q: %x, %v", props, got, ok)
		}
	}
	for _, props := range []string{"", "UNIQ_KEY\x01" + keyPrefix + "00", "UNIQ_KEY\x01" + keyPrefix + "000000000000000x", "UNIQ_KEY\x010000000000000000FFFF000200000003"} {
		if got, ok := keyOf(&message.Record{Properties: []byte(props)}); ok {
			t.Errorf("%q: %x", props, got)
		}
	}
}

func TestTimersRefuses(t *testing.T) {
	for name, spoil := range map[string]func(*TimerLoad){
		"no broker":        func(l *TimerLoad) { l.Targets = nil },
		"topics":           func(l *TimerLoad) { l.Topics = 2 },
		"connections":      func(l *TimerLoad) { l.Conns = 1<<16 + 1 },
		"at once":          func(l *TimerLoad) { l.Delay = 0 },
		"part of a ms":     func(l *TimerLoad) { l.Delay = 1500 * time.Microsecond },
		"burst by a delay": func(l *TimerLoad) { l.Burst, l.Relative = true, true },
		"burst by a level": func(l *TimerLoad) { l.Burst, l.Level = true, 1 },
		"filling":          func(l *TimerLoad) { l.Fill = true },
	} {
		l := timerLoad(Target{Addr: "127.0.0.1:1", Queues: 1})
		spoil(&l)
		if _, err := Timers(t.Context(), l); err == nil || strings.Contains(err.Error(), "refused") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
