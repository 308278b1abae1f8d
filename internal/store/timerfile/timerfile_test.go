// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package timerfile

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
)

// The bytes are worked out by hand from TimerLog.java, Slot.java and
// TimerCheckpoint.java.
func TestBytes(t *testing.T) {
	u := Unit{Prev: -1, Kind: KindMessage | KindRoll, Put: 0x0102030405060708, Delay: 0x11, Offset: 0x22, Size: 0x33, Topic: -2}
	if got := hex.EncodeToString(AppendUnit(nil, &u)); got != "00000034"+"ffffffffffffffff"+"00000003"+"0102030405060708"+"00000011"+
		"0000000000000022"+"00000033"+"fffffffe"+"0000000000000000" {
		t.Errorf("unit %s", got)
	}
	if got := hex.EncodeToString(appendBlank(nil, 77)); got != "0000004d"+"0000000000000000"+"cbd43194" {
		t.Errorf("blank %s", got)
	}
	m := newFS(t)
	w := openWheel(t, m)
	must(t, w.Put(WheelSlots+3, Slot{First: 1, Last: 2, Num: -1}))
	must(t, w.Flush())
	data, err := vfs.ReadFile(m, "/d/timerwheel")
	must(t, err)
	if got := hex.EncodeToString(data[96:128]); len(data) != 38_707_200 || got != "0000000000127503"+"0000000000000001"+"0000000000000002"+"ffffffff"+"00000000" {
		t.Errorf("%d bytes, slot %s", len(data), got)
	}
	c := Checkpoint{Read: 1, LogEnd: 2, QueueOffset: 3, Master: 4, State: 5, Timestamp: 6, Counter: 7, LogOffset: 8, Ahead: 9, Precision: 10, LastRecall: 11, Least: -12, Utmost: 13,
		Chain: 14, ForeignRead: 15, ForeignPut: 16, Building: true}
	page := c.Encode()
	for i := range 7 {
		if got := be.Uint64(page[8*i:]); got != uint64(i+1) {
			t.Errorf("checkpoint field %d is %d", i, got)
		}
	}
	c.Own = true
	if got, err := DecodeCheckpoint(page); err != nil || got != c || len(page) != 4096 {
		t.Errorf("%+v, %v", got, err)
	}
	page[7] = 77 // RocketMQ has written its part
	if got, err := DecodeCheckpoint(page); err != nil || got.Own || got.Read != 77 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestLog(t *testing.T) {
	m := newFS(t)
	const size = 5*UnitSize + blankSize + 20 // five units, a blank
	l := openLog(t, m, size, 0)
	var at []int64
	for i := range 23 {
		pos, err := l.Append(&Unit{Prev: -1, Kind: KindMessage, Put: int64(i), Offset: int64(i), Size: 1})
		must(t, err)
		at = append(at, pos)
		if i%3 == 0 {
			must(t, l.Write())
		}
	}
	check := func(l *Log, n int) {
		t.Helper()
		for i := range n {
			if want := int64(i/5*size + i%5*UnitSize); at[i] != want {
				t.Fatalf("unit %d at %d, not %d", i, at[i], want)
			}
			if u, err := l.Read(at[i]); err != nil || u.Offset != int64(i) {
				t.Errorf("unit %d: %+v, %v", i, u, err)
			}
		}
		if _, err := l.Read(l.End()); !errors.Is(err, ErrDamaged) {
			t.Errorf("behind the end: %v", err)
		}
	}
	check(l, 23)
	must(t, l.Sync())
	must(t, l.Close())

	l = openLog(t, m, size, at[22]+UnitSize)
	check(l, 23)
	n := 0
	end, err := l.Scan(0, func(pos int64, u *Unit) error {
		if pos != at[n] || u.Offset != int64(n) {
			t.Errorf("unit %d at %d: %+v", n, pos, u)
		}
		n++
		return nil
	})
	if err != nil || n != 23 || end != l.End() {
		t.Errorf("%d units up to %d, %v", n, end, err)
	}
	must(t, l.Cut(at[12]))
	check(l, 12)
	n = 0
	if _, err := l.Scan(0, func(int64, *Unit) error { n++; return nil }); err != nil || n != 12 {
		t.Errorf("%d units after the cut, %v", n, err)
	}
	trim(t, l, 5) // units 0 to 4 have the times 0 to 4, which are over before 5
	if l.Begin() != 0 {
		t.Errorf("begins at %d: a file that ends now is kept", l.Begin())
	}
	trim(t, l, 6)
	if l.Begin() != size {
		t.Errorf("begins at %d", l.Begin())
	}
	trim(t, l, 1000)
	if l.Begin() != 2*size {
		t.Errorf("begins at %d: the last file stays", l.Begin())
	}
	if err := l.Cut(at[22] + 4*size); !errors.Is(err, ErrDamaged) {
		t.Errorf("cut behind everything: %v", err)
	}
	must(t, l.Close())
	if _, err := OpenLog(m, "/d", size/2); !errors.Is(err, ErrDamaged) {
		t.Errorf("another file size: %v", err)
	}
}

// Trim reads a bounded part of the files at once, nothing of what was written since
// they were opened, and Units finds what is left.
func TestTrimInSteps(t *testing.T) {
	m := newFS(t)
	const perFile, size = 50_000, 50_000*UnitSize + blankSize
	var l *Log
	for run := range 2 { // the second one has read nothing of what it writes
		l = openLog(t, m, size, 0)
		for i := range 2*perFile + 1 {
			_, err := l.Append(&Unit{Prev: -1, Kind: KindMessage, Put: int64(i), Offset: int64(i), Size: 1})
			must(t, err)
		}
		must(t, l.Sync())
		if run == 0 {
			must(t, l.Close())
		}
	}
	reads := 0
	m.Fail(func(op vfs.Op, _ string) error {
		if op == vfs.OpRead {
			reads++
		}
		return nil
	})
	if more, err := l.Trim(perFile + 1); more || err != nil || l.Begin() != size || reads > 2 {
		t.Errorf("begins at %d, more %t, %d reads, %v", l.Begin(), more, reads, err)
	}
	end := l.End()
	must(t, l.Close())

	l = openLog(t, m, size, end)
	steps := 1
	for more := true; more; steps++ {
		before := reads
		var err error
		more, err = l.Trim(2*perFile + 1)
		must(t, err)
		if reads-before > trimStep/(64<<10)+2 {
			t.Fatalf("%d reads in a step", reads-before)
		}
	}
	if steps < size/trimStep || l.Begin() != 2*size {
		t.Errorf("begins at %d after %d steps", l.Begin(), steps)
	}
	n := 0
	must(t, Units(m, "/d", size, end, func(u *Unit) bool {
		if n++; u.Offset != 2*perFile {
			t.Errorf("unit %+v", u)
		}
		return true
	}))
	if n != 1 {
		t.Errorf("%d units", n)
	}
	must(t, l.Close())
}

func TestWheel(t *testing.T) {
	m := newFS(t)
	w := openWheel(t, m)
	want := map[int64]Slot{1_700_000_000: {First: 0, Last: 0, Num: 1}, 1_700_000_001: {First: 5, Last: 9, Num: 2}, 1_700_900_000: {First: 1, Last: 1}}
	for n, s := range want {
		must(t, w.Put(n, s))
	}
	check := func() {
		t.Helper()
		for n, s := range want {
			if got, err := w.Get(n); err != nil || got != s {
				t.Errorf("slot %d: %+v, %v", n, got, err)
			}
			if got, err := w.Get(n + WheelSlots); err != nil || got != NoSlot {
				t.Errorf("slot %d, a turn later: %+v, %v", n, got, err)
			}
		}
		seen := 0
		must(t, w.Range(func(n int64, s Slot) error {
			if seen++; want[n] != s {
				t.Errorf("slot %d: %+v", n, s)
			}
			return nil
		}))
		if seen != len(want) {
			t.Errorf("%d slots", seen)
		}
	}
	check()
	must(t, w.Flush())
	check()
	must(t, w.Close())
	w = openWheel(t, m)
	check()
	must(t, w.Put(1_700_000_000, NoSlot))
	delete(want, 1_700_000_000)
	must(t, w.Flush())
	seen := 0
	must(t, w.Range(func(int64, Slot) error { seen++; return nil }))
	if seen != 2 {
		t.Errorf("%d slots", seen)
	}
	must(t, w.Close())
	must(t, vfs.WriteFile(m, "/d/timerwheel", make([]byte, 100)))
	if _, _, err := OpenWheel(m, "/d"); !errors.Is(err, ErrDamaged) {
		t.Errorf("a short wheel: %v", err)
	}
}

func TestCheckpointFile(t *testing.T) {
	m := newFS(t)
	if _, ok, err := ReadCheckpoint(m, "/d"); ok || err != nil {
		t.Errorf("none: %t, %v", ok, err)
	}
	c := Checkpoint{Read: 5000, LogEnd: 52, Own: true}
	must(t, WriteCheckpoint(m, "/d", &c))
	c.Counter = 2
	must(t, WriteCheckpoint(m, "/d", &c))
	if got, ok, err := ReadCheckpoint(m, "/d"); !ok || err != nil || got != c {
		t.Errorf("%+v, %t, %v", got, ok, err)
	}
	must(t, vfs.WriteFile(m, "/d/config/timercheck", []byte("short")))
	if _, _, err := ReadCheckpoint(m, "/d"); !errors.Is(err, ErrDamaged) {
		t.Errorf("short: %v", err)
	}
	must(t, vfs.WriteFile(m, "/d/timerwheel", []byte("x")))
	must(t, RemoveView(m, "/d"))
	if names, err := m.ReadDir("/d"); err != nil || len(names) != 1 {
		t.Errorf("%q, %v: only config stays", names, err)
	}
}

func FuzzUnit(f *testing.F) {
	f.Add(AppendUnit(nil, &Unit{Prev: 52, Kind: KindMessage, Put: 5, Delay: 1, Offset: 100, Size: 200, Recall: 53}), int64(104))
	f.Add(appendBlank(nil, 60), int64(0))
	f.Fuzz(func(t *testing.T, b []byte, at int64) {
		u, err := DecodeUnit(b, at)
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Fatal(err)
			}
			return
		}
		if u.Prev >= at || !bytes.Equal(AppendUnit(nil, &u)[:44], b[:44]) {
			t.Fatalf("%x becomes %+v", b[:UnitSize], u)
		}
	})
}

func FuzzCheckpoint(f *testing.F) {
	c := Checkpoint{Read: 1, LogEnd: 2, QueueOffset: 3}
	f.Add(c.Encode())
	f.Add(c.Encode()[:56])
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := DecodeCheckpoint(b)
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Fatal(err)
			}
			return
		}
		if c.Read < 0 || c.LogEnd < 0 || c.QueueOffset < 0 || c.LogOffset < 0 {
			t.Fatalf("%+v", c)
		}
		if !bytes.Equal(c.Encode()[:56], b[:56]) {
			t.Fatalf("%x becomes %+v", b[:56], c)
		}
	})
}
