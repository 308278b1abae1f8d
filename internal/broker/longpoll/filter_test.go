// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package longpoll

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// probe is a filter that notes what it is asked.
type probe struct {
	cost   int
	takes  bool
	during func() // what goes on while it is asked
	asked  int
}

func (f *probe) Cost(int64, int) int { return f.cost }

func (f *probe) Arrival(int64, []byte) bool {
	f.asked++
	if f.during != nil {
		f.during()
	}
	return f.takes
}

// inBubble runs a test with a hub in virtual time; hold keeps a pull of queue q
// from an offset on, and woken gives why the pulls were let go that were, by name.
func inBubble(t *testing.T, fn func(h *Hub[string], hold func(name string, offset int64, f Filter) *Pull, woken func() map[string]Woken)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := New[string](1<<20, slog.New(slog.DiscardHandler))
		defer run(t, h)()
		out := map[string]Woken{}
		hold := func(name string, offset int64, f Filter) *Pull {
			p := &Pull{Offset: offset, Deadline: time.Now().Add(time.Minute), Filter: f, Owner: h, Wake: func(w Woken) { out[name] = w }}
			if !h.Hold("q", p, never) {
				t.Fatal("not held")
			}
			return p
		}
		fn(h, hold, func() map[string]Woken {
			synctest.Wait()
			last := out
			out = map[string]Woken{}
			return last
		})
	})
}

// TestWhatIsTurnedDownIsNotLookedAtAgain: a pull that is let go is told how far
// its filter has seen everything, whether a message or its deadline let it go.
func TestWhatIsTurnedDownIsNotLookedAtAgain(t *testing.T) {
	inBubble(t, func(h *Hub[string], hold func(string, int64, Filter) *Pull, woken func() map[string]Woken) {
		hold("message", 5, tag(7))
		hold("deadline", 5, tag(8))
		hold("later", 100, tag(8))
		for at := int64(5); at < 10; at++ {
			h.Arrive("q", at, 1, nil)
		}
		h.Arrive("q", 10, 7, nil)
		if got := woken()["message"]; got != (Woken{Arrived: true, Matched: true, From: 10}) {
			t.Errorf("a message: %+v", got)
		}
		h.Arrive("q", 12, 1, nil) // 11 was not shown
		time.Sleep(time.Minute)
		got := woken()
		if got["deadline"] != (Woken{From: 11}) || got["later"] != (Woken{From: 100}) {
			t.Errorf("the deadline: %+v", got)
		}
	})
}

// TestFiltersRunWithoutTheLock: whoever else uses the hub does not wait for a
// filter, and what happens meanwhile counts.
func TestFiltersRunWithoutTheLock(t *testing.T) {
	inBubble(t, func(h *Hub[string], hold func(string, int64, Filter) *Pull, woken func() map[string]Woken) {
		f := &probe{takes: true}
		f.during = func() {
			f.during = nil
			h.Arrive("other", 0, 0, nil)
			hold("new", 7, f)
			h.Drop(t) // nobody
			h.LetGo(func(q string) bool { return q == "other" })
		}
		hold("old", 5, f)
		h.Arrive("q", 5, 0, nil)
		if got := woken(); len(got) != 1 || !got["old"].Matched {
			t.Errorf("woken: %+v", got)
		}
		f.during = func() { h.Drop(h) }
		h.Arrive("q", 7, 0, nil)
		if got := woken(); len(got) != 0 || h.Len() != 0 {
			t.Errorf("woken though its owner was gone: %+v, %d held", got, h.Len())
		}
	})
}

// TestWorkOfAMessageIsBounded: filters that would cost too much together are not
// asked, their pulls look themselves; equal ones count once wherever they stand, and
// one that costs too much takes no other's place.
func TestWorkOfAMessageIsBounded(t *testing.T) {
	inBubble(t, func(h *Hub[string], hold func(string, int64, Filter) *Pull, woken func() map[string]Woken) {
		costly := &probe{cost: work / 2}
		more, most, cheap := &probe{cost: work/2 - 9}, &probe{cost: work + 1, takes: true}, &probe{cost: 9}
		hold("most 1", 5, most)
		hold("costly 1", 5, costly)
		hold("more", 5, more)
		hold("costly 2", 5, costly)
		hold("most 2", 5, most)
		hold("costly 3", 5, costly)
		hold("cheap", 5, cheap)
		hold("plain", 5, nil)
		h.Arrive("q", 5, 0, nil)
		got := woken()
		if want := (Woken{Arrived: true, From: 5}); len(got) != 3 || got["most 1"] != want || got["most 2"] != want || !got["plain"].Matched {
			t.Errorf("woken: %+v", got)
		}
		if costly.asked != 1 || more.asked != 1 || cheap.asked != 1 || most.asked != 0 {
			t.Errorf("asked %d, %d, %d, %d times", costly.asked, more.asked, cheap.asked, most.asked)
		}
	})
}

// TestSlowWakeStopsNoOther: a pull that takes long to look does not hold up those
// that are let go behind it.
func TestSlowWakeStopsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New[string](10, slog.New(slog.DiscardHandler))
		defer run(t, h, 2)()
		start := time.Now()
		var after time.Duration
		h.Hold("slow", &Pull{Deadline: start.Add(time.Hour), Wake: func(Woken) { time.Sleep(time.Minute) }}, never)
		h.Hold("q", &Pull{Deadline: start.Add(time.Hour), Wake: func(Woken) { after = time.Since(start) }}, never)
		h.Arrive("slow", 0, 0, nil)
		time.Sleep(time.Second)
		h.Arrive("q", 0, 0, nil)
		time.Sleep(time.Hour)
		synctest.Wait()
		if after != time.Second {
			t.Errorf("woken after %v", after)
		}
	})
}

// TestPanicCostsOnePull: what panics in a Wake is logged, and the others are woken.
func TestPanicCostsOnePull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		h := New[string](10, slog.New(slog.NewTextHandler(&log, nil)))
		stop := run(t, h)
		woke := 0
		for i := range 3 {
			h.Hold("q", &Pull{Deadline: time.Now().Add(time.Hour), Wake: func(Woken) {
				if woke++; i == 1 {
					panic("what a client sent")
				}
			}}, never)
		}
		h.Arrive("q", 0, 0, nil)
		synctest.Wait()
		stop()
		if woke != 3 || h.Len() != 0 || strings.Count(log.String(), "what a client sent") != 1 {
			t.Errorf("%d woken, %d left; log:\n%s", woke, h.Len(), log.String())
		}
	})
}
