// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package consumequeue_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/store/consumequeue"
	"github.com/twostage/twostage/internal/vfs"
)

func TestReadBounds(t *testing.T) {
	s := open(t, newMem(t), 200)
	defer s.Close()
	q := s.Queue("T", 0)
	appendRecords(t, q, 0, 35)
	must(t, s.Flush())
	appendRecords(t, q, 35, 42) // on files and in the tail
	wantRange(t, q, 0, 42)
	for from := range int64(42) {
		for to := from; to <= 42; to++ {
			wantRecords(t, q, from, to)
		}
	}
	for _, n := range []int{-1, 0, 5} {
		got, err := q.Read(nil, 42, n)
		must(t, err)
		if len(got) != 0 {
			t.Errorf("%d entries behind the end", len(got))
		}
	}
	if got, err := q.Read(nil, 40, 1<<40); err != nil || len(got) != 2 {
		t.Errorf("read to the end: %d entries, %v", len(got), err)
	}
	_, err := q.Read(nil, -1, 1)
	wantErr(t, err, consumequeue.ErrBelowMin)
}

func TestAppendBelowMaxIsNoOp(t *testing.T) {
	s := open(t, newMem(t), 200)
	defer s.Close()
	q := s.Queue("T", 0)
	appendRecords(t, q, 0, 15)
	must(t, q.Append(3, record(99)))
	wantRange(t, q, 0, 15)
	wantRecords(t, q, 0, 15)
}

func TestFrontIsPadded(t *testing.T) {
	m := newMem(t)
	s := open(t, m, 200)
	q := s.Queue("T", 7)
	appendRecords(t, q, 1234, 1250)
	wantRange(t, q, 1234, 1250)
	must(t, s.Close())
	names, err := m.ReadDir(dir + "/T/7")
	must(t, err)
	if len(names) != 2 || names[0] != fmt.Sprintf("%020d", 1230*20) {
		t.Errorf("files %v", names)
	}
	data, err := vfs.ReadFile(m, dir+"/T/7/"+names[0])
	must(t, err)
	blank := string(append(append(make([]byte, 8), 0x7f, 0xff, 0xff, 0xff), make([]byte, 8)...))
	if got := string(data[:80]); got != strings.Repeat(blank, 4) {
		t.Errorf("padding is %x", got)
	}
	s = open(t, m, 200)
	defer s.Close()
	wantRange(t, s.Queue("T", 7), 1234, 1250)
	wantRecords(t, s.Queue("T", 7), 1234, 1250)
}

func TestGapIsBlank(t *testing.T) {
	m := newMem(t)
	s := open(t, m, 200)
	q := s.Queue("T", 0)
	appendRecords(t, q, 0, 3)
	appendRecords(t, q, 27, 29)
	must(t, s.Close())
	s = open(t, m, 200)
	defer s.Close()
	q = s.Queue("T", 0)
	wantRange(t, q, 0, 29)
	got, err := q.Read(nil, 0, 100)
	must(t, err)
	for i, e := range got {
		if blank := i >= 3 && i < 27; e.Blank() != blank {
			t.Errorf("entry %d is %v", i, e)
		}
	}
	wantErr(t, q.Append(1<<40, record(1<<40)), consumequeue.ErrGap)
	wantRange(t, q, 0, 29)
}

// A queue of which nothing is kept goes on where the log does, however far.
func TestRestartBehindRetention(t *testing.T) {
	m := newMem(t)
	s := open(t, m, 200)
	q := s.Queue("T", 0)
	appendRecords(t, q, 0, 45)
	must(t, s.Flush())
	must(t, q.SetMin(45*100))
	wantRange(t, q, 45, 45)
	appendRecords(t, q, 1<<40+3, 1<<40+5)
	wantRange(t, q, 1<<40+3, 1<<40+5)
	must(t, s.Close())
	s = open(t, m, 200)
	defer s.Close()
	wantRange(t, s.Queue("T", 0), 1<<40+3, 1<<40+5)
}

func TestSetMin(t *testing.T) {
	m := newMem(t)
	s := open(t, m, 200)
	defer s.Close()
	q := s.Queue("T", 0)
	appendRecords(t, q, 0, 95)
	must(t, s.Flush())
	for _, c := range []struct {
		physical, min int64
		files         int
	}{{0, 0, 10}, {1, 1, 10}, {900, 9, 10}, {901, 10, 9}, {500, 10, 9}, {5555, 56, 5}, {9400, 94, 1}, {9401, 95, 1}, {1 << 40, 95, 1}} {
		must(t, q.SetMin(c.physical))
		wantRange(t, q, c.min, 95)
		names, err := m.ReadDir(dir + "/T/0")
		must(t, err)
		if len(names) != c.files {
			t.Errorf("below %d: %d files, want %d", c.physical, len(names), c.files)
		}
		wantRecords(t, q, c.min, 95)
		_, err = q.Read(nil, c.min-1, 1)
		wantErr(t, err, consumequeue.ErrBelowMin)
	}
	appendRecords(t, q, 95, 96)
	must(t, q.SetMin(9500))
	wantRange(t, q, 95, 96)
	must(t, q.SetMin(9501))
	wantRange(t, q, 96, 96)
}

