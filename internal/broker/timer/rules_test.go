// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package timer

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/skew"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

// fixed is a service that only rewrites, at 1,000,500 ms.
func fixed(precision int64) *Service {
	return &Service{precision: precision, absolute: skew.Begin(0), cfg: Config{MaxDelay: 100 * time.Second}, clock: skew.Clock{Wall: func() int64 { return 1_000_500 }, Elapsed: func() time.Duration { return 0 }}}
}

func text(s string) []byte {
	return []byte(strings.NewReplacer("=", "\x01", " ", "\x02").Replace(s))
}

func TestRewrite(t *testing.T) {
	for _, c := range []struct{ props, want, problem string }{
		{"KEYS=k", "", ""},
		{"TIMER_DELIVER_MS=1000500", "", ""}, // now
		{"TIMER_DELIVER_MS=-5", "", ""},
		{"TIMER_DELAY_MS=-5", "", ""},
		{"TIMER_DELIVER_MS=1000501 KEYS=k", "TIMER_DELIVER_MS=1000501 KEYS=k TIMER_OUT_MS=1000000 REAL_TOPIC=T REAL_QID=7", ""},
		{"TIMER_DELIVER_MS=1001000", "TIMER_DELIVER_MS=1001000 TIMER_OUT_MS=1000000 REAL_TOPIC=T REAL_QID=7", ""}, // Java: a whole second is one less
		{"TIMER_DELIVER_MS=1001001", "TIMER_DELIVER_MS=1001001 TIMER_OUT_MS=1001000 REAL_TOPIC=T REAL_QID=7", ""},
		{"TIMER_DELAY_MS=499", "TIMER_DELAY_MS=499 TIMER_OUT_MS=1000000 REAL_TOPIC=T REAL_QID=7", ""},
		{"TIMER_DELAY_SEC=2", "TIMER_DELAY_SEC=2 TIMER_OUT_MS=1002000 REAL_TOPIC=T REAL_QID=7", ""},
		{"TIMER_DELIVER_MS=1 TIMER_DELAY_MS=0 TIMER_DELAY_SEC=2", "TIMER_DELIVER_MS=1 TIMER_DELAY_MS=0 TIMER_DELAY_SEC=2 TIMER_OUT_MS=1002000 REAL_TOPIC=T REAL_QID=7", ""},
		{"REAL_TOPIC=x TIMER_DELAY_SEC=2 REAL_QID=1", "TIMER_DELAY_SEC=2 TIMER_OUT_MS=1002000 REAL_TOPIC=T REAL_QID=7", ""},
		{"TIMER_OUT_MS=1 TIMER_DELAY_SEC=2", "", ""}, // it has been through the wheel
		{"TIMER_DELAY_SEC=100", "TIMER_DELAY_SEC=100 TIMER_OUT_MS=1100000 REAL_TOPIC=T REAL_QID=7", ""},
		{"TIMER_DELAY_MS=100001", "", "100001 ms is longer"},
		{"TIMER_DELAY_SEC=9223372036854775807", "", "longer"},
		{"TIMER_DELAY_SEC=99999999999999999999999", "", "longer"},
		{"TIMER_DELIVER_MS=9223372036854775807", "", "longer"},
		{"TIMER_DELAY_SEC=-99999999999999999999999", "", ""},
		{"TIMER_DELAY_SEC=1.5", "", `"1.5" is no number`},
		{"TIMER_DELIVER_MS=5 TIMER_DEL_UNIQKEY=T+u", "", "recalled"},
		{"TIMER_DELAY_SEC=2 X=" + strings.Repeat("x", message.MaxPropertiesLength-200), "", "at most"},
	} {
		s := fixed(1000)
		_, out, ok, err := s.Rewrite("T", 7, text(c.props), []byte("scratch"))
		want := "scratch" + string(text(c.want))
		if string(out) != want || ok != (c.want != "") || (err != nil) != (c.problem != "") {
			t.Errorf("%.80q: %q, %t, %v", c.props, out, ok, err)
		}
		if err != nil && (!errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), c.problem)) {
			t.Errorf("%.80q: %v", c.props, err)
		}
	}
	props, scratch := text("TIMER_DELIVER_MS=1000501 KEYS=k"), make([]byte, 0, 500)
	s := fixed(1000)
	if n := testing.AllocsPerRun(100, func() { _, _, _, _ = s.Rewrite("T", 7, props, scratch) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if _, out, ok, err := s.RewriteTaken("T", 7, text("TIMER_DELAY_SEC=1000"), nil); !ok || err != nil {
		t.Errorf("taken: %q, %t, %v", out, ok, err)
	}
}

func FuzzRewrite(f *testing.F) {
	f.Add(text("TIMER_DELIVER_MS=1000501 KEYS=k"))
	f.Add(text("TIMER_DELAY_SEC=2 WAIT=false TIMER_DELAY_MS=x"))
	f.Fuzz(func(t *testing.T, props []byte) {
		s := fixed(1000)
		_, out, ok, err := s.Rewrite("T", 1, props, []byte("x"))
		if !ok {
			if string(out) != "x" {
				t.Fatalf("%q", out)
			}
			return
		}
		want := message.ParseProperties(props)
		got := message.ParseProperties(out[1:])
		want["REAL_TOPIC"], want["REAL_QID"], want["TIMER_OUT_MS"] = "T", "1", got["TIMER_OUT_MS"]
		rec := message.Record{Properties: out[1:], StoreTimestamp: 1_000_500}
		at, _ := s.exact(&rec)
		if out := number(&rec, message.PropertyTimerOut); err != nil || !maps.Equal(got, want) || at <= 1_000_500 || out >= at || at > out+1000 {
			t.Fatalf("%q becomes %q for %d, %v", props, rec.Properties, at, err)
		}
		if _, _, again, err := s.Rewrite("T", 1, out[1:], nil); again || err != nil {
			t.Fatalf("%q waits again, %v", out, err)
		}
	})
}

// The window gives what a sorted list would, whatever its size.
func TestWindow(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 3))
		size := 1 + rng.IntN(8)
		var all []item // what stands in the slot
		var w window
		load := func(after item) {
			w.items, w.more = w.items[:0], false
			for i := len(all) - 1; i >= 0; i-- {
				if after.before(all[i]) {
					w.gather(all[i], size)
				}
			}
			w.settle(size)
		}
		now := int64(0)
		add := func() {
			it := item{now + 1 + rng.Int64N(50), int64(len(all))}
			all = append(all, it)
			w.push(it, size)
		}
		for range rng.IntN(60) {
			all = append(all, item{1 + rng.Int64N(50), int64(len(all))})
		}
		load(item{-1, -1})
		var got []item
		for {
			if rng.IntN(3) == 0 && len(all) < 100 {
				add()
				continue
			}
			if len(w.items) == 0 {
				if !w.more {
					break
				}
				load(w.limit)
				continue
			}
			if len(w.items) > 2*size {
				t.Fatalf("%d in memory, of %d", len(w.items), size)
			}
			it := w.pop()
			now = it.due
			got = append(got, it)
		}
		want := slices.Clone(all)
		slices.SortFunc(want, compareItems)
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d: %v, want %v", seed, got, want)
		}
	}
}

