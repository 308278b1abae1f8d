// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package fsck

import (
	"strings"
	"syscall"
	"testing"

	"github.com/twostage/twostage/internal/broker/txn/state"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/vfs"
)

// TestPropertyCRC: where records have a CRC over all of them, a byte of topic or
// properties is found as well.
func TestPropertyCRC(t *testing.T) {
	m := vfs.NewMem()
	cfg := config(m)
	cfg.PropertyCRC = true
	s := must(store.Open(cfg))(t)
	fill(t, s)
	closeStore(t, s)
	if r := verify(t, m); len(r.Findings) != 0 || r.Records != 69 {
		t.Fatalf("%+v", r)
	}
	r := positions(t, m)[12]
	data := must(vfs.ReadFile(m, r.File))(t)[r.FileOffset : r.FileOffset+r.Size]
	for _, text := range []string{"tag0", "T0", "KEYS"} {
		at := strings.Index(string(data), text)
		if at < 0 {
			t.Fatalf("no %q in %q", text, data)
		}
		change(t, m, r.File, r.FileOffset+int64(at), data[at]^1)
		expect(t, verify(t, m), where{Damage, KindRecord, r.File, r.FileOffset, "log offset"})
		change(t, m, r.File, r.FileOffset+int64(at), data[at])
	}
}

// ops are the op records of a store.
func ops(t *testing.T, m vfs.FS) (list []Record) {
	t.Helper()
	d := must(Open(options(m)))(t)
	defer d.Close()
	if err := d.DumpOps(t.Context(), Filter{}, func(r *Record) error {
		list = append(list, *r)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return list
}

// TestOps: what an op record says is read, and what cannot be is found.
func TestOps(t *testing.T) {
	m := stopped(t)
	list := ops(t, m)
	if len(list) != 3 {
		t.Fatalf("%d op records", len(list))
	}
	for i, want := range []Op{{[]int64{0}, "committed", 0, 0, ""}, {[]int64{1}, "rolled back", -1, 1, ""}, {[]int64{2}, "discarded", 0, 2, ""}} {
		got := *list[i].Op
		if i != 1 && got.Record != list[i].Offset-int64(list[i].Flag>>2) || i == 1 && got.Record != -1 {
			t.Errorf("%d: %+v", i, got)
		}
		got.Record, want.Record = 0, 0
		if got.Halves[0] != want.Halves[0] || got.Outcome != want.Outcome || got.Last != want.Last || got.Error != "" {
			t.Errorf("%d: %+v, want %+v", i, got, want)
		}
	}
	for _, c := range []struct {
		op   int
		at   int64 // in the record
		b    byte
		text string
	}{
		{0, 19, byte(list[0].Flag&^3 | 3), "parked copy"},
		{2, 19, byte(list[2].Flag&^3 | 1), "committed record"},
		{1, 18, 1, "none does"},
		{1, 16, 0x80, "flag"},
		{0, 83, 9, "half message 9"},
	} {
		m := stopped(t)
		r := list[c.op]
		change(t, m, r.File, r.FileOffset+c.at, c.b)
		expect(t, verify(t, m), where{Damage, KindOp, r.File, r.FileOffset, c.text})
	}
}

// TestStates: the states of half messages are compared with the op records.
func TestStates(t *testing.T) {
	m := stopped(t)
	list := ops(t, m)
	f := must(state.Open(state.Config{FS: m, Dir: dir + "/transactions"}))(t)
	f.Set(0, state.Word{Kind: state.Committed, Op: list[0].Offset})
	f.Set(1, state.Word{Kind: state.RolledBack, Op: list[1].Offset})
	f.Set(2, state.Word{Kind: state.Discarded, Op: list[2].Offset})
	f.Set(3, state.Word{Checks: 2, CheckedAt: 1_700_000_000_000})
	if err := f.Commit(state.Mark{Half: 3, Op: 3, Log: 1 << 20, Proof: list[2].Offset}); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if r := verify(t, m); len(r.Findings) != 0 || r.States != 3 {
		t.Fatalf("%+v", r)
	}
	d := must(Open(options(m)))(t)
	s := must(d.Stat(t.Context()))(t)
	if x := s.Transactions; x == nil || x.Undecided != 0 || x.States["committed"] != 1 || x.States["rolled back"] != 1 || x.States["discarded"] != 1 {
		t.Errorf("%+v", x)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	name := dir + "/transactions/00000000000000000000"
	data := must(vfs.ReadFile(m, name))(t)
	for _, c := range []struct {
		at   int64
		b    byte
		text string
	}{{0, 0xe0, "is none"}, {15, data[15] ^ 1, "half message 1 is rolled back"}, {7, data[15], "half message 0 is committed"}} {
		change(t, m, name, c.at, c.b)
		if c.text == "half message 0 is committed" {
			change(t, m, name, 6, data[14])
		}
		expect(t, verify(t, m), where{Damage, KindTransaction, name, c.at - c.at%8, c.text})
		change(t, m, name, 0, data...)
	}
	change(t, m, dir+"/transactions/mark", 20, 1)
	expect(t, verify(t, m), where{Damage, KindTransaction, dir + "/transactions/mark", -1, "checksum"})
}

// TestReadOnlyFileSystem: a copy that cannot be written can be verified.
func TestReadOnlyFileSystem(t *testing.T) {
	m := stopped(t)
	m.Fail(func(op vfs.Op, _ string) error {
		if op == vfs.OpLock {
			return syscall.EROFS
		}
		return nil
	})
	if r := verify(t, m); !r.Clean || r.Records == 0 {
		t.Errorf("%+v", r)
	}
}