func TestTruncatePhysical(t *testing.T) {
	for _, flushed := range []int64{0, 25, 60} {
		for keep := range int64(61) {
			m := newMem(t)
			s := open(t, m, 200)
			q := s.Queue("T", 0)
			appendRecords(t, q, 0, flushed)
			must(t, s.Flush())
			appendRecords(t, q, flushed, 60)
			must(t, q.TruncatePhysical(keep*100))
			check := func() {
				t.Helper()
				wantRange(t, q, 0, keep)
				wantRecords(t, q, 0, keep)
				physical := keep * 100
				if keep == 0 {
					physical = -1
				}
				if q.MaxPhysical() != physical {
					t.Fatalf("MaxPhysical %d, want %d", q.MaxPhysical(), physical)
				}
			}
			check()
			must(t, s.Close())
			s = open(t, m, 200)
			q = s.Queue("T", 0)
			check()
			appendRecords(t, q, keep, 70)
			wantRecords(t, q, 0, 70)
			must(t, s.Close())
		}
	}
}

// Gaps at the end stay when the records behind them go: their offsets may be
// known to consumers.
func TestTruncateKeepsGap(t *testing.T) {
	s := open(t, newMem(t), 200)
	defer s.Close()
	q := s.Queue("T", 0)
	appendRecords(t, q, 0, 3)
	appendRecords(t, q, 17, 20)
	must(t, q.TruncatePhysical(1700))
	wantRange(t, q, 0, 17)
	if q.MaxPhysical() != 300 {
		t.Errorf("MaxPhysical %d", q.MaxPhysical())
	}
}

func TestDelete(t *testing.T) {
	m := newMem(t)
	s := open(t, m, 200)
	old := s.Queue("T", 0)
	appendRecords(t, old, 0, 30)
	appendRecords(t, s.Queue("U", 0), 0, 5)
	must(t, s.Flush())
	appendRecords(t, old, 30, 35)
	must(t, s.Delete("T"))
	must(t, s.Delete("never there"))
	wantErr(t, old.Append(35, record(35)), consumequeue.ErrDeleted)
	_, err := old.Read(nil, 0, 1)
	wantErr(t, err, consumequeue.ErrDeleted)
	if _, ok := s.Lookup("T", 0); ok {
		t.Error("still there")
	}
	left := m.Crash(vfs.CrashOptions{})
	s = open(t, left, 200)
	defer s.Close()
	if _, ok := s.Lookup("T", 0); ok {
		t.Error("came back after a power cut")
	}
	wantRange(t, s.Queue("U", 0), 0, 5)
	if names, err := left.ReadDir(dir); err != nil || len(names) != 1 {
		t.Errorf("left %v, %v", names, err)
	}
	appendRecords(t, s.Queue("T", 0), 0, 4)
	wantRange(t, s.Queue("T", 0), 0, 4)
}

func TestClose(t *testing.T) {
	m := newMem(t)
	s := open(t, m, 200)
	q := s.Queue("T", 0)
	appendRecords(t, q, 0, 3)
	must(t, s.Close())
	must(t, s.Close())
	wantErr(t, q.Append(3, record(3)), consumequeue.ErrClosed)
	_, err := q.Read(nil, 0, 1)
	wantErr(t, err, consumequeue.ErrClosed)
	s = open(t, m.Crash(vfs.CrashOptions{}), 200)
	defer s.Close()
	wantRecords(t, s.Queue("T", 0), 0, 3)
}

func TestRefusesTopicsThatAreNoNames(t *testing.T) {
	m := newMem(t)
	s := open(t, m, 20)
	for _, topic := range []string{"", ".", "..", "a/b", "a\x00", ".deleted.x"} {
		must(t, s.Queue(topic, 0).Append(0, record(0)))
		if err := s.Flush(); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", topic)) {
			t.Errorf("topic %q: %v", topic, err)
		}
		if err := s.Delete(topic); err == nil {
			t.Errorf("topic %q deleted", topic)
		}
	}
	if err := s.Close(); err == nil {
		t.Error("closed with what could not be written")
	}
	if err := s.Queue("T", 0).Append(0, entry{Offset: 1}); err == nil {
		t.Error("an entry without a size was taken")
	}
}

func TestOptions(t *testing.T) {
	for _, o := range []consumequeue.Options{{FileSize: 30}, {FileSize: -20}, {FileSize: 10}, {MaxOpen: -1}} {
		o.FS, o.Dir = newMem(t), dir
		if _, err := consumequeue.Open(o); err == nil {
			t.Errorf("%+v taken", o)
		}
	}
}
