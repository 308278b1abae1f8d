// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package timer

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/store/timerfile"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

// lose takes away the files of the wheel.
func lose(t *testing.T, m vfs.FS) {
	t.Helper()
	for _, name := range []string{"/data/timerwheel", "/data/timerlog", "/data/config/timercheck", "/data/config/timercheck.bak"} {
		if err := m.RemoveAll(name); err != nil {
			t.Fatal(err)
		}
	}
}

// A wheel is built again by parts where what became of its entries can't be
// remembered at once: nothing comes twice, nothing is lost.
func TestRebuildByParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := vfs.NewMem()
		tiny := func(_ *store.Config, c *Config) { c.RollWindow, c.rebuildPages = time.Minute, 1 }
		l := &ledger{sent: map[string]int64{}, recalled: map[string]bool{}, open: map[string]bool{}}
		rng := rand.New(rand.NewPCG(6, 6))
		r := start(t, m, tiny)
		for range 24 {
			r.scene(l, rng)
		}
		r.close()
		lose(t, m)
		r = start(t, m, tiny)
		if end := r.st.MaxPhysical(); end < 5*pageCells/2*cellSize {
			t.Errorf("a log of %d bytes: the test shows nothing", end)
		}
		r.scene(l, rng)
		after(10 * time.Minute)
		if n := r.check(l, "by ranges", false); n < 100 {
			t.Errorf("%d delivered: the test shows nothing", n)
		}
		r.close()
	})
}

// A rebuild reads the log once where what it remembers has room.
func TestRebuildReadsTheLogOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := vfs.NewMem()
		larger := func(_ *store.Config, c *Config) { c.FileSize = 1 << 20 }
		r := start(t, m, larger)
		const n = 2000
		for i := range n {
			r.in(fmt.Sprint("m", i), 1000+int64(i%2)*3600_000)
		}
		after(5 * time.Second)
		slow := &slowWalk{Log: r.st, took: time.Microsecond}
		synctest.Wait()
		r.svc.cfg.Log, r.svc.broken = slow, timerfile.ErrDamaged // Run waits, for the next entry
		r.in("next", 50)
		after(time.Minute)
		if got := slow.records.Load(); got < n || got > 2*n || r.svc.Behind() != 0 {
			t.Errorf("%d records walked over, of a log of about %d", got, 3*n/2)
		}
		r.close()
	})
}

// slowWalk is a log whose walks take long.
type slowWalk struct {
	Log
	took    time.Duration // for each record
	records atomic.Int64
}

func (l *slowWalk) Walk(from int64, visit func(*message.Record) error) error {
	return l.Log.Walk(from, func(rec *message.Record) error {
		time.Sleep(l.took)
		l.records.Add(1)
		return visit(rec)
	})
}

// Close ends a rebuild, and the next start begins it anew; the half of a wheel is
// never taken for a whole one.
func TestRebuildEndsWithClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := vfs.NewMem()
		r := start(t, m)
		const n = 1200
		for i := range n {
			r.in(fmt.Sprint("m", i), 7200_000+int64(i))
		}
		after(80 * time.Minute) // each is rolled
		r.close()
		lose(t, m)
		st := r.openStore(t, m)
		slow := &slowWalk{Log: st, took: time.Second}
		var said bytes.Buffer
		svc, err := Open(Config{Log: slow, Logger: slog.New(slog.NewTextHandler(&said, nil)), FS: m, Dir: "/data", NowMillis: r.wall, FileSize: 4096, RollWindow: time.Hour, rebuildPages: 1})
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = svc.Run(t.Context())
		}()
		after((2*n + 300) * time.Second) // in the second part
		begin := time.Now()
		if err := svc.Close(); err != nil {
			t.Fatal(err)
		}
		<-done
		if !strings.Contains(said.String(), "the timer wheel is not whole") {
			t.Errorf("Close does not say that RocketMQ would deliver again: %s", said.String())
		}
		if took := time.Since(begin); took > 2*time.Second {
			t.Errorf("closing takes %s", took)
		}
		if got := slow.records.Load(); got <= 2*n || svc.Behind() == 0 || svc.Behind() == 2*n {
			t.Errorf("%d records walked over, %d behind: it was not in the middle", got, svc.Behind())
		}
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
		r = start(t, m)
		after(3 * time.Hour)
		if got := len(r.bodies()); got != n {
			t.Errorf("%d of %d delivered", got, n)
		}
		r.close()
	})
}

