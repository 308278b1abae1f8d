// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package timer

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

// larger has files that hold a crowd.
func larger(sc *store.Config, c *Config) {
	sc.CommitLogFileSize, sc.ConsumeQueueFileSize = 16<<20, 2_000_000
	c.FileSize, c.RollWindow = 1<<20, 10*time.Hour
}

// crowd sends n messages for the times that due says, many with one append.
func (r *rig) crowd(n int, due func(i int) int64) {
	r.t.Helper()
	var list []*message.Record
	for i := range n {
		list = append(list, timed(fmt.Sprint("c", i), message.PropertyTimerDeliver, due(i)))
		if len(list) == 500 || i == n-1 {
			r.mustSend("A", 0, list...)
			list = list[:0]
		}
	}
}

// once checks that each of the crowd is in A once, and not early.
func (r *rig) once(n int) {
	r.t.Helper()
	times := map[string]int{}
	for _, rec := range r.records("A", 0) {
		times[string(rec.Body)]++
		if at := num(&rec, message.PropertyTimerDeliver); rec.StoreTimestamp < at {
			r.t.Fatalf("%s is %d ms early", rec.Body, at-rec.StoreTimestamp)
		}
	}
	if len(times) != n {
		r.t.Errorf("%d of %d delivered", len(times), n)
	}
	for name, k := range times {
		if k != 1 {
			r.t.Fatalf("%s is delivered %d times", name, k)
		}
	}
}

// A slot of many windows costs a fixed number of walks over its units once it is
// over, however many windows there are; what is put in meanwhile is delivered too,
// and nothing twice.
func TestCrowdedSlotIsReadAFewTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := vfs.NewMem()
		n, late := 20_000, 3_000
		if raceEnabled {
			n, late = 6_000, 1_000
		}
		crowded := func(sc *store.Config, c *Config) { larger(sc, c); c.keep = 512 }
		r := start(t, m, crowded)
		slot := r.wall()/1000*1000 + 20_000
		r.crowd(n, func(i int) int64 {
			if i%2 == 0 {
				return slot + 1 + int64(i*1000/n)
			}
			return slot + 500
		})
		after(2 * time.Second)
		r.close()
		after(30 * time.Second)

		var mu sync.Mutex
		reads := 0
		m.Fail(func(op vfs.Op, name string) error {
			if op == vfs.OpRead && strings.Contains(name, "timerlog") {
				mu.Lock()
				reads++
				mu.Unlock()
			}
			return nil
		})
		r = start(t, m, crowded)
		for i := range late { // due at once, into the slot under way
			r.in(fmt.Sprint("late", i), 1)
		}
		after(time.Minute)
		r.once(n + late)
		r.close()
		const block = 8192 / 52
		mu.Lock()
		defer mu.Unlock()
		if most := 8*(n+late)/block + 4*(n+late)/512; reads > most {
			t.Errorf("%d reads of the timerlog, at most %d", reads, most)
		}
	})
}

// A crowded slot is read in steps, between which there is time for what is due.
func TestCrowdIsReadInSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, vfs.NewMem(), larger)
		due := r.wall()/1000*1000 + 60_000
		const n = 5 * loadStep
		r.crowd(n, func(int) int64 { return due })
		synctest.Wait()
		w, steps := new(window), 0
		for done := false; !done; steps++ {
			var err error
			if done, err = r.svc.fill(w, due/1000-1, r.wall()); err != nil {
				t.Fatal(err)
			}
		}
		if steps < n/loadStep || len(w.items) != n {
			t.Errorf("%d units in %d steps, of at most %d each", len(w.items), steps, loadStep)
		}
		r.close()
	})
}

// Timers that wait take no memory in proportion: a service that is opened on many
// of them holds as much as one that has few.
func TestPendingTakeNoMemory(t *testing.T) {
	n := 200_000
	if raceEnabled || testing.Short() {
		n = 5_000
	}
	dir := t.TempDir()
	open := func() *rig {
		return start(t, vfs.OS(), larger, func(sc *store.Config, c *Config) { sc.Dir, c.Dir, c.FileSize = dir, dir, 4<<20 })
	}
	heap := func() int64 {
		runtime.GC() // the first takes what pools hold out of use
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return int64(s.HeapAlloc)
	}
	wait := func(r *rig, put int64) {
		for end := time.Now().Add(time.Minute); r.svc.Behind() > 0 || r.svc.Position() < put; runtime.Gosched() {
			if time.Now().After(end) {
				t.Fatalf("%d are not in the wheel", r.svc.Behind())
			}
		}
	}
	r := open()
	begin := r.wall()
	r.crowd(100, func(i int) int64 { return begin + 3600_000 + int64(i) })
	wait(r, 100)
	r.close()

	measure := func() int64 {
		before := heap()
		r = open()
		r.crowd(1, func(int) int64 { return begin + 7200_000 })
		wait(r, 1)
		defer r.close()
		return heap() - before
	}
	few := measure()
	r = open()
	r.crowd(n, func(i int) int64 { return begin + 3600_000 + int64(i)%1000*1000 })
	wait(r, int64(n))
	r.close()
	if many := measure(); many > few+int64(4*n)+256<<10 {
		t.Errorf("with %d timers the service holds %d bytes, with few %d", n, many, few)
	}
}
