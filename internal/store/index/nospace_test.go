// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package index

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
)

// A record that had space for a part of its keys, at the end of a file, is put
// again without doubling them, also when that file has been flushed since.
func TestPutAgainInTheNextFile(t *testing.T) {
	for _, flush := range []bool{false, true} {
		m := vfs.NewMem()
		x, err := Open(Options{FS: m, Dir: "/index", Slots: 7, Entries: 4})
		if err != nil {
			t.Fatal(err)
		}
		topic := []byte("T")
		for i, key := range []string{"a", "b"} {
			if err := x.Put(topic, []byte(key), nil, int64(i)*100, 1000); err != nil {
				t.Fatal(err)
			}
		}
		m.Fail(func(op vfs.Op, name string) error {
			if op == vfs.OpTruncate && strings.HasPrefix(name, "/index/") {
				return syscall.ENOSPC
			}
			return nil
		})
		for range 3 {
			if err := x.Put(topic, []byte("u"), []byte("k l"), 200, 3000); !errors.Is(err, syscall.ENOSPC) {
				t.Fatal(err)
			}
			if flush {
				if _, err := x.Flush(); err != nil {
					t.Fatal(err)
				}
			}
		}
		m.Fail(nil)
		if err := x.Put(topic, []byte("u"), []byte("k l"), 200, 3000); err != nil {
			t.Fatal(err)
		}
		entries := 0
		for _, f := range x.files {
			entries += int(f.hdr.Count) - 1
		}
		if entries != 5 {
			t.Errorf("flush %v: %d entries of 5 keys", flush, entries)
		}
		for _, key := range []string{"u", "k", "l"} {
			if got, _, _, err := x.Query("T", key, 9, 0, 9999); err != nil || len(got) != 1 || got[0] != 200 {
				t.Errorf("%s: %v, %v", key, got, err)
			}
		}
		if err := x.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
