// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package commitlog

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"github.com/twostage/twostage/internal/store/segment"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

func TestTornTailIsZeroed(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		m := vfs.NewMem()
		l, _ := openLog(t, m, nil)
		var at []int64
		for i := range 5 + rng.IntN(20) {
			at = append(at, mustAdd(t, l, body(i), 1))
		}
		// Cut anywhere: from there on zeros, or junk for a while.
		keep := rng.IntN(len(at))
		cut := at[keep] + rng.Int64N(91)
		end := l.End()
		f := open(t, m, cut)
		junk := make([]byte, end-cut)
		if rng.IntN(2) == 0 {
			for i := range junk[:min(len(junk), 50)] {
				junk[i] = byte(rng.Uint32())
			}
		}
		spill(t, m, junk, cut)
		f.Close()
		want := at[keep]
		if cut > at[keep]+90 || sameAsBefore(t, m, l, at[keep]) {
			want = -1
		}
		var got []string
		l2, r := openLog(t, m, bodies(&got))
		if want >= 0 && (r.End > want || len(r.Damage) != 0) {
			t.Fatalf("cut at %d: %+v, want end %d", cut, r, want)
		}
		last := l2.Starts()[len(l2.Starts())-1]
		data, err := vfs.ReadFile(m, segment.Join(testDir, last))
		if err != nil {
			t.Fatal(err)
		}
		if r.End-last < fileSize {
			if i, _ := nonZero(data[r.End-last:]); i >= 0 {
				t.Fatalf("byte %d behind the end is not zero", i)
			}
		}
	}
}

func open(t testing.TB, m vfs.FS, off int64) vfs.File {
	t.Helper()
	f, err := m.OpenFile(segment.Join(testDir, segment.Start(off, fileSize)), 2)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// spill writes p at log offset off, over file ends.
func spill(t testing.TB, m vfs.FS, p []byte, off int64) {
	t.Helper()
	for len(p) > 0 {
		n := int(min(int64(len(p)), segment.Start(off, fileSize)+fileSize-off))
		f := open(t, m, off)
		if _, err := f.WriteAt(p[:n], off%fileSize); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		p, off = p[n:], off+int64(n)
	}
}

// sameAsBefore tells whether the record at pos is still right.
func sameAsBefore(t testing.TB, m vfs.FS, l *Log, pos int64) bool {
	ok, err := l.ValidRecord(pos)
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

func TestDamageInTheMiddle(t *testing.T) {
	m := vfs.NewMem()
	l, _ := openLog(t, m, nil)
	var at []int64
	for i := range 40 {
		at = append(at, mustAdd(t, l, body(i), 1))
	}
	at = append(at, l.End())
	// A flipped bit in the body of 5; junk over 10 to 12; zeros from 20 to the
	// first record of a later file.
	flip := open(t, m, at[5])
	var b [1]byte
	if _, err := flip.ReadAt(b[:], (at[5]+90)%fileSize); err != nil {
		t.Fatal(err)
	}
	spill(t, m, []byte{b[0] ^ 4}, at[5]+90)
	spill(t, m, bytes.Repeat([]byte{0xDA, 0xA3, 0x20, 0xA7}, int(at[12]-at[10])/4), at[10])
	next := 21
	for segment.Start(at[next], fileSize) == segment.Start(at[20], fileSize) {
		next++
	}
	spill(t, m, make([]byte, segment.Start(at[20], fileSize)+fileSize-at[20]), at[20])

	var got []string
	l2, r := openLog(t, m, bodies(&got))
	if r.End != l.End() {
		t.Fatalf("end %d, want %d", r.End, l.End())
	}
	if want := 40 - 1 - 2 - (next - 20); len(got) != want {
		t.Fatalf("%d records, want %d", len(got), want)
	}
	if len(r.Damage) != 3 {
		t.Fatalf("damage: %+v", r.Damage)
	}
	for i, want := range [][2]int64{{at[5], at[6]}, {at[10], at[12]}, {at[20], segment.Start(at[20], fileSize) + fileSize}} {
		d := r.Damage[i]
		if d.Offset != want[0] || d.Offset+d.Length != want[1] || d.File != segment.Join(testDir, segment.Start(want[0], fileSize)) {
			t.Errorf("damage %d is %+v, want %v", i, d, want)
		}
	}
	aside, err := vfs.ReadFile(m, r.Damage[1].Copy)
	if err != nil || len(aside) == 0 || !bytes.HasPrefix(aside, []byte{0xDA, 0xA3, 0x20, 0xA7, 0xDA}) {
		t.Fatalf("copy of the damage: %d bytes, %v", len(aside), err)
	}
	if r.Damage[2].Copy != "" {
		t.Errorf("zeros were copied to %s", r.Damage[2].Copy)
	}
	// The hole up to the file end has become a blank, so it is no damage any more.
	got = nil
	_, r = openLog(t, m, bodies(&got))
	if len(r.Damage) != 2 {
		t.Fatalf("second recovery: %+v", r.Damage)
	}
	n := 0
	if err := l2.Walk(0, func(*message.Record) error { n++; return nil }); err != nil || n != len(got) {
		t.Fatalf("Walk saw %d of %d, %v", n, len(got), err)
	}
}

// TestTornProperties: nothing but the sectors they share tells that properties
// are incomplete.
func TestTornProperties(t *testing.T) {
	props := bytes.Repeat([]byte("k\x01v\x02"), 300)
	host := netip.MustParseAddrPort("127.0.0.1:10911")
	make1 := func(props []byte) (*vfs.Mem, int64) {
		m := vfs.NewMem()
		l, _ := openLog(t, m, nil)
		mustAdd(t, l, body(1), 1)
		pos := l.End()
		if pos%sectorSize == 0 {
			t.Fatal("the test wants an odd place")
		}
		b := message.AppendRecord(nil, &message.Record{Topic: []byte("T"), Properties: props, BornHost: host, StoreHost: host})
		message.PatchPosition(b, 0, pos, 1)
		if err := l.Write(b, 1); err != nil {
			t.Fatal(err)
		}
		return m, pos
	}
	_, pos := make1(props)
	end := pos + int64(len(record(nil, 0))+len(props))
	for sector := pos/sectorSize + 1; sector <= end/sectorSize; sector++ {
		m, _ := make1(props) // ends at the same place each time
		spill(t, m, make([]byte, min(sectorSize, end-sector*sectorSize)), sector*sectorSize)
		if _, r := openLog(t, m, nil); r.End != pos {
			t.Fatalf("sector %d lost: log ends at %d, want %d", sector, r.End, pos)
		}
	}
	zero := bytes.Clone(props)
	zero[len(zero)-700] = 0 // in the middle of a sector: somebody sent it
	m, _ := make1(zero)
	if _, r := openLog(t, m, nil); r.Records != 2 {
		t.Fatalf("a property with a zero byte: %+v", r)
	}
}

// TestReadErrorCutsNothing: a medium error is no reason to believe that the log
// ends there.
func TestReadErrorCutsNothing(t *testing.T) {
	m := vfs.NewMem()
	l, _ := openLog(t, m, nil)
	for i := range 40 {
		mustAdd(t, l, body(i), 1)
	}
	bad := segment.Join(testDir, fileSize)
	m.Fail(func(op vfs.Op, name string) error {
		if op == vfs.OpRead && name == bad {
			return syscall.EIO
		}
		if op == vfs.OpWrite || op == vfs.OpRemove || op == vfs.OpTruncate {
			t.Errorf("%v %s after a read error", op, name)
		}
		return nil
	})
	l2, err := Open(options(m))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l2.Recover(0, func(*message.Record) error { return nil }); !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), bad) {
		t.Fatalf("Recover = %v", err)
	}
}