// A disk that is full, or can't be read for a while, delays and loses nothing;
// damaged records are skipped.
func TestTroubledDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := vfs.NewMem()
		r := start(t, m, func(c *store.Config, _ *Config) { c.CommitLogFileSize = 8192 })
		for i := range 60 {
			r.in(fmt.Sprint(i), 1000+int64(i))
		}
		synctest.Wait()
		var full, deaf atomic.Bool
		var errs atomic.Int64
		m.Fail(func(op vfs.Op, name string) error {
			switch {
			case full.Load() && (op == vfs.OpPreallocate || op == vfs.OpWrite && strings.Contains(name, "timer")):
				errs.Add(1)
				return syscall.ENOSPC
			case deaf.Load() && op == vfs.OpRead && strings.Contains(name, "timer"):
				errs.Add(1)
				return syscall.EIO
			}
			return nil
		})
		full.Store(true)
		after(5 * time.Minute)
		full.Store(false)
		deaf.Store(true)
		after(time.Minute)
		deaf.Store(false)
		after(time.Minute)
		if n := len(r.bodies()); n != 60 || errs.Load() == 0 || r.svc.Skipped() != 0 {
			t.Errorf("%d of 60 delivered, %d errors, %d skipped", n, errs.Load(), r.svc.Skipped())
		}
		r.close()
	})
}

// A process that has no file descriptors left, or no memory, for minutes loses
// nothing by that: its messages are sound.
func TestTooManyOpenFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := vfs.NewMem()
		r := start(t, m)
		var none atomic.Bool
		var errs atomic.Int64
		m.Fail(func(op vfs.Op, name string) error {
			if none.Load() && op == vfs.OpRead && strings.Contains(name, "/commitlog/") {
				errs.Add(1)
				return syscall.EMFILE
			}
			return nil
		})
		for i := range 10 {
			r.in(fmt.Sprint(i), 1000)
		}
		after(500 * time.Millisecond)
		none.Store(true)
		after(10 * time.Minute)
		none.Store(false)
		after(time.Minute)
		if n := len(r.bodies()); n != 10 || r.svc.Skipped() != 0 || errs.Load() < 30 {
			t.Errorf("%d of 10 delivered, %d skipped, %d errors", n, r.svc.Skipped(), errs.Load())
		}
		r.close()
	})
}

func TestImpossibleTargets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, vfs.NewMem())
		for _, topic := range []string{message.TopicTimer, message.TopicSchedule, message.TopicHalf, "no topic!"} {
			r.mustSend(topic, 0, timed("x", message.PropertyTimerDelayMillis, 500))
		}
		r.mustSend("A", -1, timed("x", message.PropertyTimerDelayMillis, 500))
		r.mustSend("rmq_sys_REVIVE_LOG_c", 3, timed("ck", message.PropertyTimerDelayMillis, 500))
		r.mustSend(message.RetryTopic("g"), 0, timed("retry", message.PropertyTimerDelayMillis, 500))
		after(2 * time.Second)
		if n := r.svc.Skipped(); n != 5 {
			t.Errorf("%d skipped", n)
		}
		if a, b := r.records("rmq_sys_REVIVE_LOG_c", 3), r.records(message.RetryTopic("g"), 0); len(a) != 1 || len(b) != 1 {
			t.Errorf("%d, %d", len(a), len(b))
		}
		r.close()
	})
}
