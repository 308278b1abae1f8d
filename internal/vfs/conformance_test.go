// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package vfs_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
)

// conformance is what every FS does. Each case gets an empty directory.
var conformance = []struct {
	name string
	run  func(t *testing.T, fsys vfs.FS, dir string)
}{
	{"open flags", testOpenFlags},
	{"read and write", testReadWrite},
	{"access mode", testAccessMode},
	{"truncate", testTruncate},
	{"preallocate", testPreallocate},
	{"next data", testNextData},
	{"next hole", testNextHole},
	{"mapping", testMapping},
	{"mapping outlives file and name", testMappingOutlives},
	{"closed handle", testClosedHandle},
	{"removed while open", testRemovedWhileOpen},
	{"directories", testDirectories},
	{"rename", testRename},
	{"remove all", testRemoveAll},
	{"lock", testLock},
	{"sync all", testSyncAll},
	{"usage", testUsage},
	{"concurrent writes", testConcurrentWrites},
	{"replace and read config", testReplaceAndReadConfig},
	{"mkdir all sync", testMkdirAllSync},
}

func TestConformance(t *testing.T) {
	for _, c := range conformance {
		t.Run(c.name, func(t *testing.T) {
			t.Run("OS", func(t *testing.T) { c.run(t, vfs.OS(), t.TempDir()) })
			t.Run("Mem", func(t *testing.T) {
				m := vfs.NewMem()
				must(t, m.MkdirAll("/tmp/x"))
				c.run(t, m, "/tmp/x")
			})
		})
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want %v", err, want)
	}
	var named *fs.PathError
	var linked *os.LinkError
	if !errors.As(err, &named) && !errors.As(err, &linked) {
		t.Fatalf("error %v names no file", err)
	}
}

func open(t testing.TB, fsys vfs.FS, name string, flag int) vfs.File {
	t.Helper()
	f, err := fsys.OpenFile(name, flag)
	must(t, err)
	return f
}

func create(t testing.TB, fsys vfs.FS, name string) vfs.File {
	t.Helper()
	return open(t, fsys, name, os.O_RDWR|os.O_CREATE)
}

func write(t testing.TB, f vfs.File, p []byte, off int64) {
	t.Helper()
	n, err := f.WriteAt(p, off)
	must(t, err)
	if n != len(p) {
		t.Fatalf("wrote %d of %d", n, len(p))
	}
}

func wantContent(t testing.TB, fsys vfs.FS, name string, want []byte) {
	t.Helper()
	got, err := vfs.ReadFile(fsys, name)
	must(t, err)
	if !bytes.Equal(got, want) {
		t.Fatalf("%s holds %.40q (%d bytes), want %.40q (%d bytes)", name, got, len(got), want, len(want))
	}
}

func wantSize(t testing.TB, f vfs.File, want int64) {
	t.Helper()
	got, err := f.Size()
	must(t, err)
	if got != want {
		t.Fatalf("size %d, want %d", got, want)
	}
}

