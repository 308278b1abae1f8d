// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package story

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
)

// TestRing writes many times what the ring holds. It never takes more than it
// may, always holds the latest and at least half of what it may take, and Find
// reads over the turn.
func TestRing(t *testing.T) {
	const maxBytes = 20000
	m := vfs.NewMem()
	l := open(t, m, maxBytes)
	record := len(appendRecord(nil, ev(29)))
	n := 0
	for round := range 400 {
		for range 1 + round%37 {
			l.Append(ev(n))
			n++
		}
		waiting := 0
		if round%5 == 0 {
			waiting = 3
		}
		must(t, l.Write())
		for range waiting {
			l.Append(ev(n))
			n++
		}
		names, size := onDisk(t, m)
		if size > maxBytes || len(names) > 2 {
			t.Fatalf("%d bytes in %q", size, names)
		}
		got := all(t, l)
		if most := n; len(got) < min(most, maxBytes/2/(record+4)) {
			t.Fatalf("after %d events only %d are there", n, len(got))
		}
		wantEvents(t, l, n-len(got), n)
		if round%50 == 49 {
			must(t, l.Close())
			l = open(t, m, maxBytes)
			if names, size := onDisk(t, m); size > maxBytes || len(names) > 2 {
				t.Fatalf("%d bytes in %q after Close", size, names)
			}
		}
	}
	names, _ := onDisk(t, m)
	if len(names) != 2 || names[0] < fmt.Sprintf("%020d", 20) {
		t.Errorf("the ring has not turned: %q", names)
	}
	// One Write of much more than the ring holds.
	for range 2000 {
		l.Append(ev(n))
		n++
	}
	must(t, l.Write())
	if _, size := onDisk(t, m); size > maxBytes {
		t.Errorf("%d bytes", size)
	}
	got := all(t, l)
	wantEvents(t, l, n-len(got), n)
}

// TestSmallerRing: a story that was written under a higher limit keeps the lower
// one from the start.
func TestSmallerRing(t *testing.T) {
	for _, appended := range []int{100, 900, 1500} {
		m := vfs.NewMem()
		l := open(t, m, 100000)
		for n := range appended {
			l.Append(ev(n))
		}
		must(t, l.Close())
		l = open(t, m, minBytes)
		for n := appended; n < appended+300; n++ {
			if _, size := onDisk(t, m); size > minBytes {
				t.Fatalf("%d events: %d bytes", appended, size)
			}
			l.Append(ev(n))
			must(t, l.Write())
		}
		got := all(t, l)
		wantEvents(t, l, appended+300-len(got), appended+300)
		if len(got) < 90 {
			t.Errorf("%d events", len(got))
		}
	}
}

// TestDropped: what can't be written is kept up to 1 MiB, the oldest is dropped
// and counted.
func TestDropped(t *testing.T) {
	m := vfs.NewMem()
	var said bytes.Buffer
	l, err := Open(Config{FS: m, Dir: dir, MaxBytes: 4 << 20, Logger: slog.New(slog.NewTextHandler(&said, nil))})
	must(t, err)
	cause := errors.New("gone")
	m.Fail(func(op vfs.Op, _ string) error {
		if op == vfs.OpWrite {
			return cause
		}
		return nil
	})
	const appended = 60000
	for n := range appended {
		l.Append(ev(n))
		if n%5000 == 0 {
			if err := l.Write(); !errors.Is(err, cause) {
				t.Fatal(err)
			}
		}
		if held := len(l.buffer) - l.start; held > maxBuffer || cap(l.buffer) > 4*maxBuffer {
			t.Fatalf("%d bytes wait in %d", held, cap(l.buffer))
		}
	}
	dropped := int(l.Dropped())
	bytes := 0
	for n := dropped; n < appended; n++ {
		bytes += len(appendRecord(nil, ev(n)))
	}
	if dropped == 0 || bytes > maxBuffer || bytes+len(appendRecord(nil, ev(dropped-1))) <= maxBuffer {
		t.Errorf("%d dropped, %d bytes are left", dropped, bytes)
	}
	wantEvents(t, l, dropped, appended)
	m.Fail(nil)
	must(t, l.Write())
	wantEvents(t, l, dropped, appended)
	if int(l.Dropped()) != dropped {
		t.Errorf("%d dropped", l.Dropped())
	}
	if !strings.Contains(said.String(), "could not be written in time") {
		t.Errorf("said %q", said.String())
	}
	wantEvents(t, open(t, m.Kill(), 4<<20), dropped, appended)
}

