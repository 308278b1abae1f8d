// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package timer

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

// Each message is there to the ms: in its second, at the ends of it, days away.
func TestExactTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, vfs.NewMem())
		begin := r.wall()
		rng := rand.New(rand.NewPCG(1, 1))
		want := map[string]int64{}
		for i := range 300 {
			d := rng.Int64N(5000) + 1
			if i%3 == 0 {
				d = rng.Int64N(3 * 24 * 3600 * 1000)
			}
			if i%10 == 0 {
				d = d/1000*1000 + 1000
			}
			name := fmt.Sprint("m", i)
			want[name] = begin + d
			switch {
			case i%2 == 0:
				r.at(name, begin+d)
			case d%1000 == 0:
				r.mustSend("A", 0, timed(name, message.PropertyTimerDelaySeconds, d/1000))
			default:
				r.in(name, d)
			}
		}
		after(73 * time.Hour)
		got := r.records("A", 0)
		for _, rec := range got {
			if at := want[string(rec.Body)]; rec.StoreTimestamp < at || rec.StoreTimestamp > at+2 {
				t.Errorf("%s is delivered %d ms late", rec.Body, rec.StoreTimestamp-at)
			}
			if rec.PreparedOffset == 0 && string(rec.Body) != "m0" || rec.Flag != 3 || rec.BornTimestamp != 7 {
				t.Errorf("%s: %+v", rec.Body, rec)
			}
			if rolls := num(&rec, message.PropertyTimerRollTimes); rolls == 0 && want[string(rec.Body)]-begin > 2*3600*1000 {
				t.Errorf("%s has never been rolled", rec.Body)
			}
			if put, out := num(&rec, message.PropertyTimerEnqueue), num(&rec, message.PropertyTimerDequeue); put < begin || out != rec.StoreTimestamp {
				t.Errorf("%s was put in at %d, taken out at %d, stored at %d", rec.Body, put, out, rec.StoreTimestamp)
			}
		}
		if len(got) != len(want) || r.svc.Rolled() == 0 || r.svc.Skipped() != 0 {
			t.Errorf("%d of %d delivered, %d rolled, %d skipped", len(got), len(want), r.svc.Rolled(), r.svc.Skipped())
		}
		r.close()
	})
}

// A slot with more units than there is room for, put in before and while it is
// delivered, is delivered in the order of the times.
func TestFullSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, vfs.NewMem(), func(_ *store.Config, c *Config) { c.RollWindow, c.keep = 10*time.Hour, 16 })
		begin := r.wall()
		rng := rand.New(rand.NewPCG(2, 1))
		slot := begin - begin%1000 + 20_000
		n := 0
		put := func(from int64) {
			r.at(fmt.Sprint(n), max(slot+1+rng.Int64N(1000), from))
			n++
		}
		for range 500 {
			put(0)
		}
		after(19 * time.Second) // the slot is read soon
		for range 200 {
			put(r.wall() + 1)
			after(9 * time.Millisecond)
		}
		after(10 * time.Second)
		got := r.records("A", 0)
		last := int64(0)
		for _, rec := range got {
			at := num(&rec, message.PropertyTimerDeliver)
			if rec.StoreTimestamp < at || rec.StoreTimestamp > at+2 || at < last {
				t.Errorf("%s for %d is delivered at %d, after one for %d", rec.Body, at, rec.StoreTimestamp, last)
			}
			last = at
		}
		if len(got) != n {
			t.Errorf("%d of %d delivered", len(got), n)
		}
		r.close()
	})
}

func TestRecall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, vfs.NewMem())
		begin := r.wall()
		far := begin + 5*3600*1000 + 77 // rolled, both of them
		r.at("keep", begin+5500)
		r.at("gone", begin+5500)
		r.at("far", far)
		r.mustSend("B", 0, timed("gone", message.PropertyTimerDeliver, begin+5500)) // another topic's
		if err := r.recall("A", "gone", begin+5500); err != nil {
			t.Fatal(err)
		}
		after(time.Minute)
		if err := r.recall("A", "far", far); err != nil {
			t.Fatal(err)
		}
		if err := r.recall("A", "keep", begin+5500); err == nil {
			t.Error("what has been delivered is recalled")
		}
		after(12 * time.Hour)
		if got := r.bodies(); !slices.Equal(got, []string{"keep"}) {
			t.Errorf("%q", got)
		}
		if got := r.records("B", 0); len(got) != 1 {
			t.Errorf("%d of the other topic", len(got))
		}
		if r.svc.Recalled() != 2 {
			t.Errorf("%d recalled", r.svc.Recalled())
		}
		r.close()
	})
}

