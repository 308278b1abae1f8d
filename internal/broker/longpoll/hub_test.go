// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package longpoll

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func never() int64 { return 0 }

// tag takes the messages of a tags code that have no properties.
type tag int64

func (f tag) Cost(int64, int) int                   { return 1 }
func (f tag) Arrival(code int64, props []byte) bool { return code == int64(f) && len(props) == 0 }

// run starts the hub, with so many goroutines that serve it (none: one), and stops
// it, waiting, when the test ends.
func run(t *testing.T, h *Hub[string], servers ...int) context.CancelFunc {
	running, end := context.WithCancel(context.Background())
	serving, leave := context.WithCancel(context.Background())
	var run, serve sync.WaitGroup
	run.Go(func() { _ = h.Run(running) })
	for range append(servers, 1)[0] {
		serve.Go(func() { _ = h.Serve(serving) })
	}
	stop := func() { end(); run.Wait(); leave(); serve.Wait() }
	t.Cleanup(stop)
	return stop
}

func TestMessageWakesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New[string](10, slog.New(slog.DiscardHandler))
		defer run(t, h)()
		start := time.Now()
		var woke []bool
		p := &Pull{Offset: 5, Deadline: start.Add(15 * time.Second), Filter: tag(7), Wake: func(w Woken) { woke = append(woke, w.Arrived && w.Matched) }}
		if !h.Hold("q", p, never) {
			t.Fatal("not held")
		}
		h.Arrive("other", 5, 7, nil)
		h.Arrive("q", 4, 7, nil) // before what it waits for
		h.Arrive("q", 5, 8, nil) // another tag
		h.Arrive("q", 5, 7, []byte("no"))
		synctest.Wait()
		if len(woke) != 0 || h.Len() != 1 {
			t.Fatalf("woken by what does not concern it: %v", woke)
		}
		h.Arrive("q", 6, 7, nil)
		h.Arrive("q", 7, 7, nil)
		synctest.Wait()
		if len(woke) != 1 || !woke[0] || time.Since(start) != 0 || h.Len() != 0 {
			t.Fatalf("woke %v after %v", woke, time.Since(start))
		}
	})
}

func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New[string](10, slog.New(slog.DiscardHandler))
		defer run(t, h)()
		start := time.Now()
		var order []int
		for i, d := range []time.Duration{3, 1, 2} {
			h.Hold("q", &Pull{Deadline: start.Add(d * time.Second), Wake: func(w Woken) {
				if w.Arrived || time.Since(start) != d*time.Second {
					t.Errorf("pull %d: %+v after %v", i, w, time.Since(start))
				}
				order = append(order, i)
			}}, never)
		}
		time.Sleep(4 * time.Second)
		synctest.Wait()
		if len(order) != 3 || order[0] != 1 || order[1] != 2 || order[2] != 0 {
			t.Errorf("let go in order %v", order)
		}
	})
}

func TestMessageBetweenLookAndHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New[string](10, slog.New(slog.DiscardHandler))
		defer run(t, h)()
		woke := false
		h.Hold("q", &Pull{Offset: 5, Deadline: time.Now().Add(time.Minute), Wake: func(Woken) { woke = true }},
			func() int64 { return 6 })
		synctest.Wait()
		if !woke {
			t.Error("the message that came in between was missed")
		}
	})
}

func TestLimitAndStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New[string](1, slog.New(slog.DiscardHandler))
		stop := run(t, h)
		woke := 0
		hold := func() bool {
			return h.Hold("q", &Pull{Deadline: time.Now().Add(time.Minute), Wake: func(Woken) { woke++ }}, never)
		}
		if !hold() || hold() {
			t.Error("the limit is one")
		}
		stop()
		if woke != 1 {
			t.Errorf("%d woken at the stop, want the one held", woke)
		}
	})
}

func TestConcurrentHoldAndArrive(t *testing.T) {
	h := New[string](1<<20, slog.New(slog.DiscardHandler))
	stop := run(t, h)
	var wg, woken sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 2000 {
				woken.Add(1)
				h.Hold("q", &Pull{Offset: int64(i), Deadline: time.Now().Add(time.Hour), Wake: func(Woken) { woken.Done() }}, never)
			}
		})
		wg.Go(func() {
			for i := range 2000 {
				h.Arrive("q", int64(i), 0, nil)
			}
		})
	}
	wg.Wait()
	h.Arrive("q", 1<<40, 0, nil)
	woken.Wait()
	stop()
	if h.Len() != 0 {
		t.Errorf("%d left", h.Len())
	}
}

func BenchmarkArriveNobodyWaits(b *testing.B) {
	h := New[string](1, slog.New(slog.DiscardHandler))
	b.ReportAllocs()
	for b.Loop() {
		h.Arrive("q", 1, 1, nil)
	}
}

func TestDropForgetsTheOwnersPulls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New[string](6, slog.New(slog.DiscardHandler))
		defer run(t, h)()
		a, b := new(int), new(int)
		var woke []string
		hold := func(name, queue string, owner any) *Pull {
			p := &Pull{Deadline: time.Now().Add(time.Minute), Owner: owner, Wake: func(Woken) { woke = append(woke, name) }}
			if !h.Hold(queue, p, never) {
				t.Fatalf("%s: no room", name)
			}
			return p
		}
		hold("a1", "q", a)
		hold("b1", "q", b)
		hold("a2", "other", a)
		hold("nobody's", "q", nil)
		hold("a3", "late", a)
		h.Arrive("other", 0, 0, nil) // the one in the middle of a's
		synctest.Wait()
		h.Drop(a)
		h.Drop(a)
		if h.Len() != 2 || len(h.held) != 1 || len(h.keys) != 2 || h.times.Len() != 2 || len(h.owned) != 1 {
			t.Errorf("%d left, %v", h.Len(), h.held)
		}
		for _, name := range []string{"a4", "a5", "a6", "a7"} { // the places are free again
			hold(name, "q", a)
		}
		h.Drop(a)
		h.Arrive("q", 0, 0, nil)
		synctest.Wait()
		slices.Sort(woke)
		if got := strings.Join(woke, " "); got != "a2 b1 nobody's" || len(h.owned) != 0 {
			t.Errorf("woke %s, owners %v", got, h.owned)
		}
	})
}

func TestLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New[string](10, slog.New(slog.DiscardHandler))
		defer run(t, h)()
		woke := map[string]int{}
		for _, q := range []string{"gone", "stays", "gone"} {
			h.Hold(q, &Pull{Deadline: time.Now().Add(time.Minute), Owner: t, Wake: func(Woken) { woke[q]++ }}, never)
		}
		h.LetGo(func(q string) bool { return q == "gone" })
		synctest.Wait()
		if woke["gone"] != 2 || woke["stays"] != 0 || h.Len() != 1 {
			t.Errorf("woke %v, %d held", woke, h.Len())
		}
	})
}
