// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package fsck

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/store/checkpoint"
	"github.com/twostage/twostage/internal/vfs"
)

// trimmed is a store whose first log file retention has taken: one queue has lost
// all its records, others begin in the middle.
func trimmed(t testing.TB) *vfs.Mem {
	t.Helper()
	m := vfs.NewMem()
	s := must(store.Open(config(m)))(t)
	for i := range 13 {
		put(t, s, "GONE", 0, record("x", "UNIQ_KEY", fmt.Sprintf("G%d", i)))
	}
	fill(t, s)
	fill(t, s)
	closeStore(t, s)
	remove(t, m, logFileName(0))
	s = must(store.Open(config(m)))(t)
	closeStore(t, s)
	return m
}

func closeStore(t testing.TB, s *store.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// ends are the next offsets of all queues.
func ends(s *store.Store) map[string]int64 {
	list := make(map[string]int64)
	s.RangeQueues(func(q *store.Queue) bool {
		if q.Max() > 0 {
			list[fmt.Sprintf("%s/%d", q.Topic(), q.ID())] = q.Max()
		}
		return true
	})
	return list
}

// openEnds opens and closes a store.
func openEnds(t testing.TB, m vfs.FS) map[string]int64 {
	t.Helper()
	s := must(store.Open(config(m)))(t)
	list := ends(s)
	closeStore(t, s)
	return list
}

// logOf is the files of the log.
func logOf(t testing.TB, m vfs.FS) map[string]string { return digest(tree(t, m, dir+"/commitlog")) }

// works tests that a store opens, has at least the offsets that it had, and takes
// messages.
func works(t *testing.T, m vfs.FS, want map[string]int64, where string) {
	t.Helper()
	s, err := store.Open(config(m))
	if err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	got := ends(s)
	for name, next := range want {
		if got[name] != next {
			t.Errorf("%s: queue %s goes on at %d, it was at %d", where, name, got[name], next)
		}
	}
	if a := put(t, s, "GONE", 0, record("new", "UNIQ_KEY", "after"))[0]; a.QueueOffset != want["GONE/0"] {
		t.Errorf("%s: the next record has queue offset %d, want %d", where, a.QueueOffset, want["GONE/0"])
	}
	if err := s.WaitDispatched(s.MaxPhysical()); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"after", "E19"} {
		topic := map[string]string{"after": "GONE", "E19": "T0"}[key]
		r, err := s.Query(topic, key, 10, 0, math.MaxInt64)
		if err != nil || len(r.Records) == 0 {
			t.Errorf("%s: query for %s: %d records, %v", where, key, len(r.Records), err)
		}
		r.Release()
	}
	closeStore(t, s)
	for _, f := range verify(t, m).Findings {
		t.Errorf("%s: at last: %v", where, f)
	}
}

// TestRebuild: whatever the views hold, they are right afterwards, and the log is
// what it was.
func TestRebuild(t *testing.T) {
	for name, harm := range map[string]func(m *vfs.Mem){
		"nothing":              func(*vfs.Mem) {},
		"a queue file missing": func(m *vfs.Mem) { remove(t, m, queueFileName("T0", 0, 400)) },
		"a byte of a queue":    func(m *vfs.Mem) { change(t, m, queueFileName("T0", 0, 400), 7, 0x55) },
		"zeros in a queue":     func(m *vfs.Mem) { change(t, m, queueFileName("T1", 1, 0), 0, make([]byte, 100)...) },
		"a stray file":         func(m *vfs.Mem) { write(t, m, dir+"/consumequeue/T0/0/x") },
		"a queue file cut":     func(m *vfs.Mem) { truncate(t, m, queueFileName("T0", 0, 400), 30) },
		"the index cut":        func(m *vfs.Mem) { truncate(t, m, dir+"/index/"+must(m.ReadDir(dir + "/index"))(t)[0], 77) },
		"no index":             func(m *vfs.Mem) { removeAll(t, m, dir+"/index") },
		"a checkpoint ahead":   func(m *vfs.Mem) { change(t, m, dir+"/checkpoint", 2, 9) },
		"no checkpoint":        func(m *vfs.Mem) { remove(t, m, dir+"/checkpoint") },
		"an entry too much":    func(m *vfs.Mem) { change(t, m, queueFileName("T2", 0, 200), 100, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 99) },
		"a name out of reach":  func(m *vfs.Mem) { write(t, m, queueFileName("T0", 0, 1<<60-(1<<60)%200)) },
	} {
		t.Run(name, func(t *testing.T) {
			m := trimmed(t)
			want := openEnds(t, m)
			if want["GONE/0"] != 13 {
				t.Fatalf("%v", want)
			}
			harm(m)
			log := logOf(t, m)
			r := must(Rebuild(t.Context(), config(m)))(t)
			if r.Records == 0 || r.Aborted || r.Torn != 0 || len(r.Damage) != 0 || r.Start != logSize || r.Queues != len(want) {
				t.Errorf("%+v", r)
			}
			kept := 0
			for _, k := range r.Kept {
				if k.Topic == "GONE" && k.Next == 13 {
					kept++
				}
			}
			if kept != 1 {
				t.Errorf("kept %+v", r.Kept)
			}
			if !maps.Equal(log, logOf(t, m)) {
				t.Error("the log has changed")
			}
			for _, f := range verify(t, m).Findings {
				t.Error(f)
			}
			if name == "an entry too much" {
				want["T2/0"] = 16 // nobody can tell that it never was a record's
			}
			works(t, m, want, "afterwards")
		})
	}
}

