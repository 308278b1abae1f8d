// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package timer

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/store/timerfile"
	"github.com/twostage/twostage/internal/vfs"
)

// refusing is a log that takes nothing while it is told so.
type refusing struct {
	Log
	full atomic.Bool
}

func (l *refusing) Append(b *store.Batch) error {
	if l.full.Load() {
		return store.ErrDiskFull
	}
	return l.Log.Append(b)
}

// TestWaitingAndLate: what is in the wheel counts until its slot is over, over restarts
// and rebuilds, and who can't deliver is late.
func TestWaitingAndLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := vfs.NewMem()
		r := start(t, m)
		after(time.Duration(1000-r.wall()%1000) * time.Millisecond)
		want := func(when string, waiting int64, late time.Duration) {
			t.Helper()
			synctest.Wait()
			if n, d := r.svc.Waiting(), r.svc.Late(); n != waiting || d < late-time.Second || d > late+time.Second {
				t.Errorf("%s: %d wait, late by %v; want %d and about %v", when, n, d, waiting, late)
			}
		}
		want("at the start", 0, 0)
		for i := range 10 {
			r.in(fmt.Sprint("m", i), 5000+int64(i)*60_000) // the last after 545 s
		}
		r.at("recalled", r.wall()+100_000)
		after(2 * time.Second)
		want("all in", 11, 0)
		if err := r.recall("A", "recalled", r.wall()+98_000); err != nil {
			t.Fatal(err)
		}
		after(10 * time.Second)
		want("one delivered, one taken back", 9, 0)
		r.close()
		r = start(t, m)
		after(2 * time.Second)
		want("after a restart", 9, 0)
		log := &refusing{Log: r.st}
		synctest.Wait()
		r.svc.cfg.Log = log // Run waits, and is woken
		r.svc.rouse()
		log.full.Store(true)
		after(5 * time.Minute) // the next was due after about 51 s
		want("while the log takes nothing", 9, 249*time.Second)
		log.full.Store(false)
		after(time.Minute)
		want("when it does again", 3, 0)
		r.svc.broken = timerfile.ErrDamaged
		r.in("next", 1_000_000)
		after(5 * time.Second)
		want("after a rebuild", 4, 0)
		after(time.Hour)
		want("at the end", 0, 0)
		if n := len(r.bodies()); n != 11 {
			t.Errorf("%d delivered, want 11", n)
		}
		r.close()
	})
}
