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

// javaResumes tells what RocketMQ would do with the directory of r, which is
// closed: the bodies that it delivers from the wheel, from the slot of the
// checkpoint on, and the entry of the wheel's topic at which it goes on. As its
// recovery does, it takes the last unit of a slot in the timerlog for the end of the
// slot's chain, and goes on behind the entry of the last unit of all.
func javaResumes(t *testing.T, m vfs.FS, st *store.Store) (bodies []string, entry int64) {
	t.Helper()
	c, ok, err := timerfile.ReadCheckpoint(m, "/data")
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	w, _, err := timerfile.OpenWheel(m, "/data")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	l, err := timerfile.OpenLog(m, "/data", 4096)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	body := func(u *timerfile.Unit) (rec message.Record) {
		b, release, err := st.Record(u.Offset)
		if err != nil {
			t.Fatal(err)
		}
		defer release()
		if _, err := message.DecodeRecord(append([]byte(nil), b...), &rec, true); err != nil {
			t.Fatal(err)
		}
		return rec
	}
	last := map[int64]int64{}
	if err := w.Range(func(n int64, s timerfile.Slot) error { last[n] = s.Last; return nil }); err != nil {
		t.Fatal(err)
	}
	var final timerfile.Unit
	if _, err := l.Scan(l.Begin(), func(pos int64, u *timerfile.Unit) error {
		last[u.Time()/1000], final = pos, *u
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for n, pos := range last {
		for n >= c.Read/1000 && pos >= l.Begin() {
			u, err := l.Read(pos)
			if err != nil {
				t.Fatal(err)
			}
			if u.Kind&timerfile.KindDelete == 0 {
				rec := body(&u)
				bodies = append(bodies, string(rec.Body))
			}
			pos = u.Prev
		}
	}
	rec := body(&final)
	return bodies, min(rec.QueueOffset+1, c.Master)
}

// A directory that goes back to RocketMQ after a clean stop, at any moment of a
// slot, has each message once: delivered, in a slot that RocketMQ has still to
// deliver, or behind the entry at which it goes on. It is so too when units of an
// earlier run were put into later slots.
func TestGivenBackToRocketMQ(t *testing.T) {
	moved, seeds := 0, uint64(30)
	if raceEnabled {
		seeds = 8
	}
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 3))
			m, jump := vfs.NewMem(), new(atomic.Int64)
			few := func(_ *store.Config, c *Config) { c.keep = 4 }
			n := 0
			for run := range 4 {
				r, err := tryStart(t, m, jump, few)
				if err != nil {
					t.Fatal(err)
				}
				for range 60 {
					r.in(fmt.Sprint("m", n), 1+rng.Int64N(6000))
					n++
					after(time.Duration(rng.IntN(90)) * time.Millisecond)
				}
				synctest.Wait()
				if run == 2 { // the next one finds units that are not due
					jump.Add(-rng.Int64N(700))
				}
				if r.svc.held {
					moved++
				}
				if err := r.svc.Close(); err != nil {
					t.Fatal(err)
				}
				times := map[string]int{}
				for _, b := range r.bodies() {
					times[b]++
				}
				waits, entry := javaResumes(t, m, r.st)
				for _, b := range waits {
					times[b]++
				}
				list := r.records(message.TopicTimer, 0)
				for i, rec := range list {
					if int64(i) >= entry {
						times[string(rec.Body)]++
					}
				}
				if entry != int64(len(list)) {
					t.Errorf("seed %d: it goes on at entry %d of %d", seed, entry, len(list))
				}
				for i := range n {
					if name := fmt.Sprint("m", i); times[name] != 1 {
						t.Errorf("seed %d, run %d: %s is there %d times", seed, run, name, times[name])
					}
				}
				r.close()
			}
			r, err := tryStart(t, m, jump, few)
			if err != nil {
				t.Fatal(err)
			}
			after(time.Minute)
			if got := len(r.bodies()); got != n {
				t.Errorf("seed %d: %d of %d delivered", seed, got, n)
			}
			r.close()
		})
	}
	if moved == 0 {
		t.Error("no run ended in a slot of which units were moved: the test shows less than it says")
	}
}
