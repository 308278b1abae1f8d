// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package timer

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/vfs"
)

// A machine that began with a wrong clock, set forward by more than the wheel holds
// before a restart: what is due comes at its time, also while old slots are passed
// whose messages are not due yet.
func TestRestartAfterClockWasSetForward(t *testing.T) {
	for _, c := range []struct {
		name      string
		precision time.Duration
		jump      time.Duration
		wait      time.Duration
	}{
		{"within the wheel", time.Second, 5 * 24 * time.Hour, 24 * time.Hour},
		{"beyond it", time.Second, 20 * 24 * time.Hour, 24 * time.Hour},
		{"beyond it, small slots", 100 * time.Millisecond, 36 * time.Hour, 10 * time.Hour},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := vfs.NewMem()
				days := func(_ *store.Config, cfg *Config) { cfg.Precision, cfg.RollWindow = c.precision, 48*time.Hour }
				r := start(t, m, days)
				r.jump.Add(c.jump.Milliseconds())
				want := map[string]time.Time{"time": time.Now().Add(c.wait), "delay": time.Now().Add(c.wait)}
				r.at("time", r.wall()+c.wait.Milliseconds())
				r.in("delay", c.wait.Milliseconds())
				after(3 * time.Second)
				r.close()
				r, err := tryStart(t, m, r.jump, days)
				if err != nil {
					t.Fatal(err)
				}
				after(time.Minute)
				want["new"] = time.Now().Add(time.Second)
				r.in("new", 1000)
				after(c.wait + time.Hour)
				for name, at := range want {
					r.mu.Lock()
					got := r.arrivals[name]
					r.mu.Unlock()
					if len(got) != 1 || got[0].Before(at) || got[0].Sub(at) > 100*time.Millisecond {
						t.Errorf("%s is delivered at %v, not %v", name, got, at)
					}
				}
				r.close()
			})
		})
	}
}

// The clock began years ago: the slots of those years that have no units are passed
// at once, and what is sent meanwhile comes in its time.
func TestRestartAfterYears(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := vfs.NewMem()
		r := start(t, m)
		r.in("before", 5)
		after(1500 * time.Millisecond)
		r.jump.Add(2 * 365 * 86400_000)
		r.close()
		var looks atomic.Int64 // at the clock: a few for each slot
		r, err := tryStart(t, m, r.jump, func(_ *store.Config, c *Config) {
			wall := c.NowMillis
			c.NowMillis = func() int64 { looks.Add(1); return wall() }
		})
		if err != nil {
			t.Fatal(err)
		}
		r.in("new", 10)
		after(time.Second)
		if got := r.bodies(); len(got) != 2 || looks.Load() > 50_000 {
			t.Errorf("%q delivered, %d looks at the clock", got, looks.Load())
		}
		r.close()
	})
}
