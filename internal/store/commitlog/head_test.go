// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package commitlog

import (
	"errors"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

// TestHeadTooLarge: bytes that claim to be a record larger than any are none,
// and nothing is allocated for them.
func TestHeadTooLarge(t *testing.T) {
	o := Options{FS: vfs.OS(), Dir: t.TempDir() + "/log", DamageDir: t.TempDir(), FileSize: 2 * MaxRecordSize}
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close(true)
	if _, err := l.Recover(0, func(*message.Record) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if err := l.Roll(); err != nil {
		t.Fatal(err)
	}
	rec := record([]byte("b"), 1)
	if err := l.Write(rec, 1); err != nil {
		t.Fatal(err)
	}
	l.end.Store(o.FileSize) // as if large records followed
	for size, want := range map[uint32]error{uint32(len(rec)): nil, MaxRecordSize: nil, MaxRecordSize + 1: ErrNotFound} {
		var b [4]byte
		be.PutUint32(b[:], size)
		if _, err := l.active.f.WriteAt(b[:], 0); err != nil {
			t.Fatal(err)
		}
		if _, _, err := l.Head(0); !errors.Is(err, want) {
			t.Errorf("size %d: %v", size, err)
		}
		if want == nil {
			continue
		}
		if b, err := l.ReadRecord(nil, 0); !errors.Is(err, want) || b != nil {
			t.Errorf("size %d: ReadRecord %d bytes, %v", size, len(b), err)
		}
	}
}
