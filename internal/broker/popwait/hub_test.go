// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package popwait

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var roomy = Limits{Waits: 100, Keys: 100, OneKey: 100}

// run starts a hub with two goroutines that serve it.
func run(t *testing.T, h *Hub) (stop func()) {
	t.Helper()
	running, end := context.WithCancel(context.Background())
	serving, leave := context.WithCancel(context.Background())
	var run, serve sync.WaitGroup
	run.Go(func() { _ = h.Run(running) })
	for range 2 {
		serve.Go(func() { _ = h.Serve(serving) })
	}
	stop = func() { end(); run.Wait(); leave(); serve.Wait() }
	t.Cleanup(stop)
	return stop
}

// held keeps waits with names and notes which are let go.
type held struct {
	t   *testing.T
	h   *Hub
	mu  sync.Mutex
	out []string // "name" or "name due"
}

func (d *held) wait(name, group, topic string, queue int32) *Wait {
	return &Wait{Group: group, Topic: topic, Queue: queue, Deadline: time.Now().Add(time.Minute), Wake: func(arrived bool) {
		d.mu.Lock()
		defer d.mu.Unlock()
		if !arrived {
			name += " due"
		}
		d.out = append(d.out, name)
	}}
}

func (d *held) hold(w *Wait) {
	d.t.Helper()
	if r := d.h.Hold(w); r != Held {
		d.t.Fatalf("not held: %d", r)
	}
}

// woken gives, sorted, who was let go since the last call.
func (d *held) woken() string {
	synctest.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	slices.Sort(d.out)
	s := strings.Join(d.out, ",")
	d.out = nil
	return s
}

func (d *held) want(what, want string) {
	d.t.Helper()
	if got := d.woken(); got != want {
		d.t.Errorf("%s let go %q, want %q", what, got, want)
	}
}

// inBubble runs a test with a hub in virtual time.
func inBubble(t *testing.T, limits Limits, newest bool, fn func(h *Hub, d *held)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := New(limits, newest, slog.New(slog.DiscardHandler))
		stop := run(t, h)
		fn(h, &held{t: t, h: h})
		stop()
		if h.Len() != 0 || h.keys != 0 || len(h.topics) != 0 || len(h.retries) != 0 || len(h.owned) != 0 || h.times.Len() != 0 || len(h.kinds) != 0 {
			t.Errorf("left after the end: %d waits, %d keys, %v, %v, %v, %v", h.Len(), h.keys, h.topics, h.retries, h.owned, h.kinds)
		}
	})
}

type tag int64

func (f tag) Cost(int64, int) int               { return 1 }
func (f tag) Arrival(code int64, _ []byte) bool { return code == int64(f) }

func TestMessageLetsGoOneOfEachKind(t *testing.T) {
	inBubble(t, roomy, false, func(h *Hub, d *held) {
		for _, name := range []string{"any1", "any2"} {
			d.hold(d.wait(name, "g", "t", AnyQueue))
		}
		d.hold(d.wait("q3", "g", "t", 3))
		d.hold(d.wait("q4", "g", "t", 4))
		d.hold(d.wait("other group", "g2", "t", AnyQueue))
		d.hold(d.wait("other topic", "g", "t2", AnyQueue))
		h.Arrive("t", 3, 5, 0, nil)
		d.want("a message for queue 3", "any1,other group,q3")
		h.Arrive("t", 3, 5, 0, nil)
		d.want("the next", "any2")
		h.Arrive("t", 3, 5, 0, nil)
		d.want("one nobody waits for", "")
		if h.Held("g", "t", 4) != 1 || h.Held("g", "t", AnyQueue) != 0 || h.Len() != 2 {
			t.Errorf("%d held", h.Len())
		}
	})
}

func TestNewestFirst(t *testing.T) {
	inBubble(t, roomy, true, func(h *Hub, d *held) {
		for _, name := range []string{"1", "2", "3"} {
			d.hold(d.wait(name, "g", "t", AnyQueue))
		}
		h.Arrive("t", 0, 5, 0, nil)
		d.want("a message", "3")
		h.Arrive("t", 0, 5, 0, nil)
		d.want("another", "2")
	})
}

