// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package vfs_test

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
)

func wantNames(t testing.TB, fsys vfs.FS, dir string, want ...string) {
	t.Helper()
	got, err := fsys.ReadDir(dir)
	must(t, err)
	if !slices.Equal(got, want) {
		t.Fatalf("%s holds %q, want %q", dir, got, want)
	}
}

func testDirectories(t *testing.T, fsys vfs.FS, dir string) {
	deep := filepath.Join(dir, "a", "b", "c")
	must(t, fsys.MkdirAll(deep))
	must(t, fsys.MkdirAll(deep))
	name := filepath.Join(dir, "f")
	must(t, vfs.WriteFile(fsys, name, []byte("12345")))
	wantNames(t, fsys, dir, "a", "f")
	wantNames(t, fsys, deep)
	if size, isDir, err := fsys.Stat(name); size != 5 || isDir || err != nil {
		t.Errorf("Stat of the file: %d, %v, %v", size, isDir, err)
	}
	if size, isDir, err := fsys.Stat(deep); size != 0 || !isDir || err != nil {
		t.Errorf("Stat of the directory: %d, %v, %v", size, isDir, err)
	}
	wantErr(t, fsys.MkdirAll(filepath.Join(name, "x")), syscall.ENOTDIR)
	wantErr(t, fsys.Remove(filepath.Join(dir, "a")), syscall.ENOTEMPTY)
	wantErr(t, fsys.Remove(filepath.Join(dir, "missing")), fs.ErrNotExist)
	must(t, fsys.Remove(deep))
	wantNames(t, fsys, filepath.Join(dir, "a", "b"))
	_, err := fsys.ReadDir(deep)
	wantErr(t, err, fs.ErrNotExist)
	_, err = fsys.ReadDir(name)
	wantErr(t, err, syscall.ENOTDIR)
	must(t, fsys.SyncDir(dir))
	wantErr(t, fsys.SyncDir(deep), fs.ErrNotExist)
	wantErr(t, fsys.SyncDir(name), syscall.ENOTDIR)
}

func testRename(t *testing.T, fsys vfs.FS, dir string) {
	in := func(elements ...string) string { return filepath.Join(append([]string{dir}, elements...)...) }
	must(t, fsys.MkdirAll(in("d", "e")))
	must(t, vfs.WriteFile(fsys, in("f"), []byte("f")))
	must(t, vfs.WriteFile(fsys, in("g"), []byte("g")))
	must(t, fsys.Rename(in("f"), in("g")))
	wantNames(t, fsys, dir, "d", "g")
	wantContent(t, fsys, in("g"), []byte("f"))
	must(t, fsys.Rename(in("g"), in("g")))
	must(t, fsys.Rename(in("g"), in("d", "h")))
	wantNames(t, fsys, dir, "d")
	wantContent(t, fsys, in("d", "h"), []byte("f"))
	wantErr(t, fsys.Rename(in("missing"), in("x")), fs.ErrNotExist)
	wantErr(t, fsys.Rename(in("d", "h"), in("missing", "x")), fs.ErrNotExist)
	wantErr(t, fsys.Rename(in("d", "h"), in("d", "e")), fs.ErrExist)
	wantErr(t, fsys.Rename(in("d", "e"), in("d", "h")), syscall.ENOTDIR)
	wantErr(t, fsys.Rename(in("d"), in("d", "e", "d")), syscall.EINVAL)
	must(t, fsys.Rename(in("d"), in("k")))
	wantNames(t, fsys, in("k"), "e", "h")
}

func testRemoveAll(t *testing.T, fsys vfs.FS, dir string) {
	must(t, fsys.MkdirAll(filepath.Join(dir, "a", "b")))
	must(t, vfs.WriteFile(fsys, filepath.Join(dir, "a", "b", "f"), []byte("f")))
	must(t, vfs.WriteFile(fsys, filepath.Join(dir, "g"), []byte("g")))
	must(t, fsys.RemoveAll(filepath.Join(dir, "a")))
	must(t, fsys.RemoveAll(filepath.Join(dir, "a")))
	must(t, fsys.RemoveAll(filepath.Join(dir, "a", "b", "c")))
	wantNames(t, fsys, dir, "g")
	must(t, fsys.RemoveAll(filepath.Join(dir, "g")))
	wantNames(t, fsys, dir)
}

