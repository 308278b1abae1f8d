// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/message"
)

func deadlineLoad(b *fakeBroker) DeadlineLoad {
	return DeadlineLoad{Load: txLoad(b).Load, Pending: 200, Deadline: 40 * time.Second, Spread: 2 * time.Second}
}

// TestDeadlinesEarly has a broker check each half message as soon as it is stored.
func TestDeadlinesEarly(t *testing.T) {
	b := &fakeBroker{}
	b.onStored = func(h *fakeHalf, _ *remoting.Conn) { b.ask(h, b.anyone()) }
	b.start(t)
	res, err := Deadlines(t.Context(), deadlineLoad(b))
	if err != nil {
		t.Fatal(err)
	}
	if res.Checked != 200 || res.Early != 200 || res.Earliest < 30*time.Second || res.Earliest > 42*time.Second || res.Lateness.TotalCount() != 0 || res.Duplicated != 0 {
		t.Errorf("%+v", res)
	}
	if err := res.Err(); err == nil || !strings.Contains(err.Error(), "200 checks came before their deadline") {
		t.Errorf("%v", err)
	}
	sent, _, rolledBack, open, _ := b.outcomes()
	if sent != 200 || rolledBack != 200 || open != 0 {
		t.Errorf("the broker has %d, %d rolled back, %d open", sent, rolledBack, open)
	}
	immunities := map[int]int{}
	for _, h := range b.halves {
		v, _ := message.Property([]byte(h.props), message.PropertyCheckImmunityInSeconds)
		n, _ := strconv.Atoi(string(v))
		immunities[n]++
	}
	if len(immunities) != 3 || immunities[40] != 67 || immunities[41] != 67 || immunities[42] != 66 {
		t.Errorf("deadlines %v", immunities)
	}
}

func TestDeadlinesDuplicated(t *testing.T) {
	b := &fakeBroker{endCode: wire.IllegalOperation}
	b.onStored = func(h *fakeHalf, from *remoting.Conn) { b.ask(h, from) }
	b.onDecided = func(h *fakeHalf, from *remoting.Conn) {
		if h.decided == 1 {
			b.ask(h, from)
		}
	}
	b.start(t)
	res, err := Deadlines(t.Context(), deadlineLoad(b))
	if err != nil {
		t.Fatal(err)
	}
	if res.Duplicated == 0 || res.Checked != 200 || res.Refused < 200 {
		t.Errorf("%+v", res)
	}
	for _, want := range []string{"decided by a check before", "604"} {
		if err := res.Err(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v", err)
		}
	}
}

// TestLateness asks at times of the test's choosing.
func TestLateness(t *testing.T) {
	r := &deadlineRun{load: &DeadlineLoad{Deadline: 10 * time.Second, Spread: time.Second}, id: 5, start: time.Now(), step: 2, pending: make([]pendingHalf, 4)}
	w := &deadlineWorker{run: r, link: &link{}, sent: make([]int64, 1), half: newHistogram(), late: newHistogram()}
	for i, after := range []time.Duration{ // sent at 1 s, deadlines 10 s and 11 s in turn
		11*time.Second + 5*time.Millisecond, 12*time.Second - 1, 11 * time.Second, 12*time.Second + 3*time.Minute,
	} {
		r.pending[i].sent.Store(int64(time.Second))
		if err := w.asked(&txCheck{key: txKey{5, uint64(i)}, ours: true}, r.start.Add(after)); err != nil {
			t.Fatal(err)
		}
	}
	if w.early != 1 || w.earliest != 1 || w.latest != 3*time.Minute || w.late.TotalCount() != 3 || r.checked.Load() != 4 {
		t.Errorf("%+v", w)
	}
	if p := time.Duration(w.late.ValueAtQuantile(50)); p < 4990*time.Microsecond || p > 5010*time.Microsecond {
		t.Errorf("median %v", p)
	}
	if err := w.asked(&txCheck{key: txKey{5, 0}, ours: true}, r.start.Add(time.Hour)); err != nil || r.checked.Load() != 4 || w.duplicated != 0 {
		t.Errorf("a second check before the answer to the first one's outcome: %v, %+v", err, w)
	}
	w.rolledBack(0, &wire.Command{})
	if err := w.asked(&txCheck{key: txKey{5, 0}, ours: true}, r.start.Add(time.Hour)); err != nil || w.duplicated != 1 {
		t.Errorf("a second check after it: %v, %+v", err, w)
	}
}

func TestDeadlinesRefuses(t *testing.T) {
	b := (&fakeBroker{sendCode: wire.SystemBusy}).start(t)
	if _, err := Deadlines(t.Context(), deadlineLoad(b)); err == nil || !strings.Contains(err.Error(), "no room") {
		t.Errorf("a refused half message: %v", err)
	}
	for name, spoil := range map[string]func(*DeadlineLoad){
		"no broker": func(l *DeadlineLoad) { l.Targets = nil },
		"none":      func(l *DeadlineLoad) { l.Pending = 0 },
		"too many":  func(l *DeadlineLoad) { l.Pending = MaxPending + 1 },
		"at once":   func(l *DeadlineLoad) { l.Deadline = 0 },
		"fraction":  func(l *DeadlineLoad) { l.Spread = 1500 * time.Millisecond },
	} {
		l := deadlineLoad(b)
		spoil(&l)
		if _, err := Deadlines(t.Context(), l); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if err := (&DeadlineResult{Stored: 5, Checked: 3}).Err(); err == nil || !strings.Contains(err.Error(), "2 of 5 half messages were not checked") {
		t.Errorf("%v", err)
	}
	if err := (&DeadlineResult{Stored: 5, Checked: 5, Latest: time.Second}).Err(); err != nil {
		t.Error(err)
	}
}