func TestFilter(t *testing.T) {
	inBubble(t, Limits{Waits: 100, Keys: 100, OneKey: 100, Every: 10}, false, func(h *Hub, d *held) {
		for _, f := range []struct {
			name string
			tag  tag
		}{{"a1", 1}, {"a2", 1}, {"b", 2}} {
			w := d.wait(f.name, "g", "t", AnyQueue)
			w.Filter = f.tag
			d.hold(w)
		}
		h.Arrive("t", 0, 5, 3, nil)
		d.want("a message that passes no filter", "")
		h.Arrive("t", 0, 5, 2, nil)
		d.want("one that passes the last", "b")
		h.Arrive("t", 0, 5, 1, nil)
		d.want("one that passes the first", "a1")
		h.Notify("g", "t", 0)
		d.want("what is no new message", "a2")
		w := d.wait("b", "g", "t", AnyQueue)
		w.Filter = tag(2)
		d.hold(w)
		h.Arrive("t", 0, 9, 1, nil)
		d.want("an offset that is not forced", "")
		h.Arrive("t", 0, 20, 1, nil)
		d.want("one that is", "b")
	})
}

func TestRetryTopics(t *testing.T) {
	inBubble(t, roomy, false, func(h *Hub, d *held) {
		d.hold(d.wait("any", "g", "t", AnyQueue))
		d.hold(d.wait("q7", "g", "t", 7))
		d.hold(d.wait("alike", "g_t", "u", AnyQueue)) // its retry topic is that of group g, topic t_u
		d.hold(d.wait("alike2", "g", "t_u", AnyQueue))
		h.Arrive("%RETRY%g", 0, 5, 0, nil)
		d.want("the group's own retry topic", "")
		h.Arrive("%RETRY%g_t", 0, 5, 0, nil)
		d.want("the first form", "any")
		h.Arrive("%RETRY%g+t", 0, 5, 0, nil)
		d.want("the second form, any queue", "q7")
		h.Arrive("%RETRY%g_t_u", 0, 5, 0, nil)
		d.want("a name that two groups share", "alike,alike2")
	})
}

func TestNotify(t *testing.T) {
	inBubble(t, roomy, false, func(h *Hub, d *held) {
		d.hold(d.wait("q1", "g", "t", 1))
		d.hold(d.wait("q2", "g", "t", 2))
		h.Notify("g2", "t", 1)
		h.Notify("g", "t2", AnyQueue)
		h.Notify("g", "t", 3)
		d.want("others", "")
		h.Notify("g", "t", 1)
		d.want("queue 1", "q1")
		h.Notify("g", "t", AnyQueue)
		d.want("any queue", "q2")
	})
}

func TestDeadlineDropAndLetGo(t *testing.T) {
	inBubble(t, roomy, false, func(h *Hub, d *held) {
		start := time.Now()
		w := d.wait("short", "g", "t", AnyQueue)
		w.Deadline = start.Add(time.Second)
		d.hold(w)
		mine := new(int)
		for _, topic := range []string{"t", "u"} {
			w := d.wait("mine", "g", topic, 0)
			w.Owner = mine
			d.hold(w)
		}
		d.hold(d.wait("stays", "g", "u", 0))
		h.Drop(mine)
		if h.Len() != 2 {
			t.Errorf("%d held after the owner is gone", h.Len())
		}
		time.Sleep(time.Second)
		d.want("the deadline", "short due")
		h.LetGo(func(_, topic string) bool { return topic == "u" })
		d.want("a deleted topic", "stays")
		late := d.wait("late", "g", "t", 0)
		late.Deadline = time.Now()
		if r := h.Hold(late); r != Due {
			t.Errorf("a wait without time: %d", r)
		}
	})
}

func TestLimits(t *testing.T) {
	inBubble(t, Limits{Waits: 4, Keys: 2, OneKey: 2}, false, func(h *Hub, d *held) {
		d.hold(d.wait("1", "g", "t", 0))
		d.hold(d.wait("2", "g", "t", 0))
		if r := h.Hold(d.wait("x", "g", "t", 0)); r != Full {
			t.Errorf("a third wait of a key: %d", r)
		}
		d.hold(d.wait("3", "g", "t", 1))
		if r := h.Hold(d.wait("x", "g", "t", 2)); r != Full {
			t.Errorf("a third key: %d", r)
		}
		d.hold(d.wait("4", "g", "t", 1))
		h.Arrive("t", 0, 5, 0, nil)
		d.want("a message", "1")
		d.hold(d.wait("5", "g", "t", 0)) // there is room again
		if r := h.Hold(d.wait("x", "g", "t", 1)); r != Full {
			t.Errorf("a fifth wait: %d", r)
		}
	})
}

func TestEndLetsEverybodyGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(roomy, false, slog.New(slog.DiscardHandler))
		stop := run(t, h)
		d := &held{t: t, h: h}
		d.hold(d.wait("1", "g", "t", 0))
		d.hold(d.wait("2", "g", "u", AnyQueue))
		stop()
		d.want("the end", "1 due,2 due")
		if r := h.Hold(d.wait("3", "g", "t", 0)); r != Due {
			t.Errorf("held after the end: %d", r)
		}
	})
}

func TestReady(t *testing.T) {
	inBubble(t, roomy, false, func(h *Hub, d *held) {
		w := d.wait("a message came in between", "g", "t", 0)
		w.Ready = func() bool { return true }
		d.hold(w)
		d.want("Ready", "a message came in between")

		var asked atomic.Int64
		start := time.Now()
		again := &Wait{Group: "g", Topic: "t", Queue: 0, Deadline: start.Add(time.Second), Ready: func() bool { asked.Add(1); return true }}
		var ended atomic.Int64
		again.Wake = func(arrived bool) { // finds nothing, whatever Ready says
			if !arrived || h.Hold(again) != Held {
				ended.Store(int64(time.Since(start)))
			}
		}
		d.hold(again)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if n := asked.Load(); ended.Load() != int64(time.Second) || n < 2 || n > 11 {
			t.Errorf("asked %d times in a second, ended after %v", n, time.Duration(ended.Load()))
		}
	})
}

func TestReadyIsAskedAgainWhenItWasRight(t *testing.T) {
	inBubble(t, roomy, false, func(h *Hub, d *held) {
		var ready atomic.Bool
		ready.Store(true)
		looks := 0 // of Wake, one after the other
		w := d.wait("again", "g", "t", 0)
		w.Ready = ready.Load
		second := w.Wake
		w.Wake = func(arrived bool) {
			if looks++; looks == 1 {
				ready.Store(false) // somebody else took it
				d.hold(w)
				return
			}
			second(arrived)
		}
		d.hold(w)
		d.want("nothing", "")
		ready.Store(true) // no message tells
		time.Sleep(recheck)
		d.want("the next look", "again")
	})
}

func TestManyAtOnce(t *testing.T) {
	const workers, each = 4, 500
	h := New(Limits{Waits: workers * each, Keys: 1000, OneKey: workers * each}, false, slog.New(slog.DiscardHandler))
	stop := run(t, h)
	var wg, woken sync.WaitGroup
	for i := range workers {
		wg.Go(func() {
			for j := range each {
				woken.Add(1)
				w := &Wait{Group: "g", Topic: "t", Queue: int32(j % 3), Deadline: time.Now().Add(time.Hour), Owner: t}
				var once sync.Once
				w.Wake = func(bool) {
					h.Hold(&Wait{Group: "g", Topic: "u", Deadline: time.Now().Add(time.Hour), Owner: h, Wake: func(bool) {}})
					once.Do(woken.Done)
				}
				if h.Hold(w) != Held {
					t.Error("not held")
				}
				if j%7 == i {
					h.Drop(h)
				}
			}
		})
		wg.Go(func() {
			for j := range each {
				h.Arrive("t", int32(j%3), 5, 0, nil)
				h.Notify("g", "t", AnyQueue)
			}
		})
	}
	wg.Wait()
	h.LetGo(func(_, topic string) bool { return topic == "t" })
	woken.Wait()
	stop()
	if h.Len() != 0 {
		t.Errorf("%d left", h.Len())
	}
}

func TestArriveDoesNotAllocateWhileNobodyWaits(t *testing.T) {
	h := New(roomy, false, slog.New(slog.DiscardHandler))
	if n := testing.AllocsPerRun(100, func() { h.Arrive("%RETRY%g_t", 1, 5, 1, nil) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestPanics: a Wake or a Ready that panics costs its wait, and no other.
func TestPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(roomy, false, slog.New(slog.DiscardHandler))
		stop := run(t, h)
		d := &held{t: t, h: h}
		bad := d.wait("", "g", "t", 1)
		bad.Wake = func(bool) { panic("wake") }
		d.hold(bad)
		unready := d.wait("unready", "g", "t", 2)
		unready.Ready = func() bool { panic("ready") }
		d.hold(unready)
		d.hold(d.wait("good", "g", "t", 3))
		for queue := range int32(4) {
			h.Arrive("t", queue, 5, 0, nil)
		}
		d.want("arrivals", "good,unready")
		if h.Len() != 0 {
			t.Errorf("%d waits are left", h.Len())
		}
		stop()
	})
}