func testLock(t *testing.T, fsys vfs.FS, dir string) {
	name := filepath.Join(dir, "lock")
	lock, err := fsys.Lock(name)
	must(t, err)
	wantContent(t, fsys, name, []byte("lock"))
	_, err = fsys.Lock(name)
	wantErr(t, err, vfs.ErrLocked)
	other, err := fsys.Lock(filepath.Join(dir, "other"))
	must(t, err)
	must(t, other.Close())
	must(t, lock.Close())
	if err := lock.Close(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("second Close: %v", err)
	}
	lock, err = fsys.Lock(name)
	must(t, err)
	must(t, lock.Close())
	wantContent(t, fsys, name, []byte("lock"))
	_, err = fsys.Lock(filepath.Join(dir, "missing", "lock"))
	wantErr(t, err, fs.ErrNotExist)
}

func testUsage(t *testing.T, fsys vfs.FS, dir string) {
	u, err := fsys.Usage(dir)
	must(t, err)
	if u.Total <= 0 || u.Used < 0 || u.Free < 0 || u.Used+u.Free > u.Total {
		t.Errorf("%+v", u)
	}
	if r := u.Ratio(); r < 0 || r > 1 {
		t.Errorf("ratio %v of %+v", r, u)
	}
	_, err = fsys.Usage(filepath.Join(dir, "missing"))
	wantErr(t, err, fs.ErrNotExist)
}

func testReplaceAndReadConfig(t *testing.T, fsys vfs.FS, dir string) {
	name := filepath.Join(dir, "topics.json")
	want := func(data string, fromBackup bool) {
		t.Helper()
		got, backup, err := vfs.ReadConfigFile(fsys, name)
		must(t, err)
		if string(got) != data || backup != fromBackup {
			t.Fatalf("got %q, from backup %v; want %q, %v", got, backup, data, fromBackup)
		}
	}
	_, _, err := vfs.ReadConfigFile(fsys, name)
	wantErr(t, err, fs.ErrNotExist)
	must(t, vfs.ReplaceFile(fsys, name, []byte("one")))
	want("one", false)
	wantNames(t, fsys, dir, "topics.json")
	must(t, vfs.ReplaceFile(fsys, name, []byte("two")))
	want("two", false)
	wantContent(t, fsys, name+".bak", []byte("one"))
	must(t, fsys.Remove(name))
	want("one", true)

	// As a power cut leaves a file that nobody synced; the good backup stays.
	for _, bad := range []string{"", "\x00\x00\x00"} {
		must(t, vfs.WriteFile(fsys, name, []byte(bad)))
		want("one", true)
		must(t, vfs.ReplaceFile(fsys, name, []byte("three")))
		want("three", false)
		wantContent(t, fsys, name+".bak", []byte("one"))
	}
	wantNames(t, fsys, dir, "topics.json", "topics.json.bak")
	for _, nothing := range []string{"", "\x00"} {
		if err := vfs.ReplaceFile(fsys, name, []byte(nothing)); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("replaced by %q: %v", nothing, err)
		}
	}
	want("three", false)
	must(t, vfs.WriteFile(fsys, name, nil))
	must(t, fsys.Remove(name+".bak"))
	if _, _, err := vfs.ReadConfigFile(fsys, name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("blank and no backup: %v", err)
	}
}

func testMkdirAllSync(t *testing.T, fsys vfs.FS, dir string) {
	deep := filepath.Join(dir, "a", "b")
	must(t, vfs.MkdirAllSync(fsys, deep))
	must(t, vfs.MkdirAllSync(fsys, deep))
	wantNames(t, fsys, filepath.Join(dir, "a"), "b")
	must(t, vfs.WriteFile(fsys, filepath.Join(dir, "f"), []byte("x")))
	wantErr(t, vfs.MkdirAllSync(fsys, filepath.Join(dir, "f")), syscall.ENOTDIR)
	wantErr(t, vfs.MkdirAllSync(fsys, filepath.Join(dir, "f", "g")), syscall.ENOTDIR)
}
