// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package timer

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

// recallAt takes back a message with its handle, which holds TIMER_OUT_MS.
func (r *rig) recallAt(name string, out int64) {
	r.t.Helper()
	if err := r.recall("A", name, out+1); err != nil {
		r.t.Fatal(err)
	}
}

// A recall is for messages of its own topic: who may send to B takes nothing back that
// was sent to A. Neither a restart nor a roll changes that.
func TestRecallOfAnotherTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := vfs.NewMem()
		r := start(t, m)
		after(time.Duration(1500-r.wall()%1000) * time.Millisecond)
		soon, late := r.wall()+5_000, r.wall()+3*3600_000
		r.at("soon", soon)
		r.at("late", late)
		r.at("own", soon)
		for name, at := range map[string]int64{"soon": soon, "late": late} {
			for i, text := range []string{"A+" + name, "+A+" + name, "A"} {
				rec := timed(fmt.Sprint("recall", i), message.PropertyTimerDeliver, r.svc.floor(at)+1, message.PropertyTimerDeleteKey, text)
				r.mustSend("B", 0, rec)
			}
		}
		r.recallAt("own", r.svc.floor(soon))
		after(2 * time.Second)
		r.close()
		r, err := tryStart(t, m, r.jump)
		if err != nil {
			t.Fatal(err)
		}
		after(4 * time.Hour)
		if got := r.bodies(); !slices.Equal(got, []string{"soon", "late"}) {
			t.Errorf("delivered %q, want soon and late", got)
		}
		if n := r.svc.recalls.n.Load(); n != 0 {
			t.Errorf("%d recalls are kept", n)
		}
		r.close()
	})
}

// A recall takes its message away however far the clocks are apart, whichever slot
// of the wheel either of them is in.
func TestRecallWithClockSet(t *testing.T) {
	for _, c := range []struct{ before, between, restart int64 }{
		{before: 300}, {before: -300}, {between: 5000}, {between: -5000}, {between: 1800_000}, {between: -1800_000},
		{restart: 1}, {restart: 10_000}, {restart: -10_000}, {before: 777, restart: -10_000}, {before: 1800_000, between: 1500, restart: 1800_000},
	} {
		for _, span := range []int64{60_900, 2*3600_000 + 900} { // the longer one is rolled
			t.Run(fmt.Sprintf("%+v in %d", c, span), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					m := vfs.NewMem()
					r := start(t, m)
					r.in("x", 100)
					after(time.Second)
					r.jump.Add(c.before)
					r.in("x", 50)
					after(time.Second)
					at := r.wall()/1000*1000 + span
					if c.between > 0 {
						at += c.between // what the clock is set beyond can't be recalled
					}
					r.at("time", at)
					relative := timed("delay", message.PropertyTimerDelayMillis, at-r.wall())
					r.mustSend("A", 0, relative)
					out := num(relative, message.PropertyTimerOut)
					r.at("kept", at)
					after(time.Second)
					r.jump.Add(c.between)
					r.recallAt("time", r.svc.floor(at))
					r.recallAt("delay", out)
					after(time.Second)
					if c.restart != 0 {
						r.close()
						r.jump.Add(c.restart)
						var err error
						if r, err = tryStart(t, m, r.jump); err != nil {
							t.Fatal(err)
						}
					}
					after(4*time.Hour + time.Minute)
					got := slices.DeleteFunc(r.bodies(), func(s string) bool { return s == "x" })
					if !slices.Equal(got, []string{"kept"}) {
						t.Errorf("delivered %q", got)
					}
					if n := r.svc.recalls.n.Load(); n != 0 {
						t.Errorf("%d recalls are kept", n)
					}
					r.close()
				})
			})
		}
	}
}

// A message may be stored a while after its TIMER_OUT_MS was reckoned.
func TestRecallOfLateStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, vfs.NewMem())
		after(time.Duration(1999-r.wall()%1000) * time.Millisecond)
		rec := timed("m", message.PropertyTimerDelayMillis, 60_000)
		q, props, ok, err := r.svc.Rewrite("A", 0, rec.Properties, nil)
		if !ok || err != nil {
			t.Fatal(ok, err)
		}
		rec.Properties = props
		after(3 * time.Millisecond)
		var b store.Batch
		if err := errors.Join(b.Add(q, rec), r.st.Append(&b)); err != nil {
			t.Fatal(err)
		}
		r.recallAt("m", num(rec, message.PropertyTimerOut))
		after(time.Hour)
		if got := r.bodies(); len(got) != 0 {
			t.Errorf("delivered %q", got)
		}
		r.close()
	})
}

// A delay that is rolled after the clock was set ends at another time by it, and
// is still recalled by its handle.
func TestRecallOfRolled(t *testing.T) {
	for _, jump := range []int64{-1800_000, 1800_000} {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, vfs.NewMem())
			begin := time.Now()
			m, kept := timed("m", message.PropertyTimerDelayMillis, 4*3600_000), timed("kept", message.PropertyTimerDelayMillis, 4*3600_000)
			r.mustSend("A", 0, m, kept)
			after(time.Minute)
			r.jump.Store(jump)
			r.in("x", 10)
			after(2 * time.Hour) // rolled
			if r.svc.Rolled() == 0 {
				t.Fatal("nothing was rolled")
			}
			r.recallAt("m", num(m, message.PropertyTimerOut))
			after(10 * time.Hour)
			if got := r.bodies(); !slices.Equal(got, []string{"x", "kept"}) {
				t.Errorf("delivered %q", got)
			}
			if at := r.arrivals["kept"]; len(at) != 1 || at[0].Sub(begin) < 4*time.Hour || at[0].Sub(begin) > 4*time.Hour+20*time.Millisecond {
				t.Errorf("set by %d: %v", jump, at)
			}
			r.close()
		})
	}
}