func FuzzRecover(f *testing.F) {
	m := vfs.NewMem()
	l, _ := openLog(f, m, nil)
	for i := range 20 {
		mustAdd(f, l, body(i), 1)
	}
	end := l.End()
	var files [][]byte
	for _, start := range l.Starts() {
		data, err := vfs.ReadFile(m, segment.Join(testDir, start))
		if err != nil {
			f.Fatal(err)
		}
		files = append(files, data)
	}
	f.Add(uint32(0), []byte{1})
	f.Add(uint32(200), make([]byte, 700))
	f.Add(uint32(4000), []byte{0, 0, 0, 96, 0xCB, 0xD4, 0x31, 0x94})
	f.Add(uint32(3900), bytes.Repeat([]byte{0xDA, 0xA3, 0x20, 0xA7}, 90))
	f.Fuzz(func(t *testing.T, at uint32, patch []byte) {
		m := vfs.NewMem()
		if err := m.MkdirAll(testDir); err != nil {
			t.Fatal(err)
		}
		patched := bytes.Join(files, nil)
		off := int(at) % len(patched)
		n := copy(patched[off:], patch)
		for i := range files {
			if err := vfs.WriteFile(m, segment.Join(testDir, int64(i*fileSize)), patched[i*fileSize:(i+1)*fileSize]); err != nil {
				t.Fatal(err)
			}
		}
		found := make(map[int64]bool)
		last := int64(-1)
		_, r := openLog(t, m, func(rec *message.Record) error {
			if rec.PhysicalOffset <= last {
				return fmt.Errorf("record at %d after %d", rec.PhysicalOffset, last)
			}
			last = rec.PhysicalOffset
			found[last] = true
			return nil
		})
		if r.End < 0 || r.End > int64(len(patched)) {
			t.Fatalf("end %d", r.End)
		}
		// Every record outside of the patch is there.
		if err := l.Walk(0, func(rec *message.Record) error {
			p, size := int(rec.PhysicalOffset), int(rec.Size)
			if (p+size <= off || p >= off+n) && !found[rec.PhysicalOffset] {
				return fmt.Errorf("record at %d lost, patch %d+%d, end %d of %d", p, off, n, r.End, end)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	})
}
