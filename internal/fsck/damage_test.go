// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package fsck

import (
	"context"
	"errors"
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/store/checkpoint"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

// where says which findings a damage makes: all of them in one file, at or behind
// an offset.
type where struct {
	level Level
	kind  Kind
	file  string
	at    int64
	text  string
}

func expect(t *testing.T, r *Report, w where) {
	t.Helper()
	if len(r.Findings) == 0 {
		t.Fatalf("nothing found: %+v", r)
	}
	for _, f := range r.Findings {
		if f.Level != w.level || f.Kind != w.kind || f.File != w.file || f.Offset != w.at || !strings.Contains(f.Text, w.text) {
			t.Errorf("%s %v\nwant %+v", f.Kind, f, w)
		}
	}
	if len(r.Findings) > 1 {
		t.Errorf("%d findings", len(r.Findings))
	}
}

// positions are the records of a store by their log offset.
func positions(t *testing.T, m vfs.FS) (list []Record) {
	t.Helper()
	d := must(Open(options(m)))(t)
	defer d.Close()
	if err := d.DumpLog(t.Context(), Filter{}, func(r *Record) error {
		list = append(list, *r)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return list
}

func TestDamage(t *testing.T) {
	first := logFileName(0)
	whole := stopped(t)
	records := positions(t, whole)
	r30, last := records[30], records[len(records)-1]
	index := func(m vfs.FS) string { return dir + "/index/" + must(m.ReadDir(dir + "/index"))(t)[0] }
	for _, c := range []struct {
		name string
		do   func(m *vfs.Mem)
		want where
	}{
		{"a byte of a body", func(m *vfs.Mem) { change(t, m, first, r30.Offset+92, 'X') }, where{Damage, KindRecord, first, r30.Offset, "CRC"}},
		{"the magic of a record", func(m *vfs.Mem) { change(t, m, first, r30.Offset+4, 0) }, where{Damage, KindRecord, first, r30.Offset, "magic"}},
		{"a record's position", func(m *vfs.Mem) { change(t, m, first, r30.Offset+35, 1) }, where{Damage, KindRecord, first, r30.Offset, "stands at"}},
		{"a record's queue offset", func(m *vfs.Mem) { change(t, m, first, r30.Offset+25, 1) }, where{Damage, KindRecord, first, r30.Offset, "its queue has it at"}},
		{"a record's queue offset, back", func(m *vfs.Mem) { change(t, m, first, r30.Offset+27, 1) }, where{Damage, KindRecord, first, r30.Offset, "its queue has it at"}},
		{"the sign of a store time", func(m *vfs.Mem) { change(t, m, first, r30.Offset+56, 0x80) }, where{Damage, KindRecord, first, r30.Offset, "store time"}},
		{"the first record", func(m *vfs.Mem) { change(t, m, first, 0, 1) }, where{Damage, KindRecord, first, 0, "size"}},
		{"a hole in the log", func(m *vfs.Mem) { change(t, m, first, r30.Offset, make([]byte, 500)...) }, where{Damage, KindRecord, first, r30.Offset, "zeros"}},
		{"the last record", func(m *vfs.Mem) { change(t, m, last.File, last.FileOffset+92, 'X') }, where{Damage, KindEnd, last.File, last.FileOffset, "later records"}},
		{"the log's tail zeroed", func(m *vfs.Mem) { change(t, m, last.File, 0, make([]byte, 2000)...) }, where{Damage, KindEnd, last.File, 0, "later records"}},
		{"bytes behind the end", func(m *vfs.Mem) { change(t, m, last.File, last.FileOffset+last.Size+99, 7) }, where{Damage, KindEnd, last.File, last.FileOffset + last.Size, "1 bytes"}},
		{"a queue file taken away", func(m *vfs.Mem) { remove(t, m, queueFileName("T0", 0, 200)) }, where{Damage, KindName, queueFileName("T0", 0, 200), -1, "missing"}},
		{"the last queue file", func(m *vfs.Mem) { remove(t, m, queueFileName("T0", 0, 400)) }, where{Damage, KindName, queueFileName("T0", 0, 400), -1, "entries 20 to 27 are missing"}},
		{"the first queue file", func(m *vfs.Mem) { remove(t, m, queueFileName("T0", 0, 0)) }, where{Damage, KindName, queueFileName("T0", 0, 0), -1, "entries 0 to 9 are missing"}},
		{"a queue", func(m *vfs.Mem) { removeAll(t, m, dir+"/consumequeue/T1/1") }, where{Damage, KindQueue, dir + "/consumequeue/T1/1", -1, "7 records"}},
		{"a queue file cut", func(m *vfs.Mem) { truncate(t, m, queueFileName("T0", 0, 400), 70) }, where{Damage, KindSize, queueFileName("T0", 0, 400), 70, "70 bytes"}},
		{"zeros in a queue", func(m *vfs.Mem) { change(t, m, queueFileName("T0", 0, 200), 40, make([]byte, 60)...) }, where{Damage, KindQueue, queueFileName("T0", 0, 200), 40, "entries 12 to 14"}},
		{"an entry behind the end of a queue", func(m *vfs.Mem) { change(t, m, queueFileName("T0", 0, 400), 181, 1) }, where{Damage, KindQueue, queueFileName("T0", 0, 400), 180, "behind the end"}},
		{"one entry too many", func(m *vfs.Mem) { change(t, m, queueFileName("T0", 0, 400), 160, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 99) }, where{Damage, KindQueue, queueFileName("T0", 0, 400), 160, "none with that queue offset"}},
		{"the index cut", func(m *vfs.Mem) { truncate(t, m, index(m), 500) }, where{Damage, KindSize, "", 500, "500 bytes"}},
		{"zeros in the index", func(m *vfs.Mem) { change(t, m, index(m), 92+20*5, make([]byte, 80)...) }, where{Damage, KindIndex, "", 92 + 20*5, "4 entries"}},
		{"slots of the index", func(m *vfs.Mem) { change(t, m, index(m), 48, make([]byte, 16)...) }, where{Damage, KindIndex, "", 48, "3 more slots"}},
		{"an op record's body", func(m *vfs.Mem) {
			for _, r := range records {
				if r.Fields != nil && r.Op != nil {
					change(t, m, r.File, r.FileOffset+19, 0x2d) // its flag: another distance
					return
				}
			}
		}, where{Damage, KindOp, first, opAt(records), "log offset"}},
		{"a stray file in a queue", func(m *vfs.Mem) { write(t, m, dir+"/consumequeue/T0/0/notes.txt") }, where{Damage, KindName, dir + "/consumequeue/T0/0/notes.txt", -1, "20 digits"}},
		{"a stray file in the log", func(m *vfs.Mem) { write(t, m, dir+"/commitlog/x.bak") }, where{Note, KindName, dir + "/commitlog/x.bak", -1, "20 digits"}},
		{"a stray file in the index", func(m *vfs.Mem) { write(t, m, dir+"/index/x") }, where{Note, KindName, dir + "/index/x", -1, "17 digits"}},
		{"a stray file among the queues", func(m *vfs.Mem) { write(t, m, dir+"/consumequeue/x") }, where{Note, KindName, dir + "/consumequeue/x", -1, "topics"}},
		{"a stray file", func(m *vfs.Mem) { write(t, m, dir+"/x") }, where{Note, KindName, dir + "/x", -1, "no part"}},
		{"the checkpoint ahead", func(m *vfs.Mem) { change(t, m, dir+"/checkpoint", 10, 9) }, where{Damage, KindCheckpoint, dir + "/checkpoint", 8, "queues"}},
		{"no queues at all", func(m *vfs.Mem) { removeAll(t, m, dir+"/consumequeue") }, where{Behind, KindQueue, "", -1, "missing"}},
		{"no index at all", func(m *vfs.Mem) { removeAll(t, m, dir+"/index") }, where{Behind, KindIndex, dir + "/index", -1, "missing"}},
		{"deleted topics", func(m *vfs.Mem) { write(t, m, dir+"/deletedTopics.json") }, where{Damage, KindName, dir + "/deletedTopics.json", -1, "cannot be read"}},
		{"a mark", func(m *vfs.Mem) { write(t, m, dir+"/transactions/mark") }, where{Damage, KindTransaction, dir + "/transactions/mark", -1, "slot 0"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := stopped(t)
			c.do(m)
			before := digest(tree(t, m, dir))
			r := verify(t, m)
			if c.want.file == "" {
				c.want.file = index(m)
			}
			if c.name == "no queues at all" { // one for each
				for i, f := range r.Findings {
					if i > 0 && (f.Level != Behind || f.Kind != KindQueue || f.Offset != -1) {
						t.Error(f)
					}
				}
				r.Findings = r.Findings[:1]
				c.want.file = r.Findings[0].File
			}
			if c.name == "the index cut" || c.name == "the last record" || c.name == "the log's tail zeroed" {
				r.Findings = r.Findings[:1] // see TestIndexCut
			}
			expect(t, r, c.want)
			if after := digest(tree(t, m, dir)); !maps.Equal(before, after) {
				t.Error("verify has changed the directory")
			}
		})
	}
}

func opAt(records []Record) int64 {
	for _, r := range records {
		if r.Fields != nil && r.Op != nil {
			return r.FileOffset
		}
	}
	return -1
}

func remove(t testing.TB, m vfs.FS, name string) {
	t.Helper()
	if err := m.Remove(name); err != nil {
		t.Fatal(err)
	}
}

func removeAll(t testing.TB, m vfs.FS, name string) {
	t.Helper()
	if err := m.RemoveAll(name); err != nil {
		t.Fatal(err)
	}
}

func write(t testing.TB, m vfs.FS, name string) {
	t.Helper()
	if i := strings.LastIndexByte(name, '/'); m.MkdirAll(name[:i]) != nil {
		t.Fatal(name)
	}
	if err := vfs.WriteFile(m, name, []byte("not what should be here")); err != nil {
		t.Fatal(err)
	}
}

// TestLogCut: a log file that was cut short costs what stood there.
func TestLogCut(t *testing.T) {
	m := stopped(t)
	name := logFileName(logSize)
	truncate(t, m, name, 500)
	r := verify(t, m)
	if r.Clean || r.Damage != 2 {
		t.Errorf("%+v", r)
	}
	for _, f := range r.Findings {
		if f.File != name || f.Level != Damage || f.Kind != KindSize && f.Kind != KindEnd {
			t.Error(f)
		}
	}
}

// TestLocked: nothing is verified under a running broker.
func TestLocked(t *testing.T) {
	m := stopped(t)
	s := must(store.Open(config(m)))(t)
	if _, err := Verify(t.Context(), options(m)); !errors.Is(err, checkpoint.ErrInUse) {
		t.Errorf("Verify = %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// Without a lock file nobody runs, and none is made.
	remove(t, m, dir+"/lock")
	if r := verify(t, m); !r.Clean {
		t.Errorf("%+v", r)
	}
	if _, _, err := m.Stat(dir + "/lock"); err == nil {
		t.Error("there is a lock file")
	}
	started := false
	m.Fail(func(op vfs.Op, name string) error {
		if op == vfs.OpRead && strings.Contains(name, "/commitlog/") && !started {
			started = true
			s = must(store.Open(config(m)))(t)
		}
		return nil
	})
	if _, err := Verify(t.Context(), options(m)); !errors.Is(err, checkpoint.ErrInUse) {
		t.Errorf("Verify of a store that is started meanwhile = %v", err)
	}
	m.Fail(nil)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestUnreadable: what the disk does not give is named, the rest is read.
func TestUnreadable(t *testing.T) {
	m := stopped(t)
	broken := errors.New("input/output error")
	m.Fail(func(op vfs.Op, name string) error {
		if op == vfs.OpRead && name == logFileName(0) {
			return broken
		}
		return nil
	})
	r := verify(t, m)
	if r.Damage != 1 || r.Findings[0].File != logFileName(0) || !strings.Contains(r.Findings[0].Text, "input/output error") || r.Records == 0 {
		t.Errorf("%+v", r)
	}
	m.Fail(func(op vfs.Op, name string) error {
		if op == vfs.OpRead && name == queueFileName("T0", 0, 0) {
			return broken
		}
		return nil
	})
	if _, err := Verify(t.Context(), options(m)); !errors.Is(err, broken) || !strings.Contains(err.Error(), queueFileName("T0", 0, 0)) {
		t.Errorf("Verify = %v", err)
	}
}

// TestNoStore and other things that end at once.
func TestRefused(t *testing.T) {
	m := stopped(t)
	for want, change := range map[error]func(*Options){
		ErrNoStore:       func(o *Options) { o.Dir = "/data" },
		ErrIndexShape:    func(o *Options) { o.IndexSlots, o.IndexEntries = 0, 0 },
		os.ErrNotExist:   func(o *Options) { o.Dir = "/nowhere" },
		context.Canceled: nil,
	} {
		o, ctx := options(m), t.Context()
		if change != nil {
			change(&o)
		} else {
			c, cancel := context.WithCancel(ctx)
			cancel()
			ctx = c
		}
		if _, err := Verify(ctx, o); !errors.Is(err, want) {
			t.Errorf("Verify = %v, want %v", err, want)
		}
	}
	for _, o := range []Options{{IndexSlots: -1}, {IndexEntries: 1 << 40}, {QueueFileSize: 30}} {
		o.FS, o.Dir = m, dir
		if _, err := Open(o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}

// TestDeletedTopic: records of a deleted topic have no queue, and one that was made
// again begins anew; RocketMQ keeps no note of that.
func TestDeletedTopic(t *testing.T) {
	for _, forget := range []bool{false, true} {
		m := stopped(t)
		s := must(store.Open(config(m)))(t)
		if err := s.DeleteTopic("T0"); err != nil {
			t.Fatal(err)
		}
		for range 15 {
			put(t, s, "T0", 0, record("again", message.PropertyUniqueKey, "x"))
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if forget {
			remove(t, m, dir+"/deletedTopics.json")
		}
		r := verify(t, m)
		if !forget && len(r.Findings) != 0 {
			t.Errorf("%v", r.Findings)
		}
		for _, f := range r.Findings { // of the queue that was not made again
			if strings.Contains(f.File, "consumequeue/T0/0") {
				t.Error(f)
			}
		}
	}
}
