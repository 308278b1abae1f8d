// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
)

// FuzzMark opens a file of marks that anybody may have written. What it says is
// a mark, and the next Commit counts whatever was there.
func FuzzMark(f *testing.F) {
	one := appendSlot(nil, mark(1), 1)
	f.Add([]byte(nil))
	f.Add(one)
	f.Add(append(append(bytes.Clone(one), make([]byte, slotDistance-slotBytes)...), appendSlot(nil, mark(2), 2)...))
	f.Add(append(make([]byte, slotDistance), appendSlot(nil, mark(3), maxGeneration)...))
	f.Add(appendSlot(nil, Mark{Half: -1}, 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		m := vfs.NewMem()
		must(t, vfs.MkdirAllSync(m, dir))
		must(t, vfs.WriteFile(m, markPath, b))
		s := open(t, m)
		if got, ok := s.Mark(); ok {
			must(t, got.check())
		}
		for i := range int64(3) {
			s.Set(i, word(i+1))
			must(t, s.Commit(mark(i)))
			wantMark(t, s, mark(i), true)
			m = m.Crash(vfs.CrashOptions{})
			s = open(t, m)
			wantMark(t, s, mark(i), true)
		}
	})
}

// FuzzSegment reads a segment that anybody may have written: Get and Range agree
// with its bytes, and words set later are among them.
func FuzzSegment(f *testing.F) {
	var all []byte
	for i := range int64(10) {
		v, _ := word(i + 1).encode()
		all = binary.BigEndian.AppendUint64(all, v)
	}
	f.Add([]byte(nil), int64(0))
	f.Add(all, int64(3))
	f.Add(all[:77], int64(20))
	f.Add(bytes.Repeat([]byte{0xff}, 5000), int64(600))
	f.Add(append(make([]byte, 4090), all...), int64(511))
	f.Fuzz(func(t *testing.T, b []byte, at int64) {
		if len(b) > 3*pageBytes {
			b = b[:3*pageBytes]
		}
		at = int64(uint64(at) % (4 * pageWords))
		m := vfs.NewMem()
		must(t, vfs.MkdirAllSync(m, dir))
		must(t, vfs.WriteFile(m, segmentPath(0), b))
		s := open(t, m)
		set := Word{}
		check := func() {
			t.Helper()
			var bad error // what Range must end with
			next := int64(0)
			for off := range int64(4 * pageWords) {
				var v uint64
				if i := off * wordBytes; i+wordBytes <= int64(len(b)) {
					v = binary.BigEndian.Uint64(b[i:])
				}
				wanted, ok := decode(v)
				if !ok {
					wanted = Word{}
				}
				if set != (Word{}) && off == at {
					wanted, ok = set, true
				}
				got, err := s.Get(off)
				if got != wanted || (err == nil) != ok || err != nil && !errors.Is(err, ErrDamaged) {
					t.Fatalf("word %d is %+v, %v; want %+v, %v", off, got, err, wanted, ok)
				}
				if bad == nil {
					bad, next = err, off
				}
			}
			calls := int64(0)
			err := s.Range(0, 4*pageWords, func(int64, Word) bool { calls++; return true })
			if (err == nil) != (bad == nil) || err != nil && (err.Error() != bad.Error() || calls != next) || err == nil && calls != 4*pageWords {
				t.Fatalf("Range: %d calls, %v; Get says %v", calls, err, bad)
			}
		}
		check()
		set = word(at + 1)
		s.Set(at, set)
		check()
		must(t, s.Close())
		s = open(t, m)
		check()
	})
}