func testOpenFlags(t *testing.T, fsys vfs.FS, dir string) {
	name := filepath.Join(dir, "f")
	_, err := fsys.OpenFile(name, os.O_RDWR)
	wantErr(t, err, fs.ErrNotExist)
	_, err = fsys.OpenFile(filepath.Join(dir, "missing", "f"), os.O_RDWR|os.O_CREATE)
	wantErr(t, err, fs.ErrNotExist)
	f := open(t, fsys, name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
	write(t, f, []byte("hello"), 0)
	must(t, f.Close())
	_, err = fsys.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
	wantErr(t, err, fs.ErrExist)
	must(t, open(t, fsys, name, os.O_RDWR|os.O_CREATE).Close())
	wantContent(t, fsys, name, []byte("hello"))
	must(t, open(t, fsys, name, os.O_RDWR|os.O_TRUNC).Close())
	wantContent(t, fsys, name, nil)
	_, err = fsys.OpenFile(name, os.O_WRONLY|os.O_APPEND)
	wantErr(t, err, syscall.EINVAL)
	for _, flag := range []int{os.O_RDONLY, os.O_RDWR} {
		_, err = fsys.OpenFile(dir, flag)
		wantErr(t, err, syscall.EISDIR)
	}
	_, err = fsys.OpenFile(filepath.Join(name, "below"), os.O_RDONLY)
	wantErr(t, err, syscall.ENOTDIR)
}

func testReadWrite(t *testing.T, fsys vfs.FS, dir string) {
	f := create(t, fsys, filepath.Join(dir, "f"))
	defer f.Close()
	write(t, f, nil, 10)
	wantSize(t, f, 0)
	write(t, f, []byte("world"), 10000)
	write(t, f, []byte("hello"), 0)
	wantSize(t, f, 10005)
	want := make([]byte, 10005)
	copy(want, "hello")
	copy(want[10000:], "world")
	wantContent(t, fsys, filepath.Join(dir, "f"), want)
	for _, c := range []struct {
		off     int64
		length  int
		n       int
		wantErr error
	}{
		{0, 5, 5, nil}, {10000, 5, 5, nil}, {10003, 5, 2, io.EOF}, {10005, 1, 0, io.EOF}, {1 << 40, 1, 0, io.EOF}, {10005, 0, 0, nil},
	} {
		p := make([]byte, c.length)
		n, err := f.ReadAt(p, c.off)
		if n != c.n || err != c.wantErr {
			t.Errorf("ReadAt(%d bytes, %d) = %d, %v, want %d, %v", c.length, c.off, n, err, c.n, c.wantErr)
		}
		if !bytes.Equal(p[:n], want[min(c.off, 10005):][:n]) {
			t.Errorf("ReadAt(%d bytes, %d) read %q", c.length, c.off, p[:n])
		}
	}
	must(t, f.Sync())
	if _, err := f.WriteAt([]byte("x"), -1); err == nil {
		t.Error("write at -1 succeeded")
	}
	if _, err := f.ReadAt(make([]byte, 1), -1); err == nil {
		t.Error("read at -1 succeeded")
	}
}

func testAccessMode(t *testing.T, fsys vfs.FS, dir string) {
	name := filepath.Join(dir, "f")
	must(t, vfs.WriteFile(fsys, name, []byte("abc")))
	r := open(t, fsys, name, os.O_RDONLY)
	defer r.Close()
	_, err := r.WriteAt([]byte("x"), 0)
	wantErr(t, err, syscall.EBADF)
	wantErr(t, r.Preallocate(10), syscall.EBADF)
	wantErr(t, r.Truncate(0), syscall.EINVAL)
	w := open(t, fsys, name, os.O_WRONLY)
	defer w.Close()
	_, err = w.ReadAt(make([]byte, 1), 0)
	wantErr(t, err, syscall.EBADF)
	_, err = w.Map(3)
	wantErr(t, err, syscall.EACCES)
	wantContent(t, fsys, name, []byte("abc"))
}

func testTruncate(t *testing.T, fsys vfs.FS, dir string) {
	name := filepath.Join(dir, "f")
	f := create(t, fsys, name)
	defer f.Close()
	write(t, f, bytes.Repeat([]byte("x"), 9000), 0)
	must(t, f.Truncate(4097))
	must(t, f.Truncate(20000))
	want := make([]byte, 20000)
	copy(want, bytes.Repeat([]byte("x"), 4097))
	wantContent(t, fsys, name, want)
	must(t, f.Truncate(0))
	wantSize(t, f, 0)
	write(t, f, []byte("y"), 2)
	wantContent(t, fsys, name, []byte("\x00\x00y"))
	wantErr(t, f.Truncate(-1), syscall.EINVAL)
}

func testPreallocate(t *testing.T, fsys vfs.FS, dir string) {
	name := filepath.Join(dir, "f")
	f := create(t, fsys, name)
	defer f.Close()
	must(t, f.Preallocate(0))
	wantSize(t, f, 0)
	write(t, f, []byte("abc"), 0)
	must(t, f.Preallocate(100000))
	wantSize(t, f, 100000)
	want := make([]byte, 100000)
	copy(want, "abc")
	wantContent(t, fsys, name, want)
	must(t, f.Preallocate(10))
	wantSize(t, f, 100000)
	wantErr(t, f.Preallocate(-1), syscall.EINVAL)
}

func testMapping(t *testing.T, fsys vfs.FS, dir string) {
	f := create(t, fsys, filepath.Join(dir, "f"))
	defer f.Close()
	empty, err := f.Map(0)
	must(t, err)
	if b := empty.Bytes(); b == nil || len(b) != 0 {
		t.Errorf("empty mapping shows %v", b)
	}
	must(t, empty.Close())
	write(t, f, []byte("hello"), 0)
	_, err = f.Map(6)
	wantErr(t, err, syscall.EINVAL)
	_, err = f.Map(-1)
	wantErr(t, err, syscall.EINVAL)
	view, err := f.Map(5)
	must(t, err)
	show := func(want string) {
		t.Helper()
		if got := string(view.Bytes()); got != want {
			t.Errorf("view shows %q, want %q", got, want)
		}
	}
	show("hello")
	write(t, f, []byte("J"), 0)
	show("Jello")
	// The file grows far past what the view shows; the view still follows.
	write(t, f, []byte("far"), 1<<20)
	write(t, f, []byte("y!"), 4)
	show("Jelly")
	second, err := f.Map(1<<20 + 3)
	must(t, err)
	write(t, f, []byte("W"), 0)
	show("Welly")
	if got := second.Bytes(); string(got[:6]) != "Welly!" || string(got[1<<20:]) != "far" {
		t.Errorf("second view shows %q ... %q", got[:6], got[1<<20:])
	}
	must(t, second.Close())
	must(t, view.Close())
	must(t, view.Close())
	if view.Bytes() != nil {
		t.Error("a closed mapping shows bytes")
	}
}

func testMappingOutlives(t *testing.T, fsys vfs.FS, dir string) {
	name := filepath.Join(dir, "f")
	f := create(t, fsys, name)
	write(t, f, []byte("hello"), 0)
	view, err := f.Map(5)
	must(t, err)
	must(t, f.Close())
	must(t, fsys.Remove(name))
	must(t, vfs.WriteFile(fsys, name, []byte("other")))
	if got := string(view.Bytes()); got != "hello" {
		t.Errorf("view shows %q", got)
	}
	must(t, view.Close())
}

func testClosedHandle(t *testing.T, fsys vfs.FS, dir string) {
	f := create(t, fsys, filepath.Join(dir, "f"))
	write(t, f, []byte("hello"), 0)
	must(t, f.Close())
	for op, call := range map[string]func() error{
		"read":        func() error { _, err := f.ReadAt(make([]byte, 1), 0); return err },
		"write":       func() error { _, err := f.WriteAt([]byte("x"), 0); return err },
		"size":        func() error { _, err := f.Size(); return err },
		"truncate":    func() error { return f.Truncate(1) },
		"sync":        f.Sync,
		"preallocate": func() error { return f.Preallocate(1) },
		"next data":   func() error { _, err := f.NextData(0); return err },
		"next hole":   func() error { _, err := f.NextHole(0); return err },
		"map":         func() error { _, err := f.Map(1); return err },
		"close":       f.Close,
	} {
		if err := call(); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("%s: got %v, want fs.ErrClosed", op, err)
		}
	}
}