func (r *rig) openStore(t *testing.T, m vfs.FS) *store.Store {
	t.Helper()
	st, err := store.Open(store.Config{Dir: "/data", FS: m, CommitLogFileSize: 64 << 10, ConsumeQueueFileSize: 2000, IndexSlots: 13, IndexEntries: 4000,
		NowMillis: r.wall, FlushInterval: time.Hour, FlushThoroughInterval: time.Hour, ViewFlushInterval: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// asRocketMQ writes the wheel that RocketMQ has when it has put in the entries for
// due, read up to a time, and removed the first files of the timerlog.
func asRocketMQ(t *testing.T, m vfs.FS, entries []store.Entry, due []int64, read int64, removed int) {
	t.Helper()
	w, _, err := timerfile.OpenWheel(m, "/data")
	if err != nil {
		t.Fatal(err)
	}
	l, err := timerfile.OpenLog(m, "/data", 4096)
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range entries {
		out := (due[i] - 1) / 1000 * 1000
		slot, err := w.Get(out / 1000)
		if err != nil {
			t.Fatal(err)
		}
		u := timerfile.Unit{Prev: slot.Last, Kind: timerfile.KindMessage, Put: out - 5000, Delay: 5000, Offset: e.PhysicalOffset, Size: e.Size}
		if slot.Last, err = l.Append(&u); err != nil {
			t.Fatal(err)
		}
		if slot.First < 0 {
			slot.First = slot.Last
		}
		slot.Num++
		if err := w.Put(out/1000, slot); err != nil {
			t.Fatal(err)
		}
	}
	c := timerfile.Checkpoint{Read: read, LogEnd: l.End(), QueueOffset: int64(len(entries)), Master: int64(len(entries))}
	if err := l.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	_, _ = w.Close(), l.Close()
	for i := range removed {
		if err := m.Remove(fmt.Sprintf("/data/timerlog/%020d", i*4096)); err != nil {
			t.Fatal(err)
		}
	}
	if err := vfs.WriteFile(m, "/data/config/timercheck", append(c.Encode()[:56], make([]byte, 4040)...)); err != nil {
		t.Fatal(err)
	}
}

// What RocketMQ has delivered stays delivered: when a chain leads into a file that
// RocketMQ has removed, when its wheel is damaged and built again, and when that
// happens in a later run.
func TestRocketMQsDeliveriesStay(t *testing.T) {
	for _, what := range []string{"chain into a removed file", "wheel damaged", "wheel damaged later"} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := vfs.NewMem()
				r := start(t, m)
				begin := r.wall() / 1000 * 1000
				var due []int64
				var want []string
				send := func(ms int64, waits bool) {
					name := fmt.Sprint("m", len(due))
					due = append(due, ms)
					r.at(name, ms)
					if waits {
						want = append(want, name)
					}
				}
				for range 100 {
					send(begin+3000, false) // delivered by RocketMQ
				}
				for i := range int64(5) {
					send(begin+100_000+i, true)
				}
				synctest.Wait()
				entries, err := r.st.Entries(nil, r.st.Queue(message.TopicTimer, 0), 0, len(due))
				if err != nil || len(entries) != len(due) {
					t.Fatal(len(entries), err)
				}
				r.stop()
				lose(t, m)
				removed := 0
				if what == "chain into a removed file" {
					// RocketMQ had the first of them in the slot of the last ones, too.
					due, removed = slices.Clone(due), 1
					for i := range 78 {
						due[i] = begin + 100_000
					}
				}
				asRocketMQ(t, m, entries, due, begin+4000, removed)
				if what == "wheel damaged" {
					if err := m.Remove("/data/timerwheel"); err != nil {
						t.Fatal(err)
					}
				}
				after(5 * time.Second)
				r = start(t, m)
				after(5 * time.Second)
				r.close()
				if what == "wheel damaged later" {
					if err := m.Remove("/data/timerwheel"); err != nil {
						t.Fatal(err)
					}
				}
				r = start(t, m)
				after(time.Hour)
				if got := r.bodies(); !slices.Equal(got, want) {
					t.Errorf("%q, want %q", got, want)
				}
				if names, err := m.ReadDir("/data/timerlog"); err != nil || removed > 0 && names[0] == "00000000000000000000" {
					t.Errorf("%q, %v: the wheel was built again", names, err)
				}
				r.close()
			})
		})
	}
}