// With the clock set back a message is delivered before its time by that clock
// comes; it is not to be recalled then.
func TestRecallOfDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, vfs.NewMem(), func(_ *store.Config, c *Config) { c.MaxDelay = 72 * time.Hour })
		at := r.wall()/1000*1000 + 1800_500
		r.at("m", at)
		after(time.Minute)
		r.jump.Store(-3600_000)
		r.in("x", 10)
		after(40 * time.Minute)
		if err := r.recall("A", "m", at); !errors.Is(err, ErrRefused) || len(r.bodies()) != 2 {
			t.Errorf("%q delivered: %v", r.bodies(), err)
		}
		after(100 * time.Hour) // nothing of the time before can wait any more
		at = r.wall()/1000*1000 + 60_500
		r.at("n", at)
		if err := r.recall("A", "n", at); err != nil {
			t.Error(err)
		}
		after(2 * time.Hour)
		if got := r.bodies(); len(got) != 2 {
			t.Errorf("delivered %q", got)
		}
		r.close()
	})
}

// Nor is it after restarts, until the clock says again what it said then; what comes
// later by any of its settings can be recalled.
func TestRecallOfDeliveredInAnEarlierRun(t *testing.T) {
	for name, set := range map[string]struct{ running, stopped time.Duration }{
		"set back in the run": {-time.Hour, 0}, "set back between": {0, -time.Hour}, "not set": {},
		"ten years ahead by mistake": {-10 * 365 * 24 * time.Hour, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := vfs.NewMem()
				cfg := func(_ *store.Config, c *Config) { c.MaxDelay = 72 * time.Hour }
				r := start(t, m, cfg)
				at := r.wall() + 2000
				r.at("m", at)
				after(5 * time.Second)
				r.jump.Add(set.running.Milliseconds())
				r.in("x", 100)
				after(2 * time.Second)
				r.close()
				r.jump.Add(set.stopped.Milliseconds())
				for range 2 {
					var err error
					if r, err = tryStart(t, m, r.jump, cfg); err != nil {
						t.Fatal(err)
					}
					if err := r.recall("A", "m", at); !errors.Is(err, ErrRefused) || len(r.bodies()) != 2 {
						t.Errorf("%q delivered: %v", r.bodies(), err)
					}
					later := r.wall()/1000*1000 + 3600_000 + 60_500
					if set.running < -24*time.Hour || set.running+set.stopped == 0 {
						later -= 3600_000
					}
					if err := r.recall("A", "n", later); err != nil {
						t.Error(err)
					}
					after(10 * time.Second)
					r.close()
				}
			})
		})
	}
}

// Recalls are there again after any end, and go when their messages' time is over.
func TestRecallsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := vfs.NewMem()
		r := start(t, m)
		begin := r.wall() / 1000 * 1000
		for i := range 300 {
			name, at := fmt.Sprint("m", i), begin+20_000+int64(i)*1000
			r.at(name, at)
			if i%3 != 0 {
				if err := r.recall("A", name, at); err != nil {
					t.Fatal(err)
				}
			}
			if i == 150 {
				after(3 * time.Second)
				r.close()
				r = start(t, m)
			}
		}
		after(2 * time.Second)
		left := m.Kill()
		r.stop()
		r = start(t, left)
		after(time.Second)
		if n := r.svc.recalls.n.Load(); n != 200 {
			t.Errorf("%d recalls", n)
		}
		r.svc.recalls.n.Store(maxRecalls)
		if err := r.recall("A", "m299", begin+200_000); !errors.Is(err, ErrRefused) {
			t.Errorf("one too many: %v", err)
		}
		after(10 * time.Minute)
		if got := len(r.bodies()); got != 100 {
			t.Errorf("%d delivered", got)
		}
		synctest.Wait()
		if n := r.svc.recalls.n.Load(); n != 0 || len(r.svc.recalls.due) != 0 {
			t.Errorf("%d recalls are kept", n)
		}
		r.close()
	})
}

// While entries cannot be put in, nothing is delivered that may have been recalled
// by one of them.
func TestRecallWhileIntakeFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, vfs.NewMem())
		at := r.wall()/1000*1000 + 20_500
		r.at("m", at)
		r.at("kept", at)
		after(2 * time.Second)
		synctest.Wait()
		deaf := &deafLog{Log: r.svc.cfg.Log}
		deaf.bad.Store(true)
		r.svc.cfg.Log = deaf // Run waits, for the recall
		if err := r.recall("A", "m", at); err != nil {
			t.Fatal(err)
		}
		after(30 * time.Second)
		if got := r.bodies(); len(got) != 0 {
			t.Errorf("delivered %q", got)
		}
		deaf.bad.Store(false)
		after(30 * time.Second)
		if got := r.bodies(); !slices.Equal(got, []string{"kept"}) {
			t.Errorf("delivered %q", got)
		}
		r.close()
	})
}

// deafLog has queues that can't be read for a while.
type deafLog struct {
	Log
	bad atomic.Bool
}

func (l *deafLog) Entries(dst []store.Entry, q *store.Queue, from int64, n int) ([]store.Entry, error) {
	if l.bad.Load() {
		return nil, errors.New("the disk does not answer")
	}
	return l.Log.Entries(dst, q, from, n)
}
