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
	"github.com/twostage/twostage/message"
)

// The store's time stands still because the clock was set back, and a slot begins
// between an entry's coming into its queue and Arrived: the delay is as long as ever.
func TestSlotBeginsBeforeArrived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var slow atomic.Bool
		r := start(t, vfs.NewMem(), func(sc *store.Config, _ *Config) {
			told := sc.OnArrive
			sc.OnArrive = func(q *store.Queue, offset, tags, ts int64, props []byte) {
				if q.Topic() == message.TopicTimer && slow.Swap(false) {
					after(20 * time.Millisecond)
				}
				told(q, offset, tags, ts, props)
			}
		})
		r.in("first", 10)
		after(time.Second)
		r.jump.Add(-600_000)
		r.in("next slot", 1500)
		after(time.Second - time.Duration(time.Now().UnixMilli()%1000+5)*time.Millisecond)
		slow.Store(true)
		want := time.Now().Add(3 * time.Second)
		r.in("m", 3000)
		after(20 * time.Minute)
		r.mu.Lock()
		defer r.mu.Unlock()
		if got := r.arrivals["m"]; slow.Load() || len(got) != 1 || got[0].Before(want) || got[0].Sub(want) > 30*time.Millisecond {
			t.Errorf("delivered at %v, not %v", got, want)
		}
	})
}