// TestFullDisk: a Write that stops in a record leaves nothing behind that a
// later one does not remove.
func TestFullDisk(t *testing.T) {
	for short := range 200 {
		m := vfs.NewMem()
		l := open(t, m, 1<<20)
		l.Append(ev(0))
		must(t, l.Write())
		for n := 1; n < 5; n++ {
			l.Append(ev(n))
		}
		m.Fail(func(op vfs.Op, _ string) error {
			if op == vfs.OpWrite {
				return &vfs.ShortWrite{N: short, Err: syscall.ENOSPC}
			}
			return nil
		})
		if err := l.Write(); !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), filePath(0)) {
			t.Fatalf("Write: %v", err)
		}
		m.Fail(nil)
		wantEvents(t, l, 0, 5)
		// What is written next is shorter than what is left over.
		l.buffer, l.start = appendRecord(nil, ev(1)), 0
		must(t, l.Write())
		wantEvents(t, l, 0, 2)
		wantEvents(t, open(t, m.Kill(), 1<<20), 0, 2)
	}
}

// TestTurnFails: the ring turns when it can again.
func TestTurnFails(t *testing.T) {
	for _, op := range []vfs.Op{vfs.OpRemove, vfs.OpOpen, vfs.OpWrite, vfs.OpTruncate} {
		m := vfs.NewMem()
		l := open(t, m, minBytes)
		n := 0
		write := func(count int) error {
			for range count {
				l.Append(ev(n))
				n++
			}
			return l.Write()
		}
		must(t, write(400)) // two files
		cause := errors.New("no")
		m.Fail(func(o vfs.Op, _ string) error {
			if o == op {
				return cause
			}
			return nil
		})
		failed := false
		for range 200 {
			err := write(1)
			failed = failed || errors.Is(err, cause)
		}
		if !failed {
			t.Errorf("%v: no error", op)
		}
		m.Fail(nil)
		must(t, l.Write())
		got := all(t, l)
		wantEvents(t, l, n-len(got), n)
		if names, size := onDisk(t, m); size > minBytes || len(names) > 2 || len(got) < 100 {
			t.Errorf("%v: %d bytes in %q, %d events", op, size, names, len(got))
		}
	}
}

// TestDamageInOlder: damage in the older file hides the rest of it and nothing
// of the newer one.
func TestDamageInOlder(t *testing.T) {
	m := vfs.NewMem()
	l := open(t, m, minBytes)
	n := 0
	for l.newer == nil || l.newer.number == 0 || l.newer.size < 1000 {
		l.Append(ev(n))
		n++
		must(t, l.Write())
	}
	must(t, l.Close())
	b, err := vfs.ReadFile(m, filePath(0))
	must(t, err)
	b[len(b)/2] ^= 1
	must(t, vfs.WriteFile(m, filePath(0), b))
	var said bytes.Buffer
	l, err = Open(Config{FS: m, Dir: dir, MaxBytes: minBytes, Logger: slog.New(slog.NewTextHandler(&said, nil))})
	must(t, err)
	got := all(t, l)
	gap := slices.IndexFunc(got, func(e Event) bool { return e != ev(int(e.At)) })
	if gap >= 0 || got[0].At != 0 || got[len(got)-1].At != int64(n-1) || len(got) >= n || len(got) < n/3 {
		t.Errorf("%d events of %d, damaged %d", len(got), n, gap)
	}
	if !strings.Contains(said.String(), filePath(0)) {
		t.Errorf("said %q", said.String())
	}
	m.Fail(func(op vfs.Op, name string) error {
		if op == vfs.OpRead && name == filePath(0) {
			return syscall.EIO
		}
		return nil
	})
	if _, err := l.Find(1); !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), filePath(0)) {
		t.Errorf("unreadable: %v", err)
	}
}

// TestAppendDuringWrite: what is appended while a Write is under way counts in
// the bound, and stands behind what that Write could not write.
func TestAppendDuringWrite(t *testing.T) {
	for _, most := range []int{100, 40000} {
		m := vfs.NewMem()
		l := open(t, m, 8<<20)
		n := 0
		add := func(count int) {
			for range count {
				l.Append(ev(n))
				n++
			}
		}
		add(most / 4)
		must(t, l.Write())
		written := n
		add(most / 4)
		cause := errors.New("no")
		m.Fail(func(op vfs.Op, _ string) error {
			if op != vfs.OpWrite {
				return nil
			}
			add(most)
			if held := len(l.taken) + len(l.buffer) - l.start; held > maxBuffer {
				t.Errorf("%d bytes wait", held)
			}
			return cause
		})
		if err := l.Write(); !errors.Is(err, cause) {
			t.Fatal(err)
		}
		m.Fail(nil)
		got := all(t, l)
		if dropped := int(l.Dropped()); len(got) != n-dropped || (dropped > 0) != (most > 100) {
			t.Fatalf("%d of %d events, %d dropped", len(got), n, dropped)
		}
		at := -1
		for i, e := range got {
			if e != ev(int(e.At)) || int(e.At) <= at || i < written && int(e.At) != i {
				t.Fatalf("event %d after %d", e.At, at)
			}
			at = int(e.At)
		}
		if at != n-1 {
			t.Fatalf("the last is %d of %d", at, n)
		}
		must(t, l.Write())
		if after := all(t, l); !slices.Equal(after, got) {
			t.Errorf("%d events became %d", len(got), len(after))
		}
	}
}
