// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package vfs_test

import (
	"path/filepath"
	"syscall"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
)

func testNextData(t *testing.T, fsys vfs.FS, dir string) {
	f := create(t, fsys, filepath.Join(dir, "f"))
	defer f.Close()
	const size, data = 1 << 20, 512 << 10
	must(t, f.Preallocate(size))
	write(t, f, []byte("data"), data+100)
	// Only what every file system promises: no data is skipped, and what is
	// returned does not go back. The exact answers are Mem's own test.
	for _, off := range []int64{0, 1, 4096, data, data + 100, data + 103} {
		at, err := f.NextData(off)
		must(t, err)
		if at < off || at > max(off, data+100) {
			t.Errorf("NextData(%d) = %d, data at %d", off, at, data+100)
		}
	}
	for _, off := range []int64{size, size + 1, 1 << 40} {
		if at, err := f.NextData(off); err != nil || at != size {
			t.Errorf("NextData(%d) = %d, %v, want the size", off, at, err)
		}
	}
	_, err := f.NextData(-1)
	wantErr(t, err, syscall.EINVAL)
}

func testNextHole(t *testing.T, fsys vfs.FS, dir string) {
	f := create(t, fsys, filepath.Join(dir, "f"))
	defer f.Close()
	const size, data = 1 << 20, 512 << 10
	must(t, f.Truncate(size))
	write(t, f, make([]byte, 5000), 0)
	write(t, f, []byte("data"), data+100)
	// No data is taken for a hole; what is one, the file system need not know.
	for _, off := range []int64{0, 1, 4999, 5000, 9000, data, data + 100, data + 103, data + 5000} {
		at, err := f.NextHole(off)
		must(t, err)
		if at < max(off, 5000) || at > data && at < data+104 || at > size {
			t.Errorf("NextHole(%d) = %d", off, at)
		}
	}
	for _, off := range []int64{size, size + 1, 1 << 40} {
		if at, err := f.NextHole(off); err != nil || at != size {
			t.Errorf("NextHole(%d) = %d, %v, want the size", off, at, err)
		}
	}
	_, err := f.NextHole(-1)
	wantErr(t, err, syscall.EINVAL)
}