// A long stop: what was due meanwhile comes at once, the rest on time.
func TestStopped(t *testing.T) {
	for _, down := range []time.Duration{time.Second, 3 * time.Hour, 20 * 24 * time.Hour} {
		t.Run(down.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := vfs.NewMem()
				r := start(t, m)
				begin := r.wall()
				r.at("soon", begin+700)
				r.at("hours", begin+2*3600*1000+5)
				r.at("late", begin+down.Milliseconds()+24*3600*1000+9)
				r.close()
				after(down)
				r = start(t, m)
				opened := r.wall()
				r.at("new", opened+1234)
				after(26 * time.Hour)
				for _, rec := range r.records("A", 0) {
					at := max(num(&rec, message.PropertyTimerDeliver), opened)
					if rec.StoreTimestamp < at || rec.StoreTimestamp > at+2 {
						t.Errorf("%s is delivered %d ms late", rec.Body, rec.StoreTimestamp-at)
					}
				}
				got := r.bodies()
				slices.Sort(got)
				if !slices.Equal(got, []string{"hours", "late", "new", "soon"}) {
					t.Errorf("%q", got)
				}
				r.close()
			})
		})
	}
}

// Whatever is done to the wall clock, nothing is early or late by the process's.
func TestClockJumps(t *testing.T) {
	for _, jump := range []int64{-7200_000, -1500, 1500, 7200_000} {
		t.Run(fmt.Sprint(jump), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := vfs.NewMem()
				r := start(t, m)
				want := map[string]time.Time{}
				send := func(prefix string) {
					for _, d := range []int64{1, 999, 1000, 2500, 61_003} {
						now := time.Now()
						name := fmt.Sprint(prefix, " in ", d)
						r.in(name, d)
						want[name] = now.Add(time.Duration(d) * time.Millisecond)
						name = fmt.Sprint(prefix, " at ", d)
						r.at(name, r.wall()+d)
						want[name] = now.Add(time.Duration(d) * time.Millisecond)
					}
				}
				send("before")
				after(777 * time.Millisecond)
				r.jump.Add(jump)
				send("behind")
				after(70 * time.Second)
				synctest.Wait()
				for name, at := range want {
					if len(r.arrivals[name]) != 1 {
						t.Errorf("%s delivered %d times", name, len(r.arrivals[name]))
						continue
					}
					if late := r.arrivals[name][0].Sub(at); late < 0 || late > 6*time.Millisecond {
						t.Errorf("%s is %s late", name, late)
					}
				}
				r.close()
			})
		})
	}
}

// While a checkpoint waits for a slow disk nothing is delivered, so the next one
// waits the longer.
func TestCheckpointsOnASlowDisk(t *testing.T) {
	for _, c := range []struct {
		sync        time.Duration
		least, most int32
	}{{0, 55, 61}, {15 * time.Millisecond, 4, 22}, {2 * time.Second, 1, 4}} {
		synctest.Test(t, func(t *testing.T) {
			m := vfs.NewMem()
			r := start(t, m)
			var written atomic.Int32
			m.Fail(func(op vfs.Op, name string) error {
				switch {
				case op == vfs.OpRename && strings.HasSuffix(name, "timercheck.tmp"):
					written.Add(1)
				case op == vfs.OpSync && strings.Contains(name, "timerlog"):
					time.Sleep(c.sync)
				}
				return nil
			})
			var names []string
			for i := range 600 {
				names = append(names, fmt.Sprint("m", i))
				r.in(names[i], 50)
				after(100 * time.Millisecond)
			}
			if n := written.Load(); n < c.least || n > c.most {
				t.Errorf("a disk that takes %v: %d checkpoints in a minute, want %d to %d", c.sync, n, c.least, c.most)
			}
			after(10 * time.Second)
			r.wantOnce(names...)
			m.Fail(nil)
		})
	}
}
