// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package vfs_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
)

func testSyncAll(t *testing.T, fsys vfs.FS, dir string) {
	_, err := fsys.Syncer(filepath.Join(dir, "missing"))
	wantErr(t, err, fs.ErrNotExist)
	s, err := fsys.Syncer(dir)
	if errors.Is(err, errors.ErrUnsupported) {
		wantErr(t, err, errors.ErrUnsupported)
		return // the machine's file system, or kernel, is none of those
	}
	must(t, err)
	must(t, fsys.MkdirAll(filepath.Join(dir, "a/b")))
	f := create(t, fsys, filepath.Join(dir, "a/b/f"))
	defer f.Close()
	write(t, f, []byte("hello"), 0)
	must(t, s.SyncAll())
	must(t, s.SyncAll())
	wantContent(t, fsys, filepath.Join(dir, "a/b/f"), []byte("hello"))
	must(t, s.Close())
	wantErr(t, s.SyncAll(), fs.ErrClosed)
	wantErr(t, s.Close(), fs.ErrClosed)
}

// syncer is one of a Mem, for a directory somewhere in it.
func syncer(t *testing.T, m *vfs.Mem) vfs.Syncer {
	t.Helper()
	must(t, m.MkdirAll("/a/b"))
	s, err := m.Syncer("/a/b")
	must(t, err)
	return s
}

func TestMemSyncAll(t *testing.T) {
	m := vfs.NewMem()
	s := syncer(t, m)
	for _, name := range []string{"/a/b/f", "/g", "/a/gone"} {
		write(t, create(t, m, name), []byte("synced"), 0)
	}
	must(t, m.Rename("/g", "/h"))
	must(t, m.Remove("/a/gone"))
	must(t, s.SyncAll())
	write(t, open(t, m, "/h", os.O_RDWR), []byte("lost"), 0)
	create(t, m, "/a/lost")
	left := m.Crash(vfs.CrashOptions{})
	wantErr(t, s.SyncAll(), vfs.ErrCrashed)
	wantNames(t, left, "/", "a", "h")
	wantNames(t, left, "/a", "b")
	wantContent(t, left, "/a/b/f", []byte("synced"))
	wantContent(t, left, "/h", []byte("synced"))
}

// After a failure what was not synced stays in doubt, whatever succeeds later.
func TestMemSyncAllFails(t *testing.T) {
	m := vfs.NewMem()
	s := syncer(t, m)
	f := create(t, m, "/a/f")
	write(t, f, []byte("old"), 0)
	must(t, s.SyncAll())
	write(t, f, []byte("new"), 0)
	m.Fail(func(op vfs.Op, name string) error {
		if op == vfs.OpSyncAll && name == "/a/b" {
			return syscall.EIO
		}
		return nil
	})
	err := s.SyncAll()
	wantErr(t, err, syscall.EIO)
	if !strings.Contains(err.Error(), "syncall /a/b") {
		t.Errorf("error %v names another operation", err)
	}
	m.Fail(nil)
	must(t, s.SyncAll())
	must(t, f.Sync())
	wantContent(t, m.Crash(vfs.CrashOptions{}), "/a/f", []byte("old"))
}
