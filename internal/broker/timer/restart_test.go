// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package timer

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/store/timerfile"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

func (r *rig) wantOnce(names ...string) {
	r.t.Helper()
	times := map[string]int{}
	for _, b := range r.bodies() {
		times[b]++
	}
	for _, name := range names {
		if times[name] != 1 {
			r.t.Errorf("%s is delivered %d times", name, times[name])
		}
	}
}

// What a killed process delivered stays delivered over any number of restarts
// within the slot.
func TestRestartsWithinASlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := vfs.NewMem()
		r := start(t, m)
		after(time.Duration(1000-r.wall()%1000) * time.Millisecond)
		r.in("m", 5100)
		after(5200 * time.Millisecond)
		left := m.Kill()
		r.stop()
		r = start(t, left)
		for range 3 {
			after(100 * time.Millisecond)
			r.close()
			r = start(t, left)
		}
		after(time.Minute)
		r.wantOnce("m")
		r.close()
	})
}

// The same when the clock was set back between the last checkpoint, the delivery
// and the kill.
func TestKillAfterClockWasSetBack(t *testing.T) {
	for _, idle := range []time.Duration{0, 10 * time.Minute} { // the checkpoint is not older for it
		synctest.Test(t, func(t *testing.T) {
			m := vfs.NewMem()
			r := start(t, m)
			after(time.Duration(1000-r.wall()%1000) * time.Millisecond)
			d := idle + 60*time.Second
			r.in("m", d.Milliseconds()+300)
			after(d + 100*time.Millisecond)
			r.in("far", 600_000)
			after(150 * time.Millisecond)
			r.jump.Store(-3600_000)
			after(60 * time.Millisecond)
			r.wantOnce("m")
			left := m.Kill()
			r.stop()
			r, err := tryStart(t, left, r.jump)
			if err != nil {
				t.Fatal(err)
			}
			after(3 * time.Hour)
			r.wantOnce("m", "far")
			r.close()
		})
	}
}

// A checkpoint goes on with the log, whatever senders put into properties.
func TestForgedDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := vfs.NewMem()
		r := start(t, m)
		r.in("x", 100)
		after(2 * time.Second)
		rec := timed("u", message.PropertyTimerDequeue, 1<<61)
		rec.PreparedOffset = 5 // of a half message
		var b store.Batch
		if err := b.Add(r.st.Queue("A", 0), rec); err != nil {
			t.Fatal(err)
		}
		if err := r.st.Append(&b); err != nil {
			t.Fatal(err)
		}
		left := m.Kill()
		r.stop()
		r = start(t, left)
		for range 50 {
			r.in("y", 500)
			after(2 * time.Second)
		}
		synctest.Wait()
		if at, end := r.svc.noted.LogOffset, r.st.MaxPhysical(); at < end/2 {
			t.Errorf("the checkpoint stays at %d of %d", at, end)
		}
		r.close()
	})
}

// Slots of another length: the wheel is built again, nothing is lost and nothing
// comes twice.
func TestPrecisionChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := vfs.NewMem()
		r := start(t, m)
		begin := r.wall()
		var want []string
		for i, precision := range []time.Duration{500, 1000, 100, 200, 1000} {
			soon, late := fmt.Sprint("soon", i), fmt.Sprint("late", i)
			want = append(want, soon, late)
			r.in(soon, 800)
			r.at(late, begin+60_000+int64(i)*333)
			r.at(fmt.Sprint("gone", i), begin+90_700)
			if err := r.recall("A", fmt.Sprint("gone", i), begin+90_700); err != nil {
				t.Fatal(err)
			}
			after(2 * time.Second)
			r.close()
			r = start(t, m, func(_ *store.Config, c *Config) { c.Precision = precision * time.Millisecond })
		}
		after(48 * time.Hour)
		r.wantOnce(want...)
		if n := len(r.bodies()); n != len(want) {
			t.Errorf("%d delivered: %q", n, r.bodies())
		}
		for _, rec := range r.records("A", 0) {
			if at := num(&rec, message.PropertyTimerDeliver); rec.StoreTimestamp < at || at > 0 && rec.StoreTimestamp > at+2 {
				t.Errorf("%s is %d ms late", rec.Body, rec.StoreTimestamp-at)
			}
		}
		r.close()
	})
}

// A wheel that is found damaged after the clock was set has the times of all that
// was put in before and after.
func TestRebuildAfterClockWasSet(t *testing.T) {
	for _, jump := range []int64{360_000, -360_000} {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, vfs.NewMem())
			want := map[string]time.Time{}
			send := func(name string) {
				want[name] = time.Now().Add(600 * time.Second)
				r.in(name, 600_000)
				want[name+" at"] = want[name]
				r.at(name+" at", r.wall()+600_000)
			}
			send("before")
			after(2 * time.Second)
			r.jump.Store(jump)
			send("behind")
			after(3 * time.Second)
			synctest.Wait()
			if err := r.svc.damaged(timerfile.ErrDamaged); err != nil { // Run waits, for the next entry
				t.Fatal(err)
			}
			r.in("next", 50)
			after(20 * time.Minute)
			for name, at := range want {
				r.mu.Lock()
				got := r.arrivals[name]
				r.mu.Unlock()
				if len(got) != 1 || got[0].Before(at) || got[0].After(at.Add(10*time.Millisecond)) {
					t.Errorf("set by %d: %s is delivered at %v, not %v", jump, name, got, at)
				}
			}
			r.close()
		})
	}
}

// Any order of sends, kills, stops and set clocks: each message is delivered once.
func TestRandomEnds(t *testing.T) {
	seeds := uint64(30)
	if testing.Short() || raceEnabled {
		seeds = 2
	}
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 9))
			m := vfs.NewMem()
			jump := new(atomic.Int64)
			open := func() *rig {
				r, err := tryStart(t, m, jump, small)
				if err != nil {
					t.Fatal(err)
				}
				return r
			}
			r := open()
			var sent []string
			for range 40 {
				switch rng.IntN(6) {
				case 0:
					if seed%2 == 0 {
						jump.Add(rng.Int64N(8000) - 4000)
					}
				case 1:
					left := m.Kill()
					r.stop()
					m = left
					r = open()
				case 2:
					r.close()
					r = open()
				}
				for range rng.IntN(5) {
					name := fmt.Sprint("m", len(sent))
					sent = append(sent, name)
					d := 1 + rng.Int64N(150_000)
					if rng.IntN(2) == 0 {
						d = 1 + rng.Int64N(3000)
					}
					r.in(name, d)
				}
				after(time.Duration(rng.IntN(3000)) * time.Millisecond)
			}
			after(15 * time.Minute)
			r.wantOnce(sent...)
			if n := len(r.bodies()); n != len(sent) || t.Failed() {
				t.Fatalf("seed %d: %d of %d delivered", seed, n, len(sent))
			}
			r.close()
		})
	}
}
