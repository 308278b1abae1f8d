// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package vfs_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
)

func TestNoSpace(t *testing.T) {
	path := func(op string, err error) error { return &fs.PathError{Op: op, Path: "/f", Err: err} }
	full := path("write", syscall.ENOSPC)
	for _, c := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{syscall.ENOSPC, true},
		{syscall.EIO, false},
		{full, true},
		{path("write", syscall.EDQUOT), true},
		{path("open", syscall.ENOSPC), true},
		{path("preallocate", syscall.ENOSPC), true},
		{&os.LinkError{Op: "rename", Old: "/a", New: "/b", Err: syscall.ENOSPC}, true},
		{path("sync", syscall.ENOSPC), false},
		{path("syncdir", syscall.ENOSPC), false},
		{path("syncfs", syscall.ENOSPC), false},
		{path("syncall", syscall.ENOSPC), false},
		{path("close", syscall.EDQUOT), false},
		{path("write", syscall.EIO), false},
		{path("write", &vfs.ShortWrite{N: 7, Err: syscall.ENOSPC}), true},
		{fmt.Errorf("append entry 7: %w", full), true},
		{errors.Join(full, path("open", syscall.ENOSPC)), true},
		{errors.Join(full, path("write", syscall.EIO)), false},
		{errors.Join(full, errors.New("else")), false},
		{fmt.Errorf("%w: %w", errors.New("in doubt"), full), false},
	} {
		if got := vfs.NoSpace(c.err); got != c.want {
			t.Errorf("NoSpace(%v) = %v", c.err, got)
		}
	}
}

// Of a file system that is full, and of one whose sync finds that out.
func TestNoSpaceOfMem(t *testing.T) {
	m := vfs.NewMem()
	f := create(t, m, "/f")
	m.SetCapacity(4096)
	if _, err := f.WriteAt(make([]byte, 5000), 0); !vfs.NoSpace(err) {
		t.Errorf("a write: %v", err)
	}
	if err := f.Preallocate(8192); !vfs.NoSpace(err) {
		t.Errorf("Preallocate: %v", err)
	}
	m.Fail(func(vfs.Op, string) error { return syscall.ENOSPC })
	if err := f.Sync(); err == nil || vfs.NoSpace(err) {
		t.Errorf("Sync: %v", err)
	}
	if err := m.SyncDir("/"); err == nil || vfs.NoSpace(err) {
		t.Errorf("SyncDir: %v", err)
	}
}