func testRemovedWhileOpen(t *testing.T, fsys vfs.FS, dir string) {
	name := filepath.Join(dir, "f")
	f := create(t, fsys, name)
	must(t, fsys.Remove(name))
	write(t, f, []byte("still"), 0)
	wantSize(t, f, 5)
	_, _, err := fsys.Stat(name)
	wantErr(t, err, fs.ErrNotExist)
	must(t, f.Close())
}

func testConcurrentWrites(t *testing.T, fsys vfs.FS, dir string) {
	name := filepath.Join(dir, "f")
	f := create(t, fsys, name)
	defer f.Close()
	const workers, step, rounds = 4, 1000, 50
	must(t, f.Preallocate(workers*step))
	view, err := f.Map(workers * step)
	must(t, err)
	defer view.Close()
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range rounds {
				chunk := bytes.Repeat([]byte{byte(w*rounds + i)}, step)
				if _, err := f.WriteAt(chunk, int64(w*step)); err != nil {
					t.Error(err)
					return
				}
				// Each worker reads its own part of the view, and far writes
				// make the file move meanwhile.
				if got := view.Bytes()[w*step : (w+1)*step]; !slices.Equal(got, chunk) {
					t.Errorf("worker %d round %d: view lags", w, i)
					return
				}
				if _, err := f.WriteAt([]byte("grow"), int64((w*rounds+i+1)*5000)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}