// TestRebuildGolden: RocketMQ's directories.
func TestRebuildGolden(t *testing.T) {
	for name, size := range map[string]int64{"store-clean": 600, "store-killed": 2000} {
		o, m := golden(t, name)
		cfg := store.Config{Dir: o.Dir, CommitLogFileSize: 262144, ConsumeQueueFileSize: size, IndexSlots: 1000, IndexEntries: 4000,
			DelayLevels: o.DelayLevels, NowMillis: func() int64 { return o.Now }}
		before := digest(tree(t, vfs.OS(), o.Dir+"/commitlog"))
		r, err := Rebuild(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if r.Records != len(m.Messages) || r.End != m.AfterLoad.MaxPhyOffset || len(r.Kept) != 0 || r.Aborted != (name == "store-killed") {
			t.Errorf("%s: %+v", name, r)
		}
		if !maps.Equal(before, digest(tree(t, vfs.OS(), o.Dir+"/commitlog"))) {
			t.Errorf("%s: the log has changed", name)
		}
		v := must(Verify(t.Context(), o))(t)
		for _, f := range v.Findings {
			t.Errorf("%s: %v", name, f)
		}
		d := must(Open(o))(t)
		found := map[string][2]int64{}
		for _, topic := range must(d.Stat(t.Context()))(t).Topics {
			for _, q := range topic.Queues {
				found[fmt.Sprintf("%s/%d", topic.Topic, q.ID)] = [2]int64{q.Min, q.Max}
			}
		}
		_ = d.Close()
		for _, q := range m.Queues {
			if want := [2]int64{q.MinOffset, q.MaxOffset}; q.MaxOffset > 0 && found[fmt.Sprintf("%s/%d", q.Topic, q.QueueID)] != want {
				t.Errorf("%s: queue %d of %s has %v, want %v", name, q.QueueID, q.Topic, found[fmt.Sprintf("%s/%d", q.Topic, q.QueueID)], want)
			}
		}
	}
}

// TestRebuildDamagedLog: a damaged record is skipped and told; bytes at the end that
// are no record are left to the next start.
func TestRebuildDamagedLog(t *testing.T) {
	m := trimmed(t)
	want := openEnds(t, m)
	records := positions(t, m)
	change(t, m, records[3].File, records[3].FileOffset+92, 'X')
	last := records[len(records)-1]
	change(t, m, last.File, last.FileOffset+last.Size+10, 7)
	log := logOf(t, m)
	r := must(Rebuild(t.Context(), config(m)))(t)
	if !r.Aborted || r.Torn != 1 || len(r.Damage) != 1 || r.Damage[0].Offset != records[3].Offset || r.Damage[0].Copy != "" {
		t.Errorf("%+v", r)
	}
	if !maps.Equal(log, logOf(t, m)) {
		t.Error("the log has changed")
	}
	for _, f := range verify(t, m).Findings {
		if f.Kind != KindRecord && (f.Kind != KindEnd || f.Level != Behind) {
			t.Error(f)
		}
	}
	if got := openEnds(t, m); !maps.Equal(got, want) {
		t.Errorf("queues end at %v, want %v", got, want)
	}
}

// TestRebuildKeepsOffsets: a queue whose last records the log has lost does not go
// back, not even when the machine stops afterwards.
func TestRebuildKeepsOffsets(t *testing.T) {
	m := stopped(t)
	want := openEnds(t, m)
	records := positions(t, m)
	last := records[len(records)-1]
	change(t, m, last.File, 0, make([]byte, last.FileOffset+last.Size)...)
	r := must(Rebuild(t.Context(), config(m)))(t)
	if len(r.Kept) != 1 || r.Kept[0].Topic != "T0" || r.Kept[0].Next != want["T0/0"] || r.Kept[0].From >= want["T0/0"] || r.Aborted {
		t.Fatalf("%+v", r)
	}
	for range 3 {
		s := must(store.Open(config(m)))(t)
		if got := ends(s); !maps.Equal(got, want) {
			t.Errorf("queues end at %v, want %v", got, want)
		}
		want["T1/0"] = put(t, s, "T1", 0, record("more", "UNIQ_KEY", "x"))[0].QueueOffset + 1
		if err := s.Flush(s.MaxPhysical()); err != nil {
			t.Fatal(err)
		}
		m = m.Crash(vfs.CrashOptions{})
		_ = s.Close()
	}
	s := must(store.Open(config(m)))(t)
	q := s.Queue("T0", 0)
	if a := put(t, s, "T0", 0, record("here", "UNIQ_KEY", "x"))[0]; a.QueueOffset != want["T0/0"] {
		t.Errorf("the next record has queue offset %d, want %d", a.QueueOffset, want["T0/0"])
	}
	got := must(s.Get(q, r.Kept[0].From, 32, 1<<20, store.Filter{}))(t)
	if len(got.Records) != 1 || got.NextOffset != want["T0/0"]+1 {
		t.Errorf("a reader of what is lost gets %+v", got)
	}
	got.Release()
	closeStore(t, s)
	for _, f := range verify(t, m).Findings {
		t.Error(f)
	}
}

// TestRebuildInterrupted: an end of the context leaves a directory that the next
// start finishes.
func TestRebuildInterrupted(t *testing.T) {
	m := trimmed(t)
	want := openEnds(t, m)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Rebuild(ctx, config(m)); !errors.Is(err, context.Canceled) {
		t.Fatalf("Rebuild = %v", err)
	}
	found := false
	for _, f := range verify(t, m).Findings {
		found = found || f.Kind == KindName && f.Level == Behind && strings.HasSuffix(f.File, "consumequeue.replaced")
	}
	if !found {
		t.Error("verify does not tell")
	}
	works(t, m, want, "afterwards")
}

// TestRebuildStates: the states of half messages go, their story stays.
func TestRebuildStates(t *testing.T) {
	m := stopped(t)
	for _, name := range []string{"mark", "00000000000000000000", "00000000000000131072", "story/00000000000000000000"} {
		write(t, m, dir+"/transactions/"+name)
	}
	must(Rebuild(t.Context(), config(m)))(t)
	if left := tree(t, m, dir+"/transactions"); len(left) != 1 || left[dir+"/transactions/story/00000000000000000000"] == nil {
		t.Errorf("left: %v", digest(left))
	}
}

// TestRebuildRefused: what cannot be read is left as it is.
func TestRebuildRefused(t *testing.T) {
	m := stopped(t)
	s := must(store.Open(config(m)))(t)
	if _, err := Rebuild(t.Context(), config(m)); !errors.Is(err, checkpoint.ErrInUse) {
		t.Errorf("Rebuild of a running store: %v", err)
	}
	closeStore(t, s)
	before := digest(tree(t, m, dir))
	for want, change := range map[string]func(*store.Config){
		"lacks the file":     func(c *store.Config) { c.CommitLogFileSize = 4096 },
		"multiple":           func(c *store.Config) { c.CommitLogFileSize = 16384 },
		"no commit log":      func(c *store.Config) { c.CommitLog = "/nowhere" },
		"no directory given": func(c *store.Config) { c.Dir = "" },
	} {
		cfg := config(m)
		change(&cfg)
		if _, err := Rebuild(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if after := digest(tree(t, m, dir)); !maps.Equal(before, after) {
		t.Error("the directory has changed")
	}
}
