// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package state

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
)

const markPath = dir + "/" + markName

func TestMarkLayout(t *testing.T) {
	m := vfs.NewMem()
	f := open(t, m)
	must(t, f.Commit(Mark{Half: 1, Op: 2, Log: 3, Proof: -1}))
	must(t, f.Commit(Mark{Half: 4, Op: 5, Log: 6, Proof: 7}))
	b, err := vfs.ReadFile(m, markPath)
	must(t, err)
	const first = "54584d4b" + "00000001" + "0000000000000001" + "0000000000000001" + "0000000000000002" + "0000000000000003" + "ffffffffffffffff"
	const second = "54584d4b" + "00000001" + "0000000000000002" + "0000000000000004" + "0000000000000005" + "0000000000000006" + "0000000000000007"
	if len(b) != slotDistance+slotBytes || hex.EncodeToString(b[:48]) != first || hex.EncodeToString(b[slotDistance:][:48]) != second {
		t.Errorf("%d bytes: %x, %x", len(b), b[:slotBytes], b[slotDistance:])
	}
	must(t, f.Commit(mark(9)))
	now, err := vfs.ReadFile(m, markPath)
	must(t, err)
	if bytes.Equal(now[:slotBytes], b[:slotBytes]) || !bytes.Equal(now[slotDistance:], b[slotDistance:]) {
		t.Error("the third mark is not in place of the first")
	}
	syncs := count(m, vfs.OpSync)
	must(t, f.Commit(mark(9)))
	if *syncs != 0 {
		t.Error("a Commit of nothing syncs")
	}
}

// TestMarkDamage damages each byte of either slot, and cuts the file everywhere.
func TestMarkDamage(t *testing.T) {
	m := vfs.NewMem()
	f := open(t, m)
	must(t, f.Commit(mark(1)))
	must(t, f.Commit(mark(2)))
	good, err := vfs.ReadFile(m, markPath)
	must(t, err)
	check := func(b []byte, want Mark, ok, warns bool) {
		t.Helper()
		must(t, vfs.WriteFile(m, markPath, b))
		var j journal
		f, err := Open(Config{FS: m, Dir: dir, Logger: j.logger()})
		must(t, err)
		wantMark(t, f, want, ok)
		if warns != strings.Contains(j.String(), markPath) {
			t.Errorf("logged %q", j.String())
		}
		// What comes next counts, whatever was there.
		must(t, f.Commit(mark(3)))
		wantMark(t, open(t, m), mark(3), true)
	}
	check(good, mark(2), true, false)
	for i := range slotBytes {
		b := bytes.Clone(good)
		b[i] ^= 0x10
		check(b, mark(2), true, true)
		b[slotDistance+i] ^= 1
		check(b, Mark{}, false, true)
		b[i] ^= 0x10
		check(b, mark(1), true, true)
		check(good[:i], Mark{}, false, i > 0)
		check(good[:slotDistance+i], mark(1), true, i > 0)
	}
	check(nil, Mark{}, false, false)
	check(make([]byte, 9000), Mark{}, false, false)
	// A slot with a right checksum and wrong numbers.
	for _, slot := range [][]byte{
		appendSlot(nil, Mark{Half: -1}, 9), appendSlot(nil, Mark{Proof: -2}, 9), appendSlot(nil, mark(9), 0), appendSlot(nil, mark(9), maxGeneration+1),
	} {
		check(slot, Mark{}, false, true)
	}
	check(appendSlot(nil, mark(9), maxGeneration), mark(9), true, false)
}

func TestMarkUnreadable(t *testing.T) {
	for _, op := range []vfs.Op{vfs.OpOpen, vfs.OpRead} {
		m := vfs.NewMem()
		f := open(t, m)
		must(t, f.Commit(mark(1)))
		must(t, f.Commit(mark(2)))
		m.Fail(func(o vfs.Op, name string) error {
			if o == op && name == markPath {
				return errors.New("bad sector")
			}
			return nil
		})
		var j journal
		f, err := Open(Config{FS: m, Dir: dir, Logger: j.logger()})
		must(t, err)
		wantMark(t, f, Mark{}, false)
		if !strings.Contains(j.String(), markPath) || !strings.Contains(j.String(), "bad sector") {
			t.Errorf("logged %q", j.String())
		}
		m.Fail(nil)
		// The unreadable mark may say more than is true from now on.
		f.Set(3, word(1))
		must(t, f.Clear(0, 100))
		wantMark(t, open(t, m.Crash(vfs.CrashOptions{})), Mark{}, false)
	}
}
