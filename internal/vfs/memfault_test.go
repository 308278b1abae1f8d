// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package vfs_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
)

func TestFaultByOperationAndName(t *testing.T) {
	m := vfs.NewMem()
	must(t, vfs.WriteFile(m, "/good", []byte("g")))
	f := create(t, m, "bad") // a relative name is below the root
	write(t, f, []byte("b"), 0)
	for op, call := range map[vfs.Op]func() error{
		vfs.OpOpen:        func() error { _, err := m.OpenFile("/bad", os.O_RDONLY); return err },
		vfs.OpMkdirAll:    func() error { return m.MkdirAll("/bad") },
		vfs.OpRemove:      func() error { return m.Remove("/bad") },
		vfs.OpRemoveAll:   func() error { return m.RemoveAll("/bad") },
		vfs.OpRename:      func() error { return m.Rename("/bad", "/x") },
		vfs.OpReadDir:     func() error { _, err := m.ReadDir("/bad"); return err },
		vfs.OpStat:        func() error { _, _, err := m.Stat("/bad"); return err },
		vfs.OpSyncDir:     func() error { return m.SyncDir("/bad") },
		vfs.OpLock:        func() error { _, err := m.Lock("/bad"); return err },
		vfs.OpUsage:       func() error { _, err := m.Usage("/bad"); return err },
		vfs.OpRead:        func() error { _, err := f.ReadAt(make([]byte, 1), 0); return err },
		vfs.OpWrite:       func() error { _, err := f.WriteAt([]byte("x"), 0); return err },
		vfs.OpSize:        func() error { _, err := f.Size(); return err },
		vfs.OpTruncate:    func() error { return f.Truncate(0) },
		vfs.OpSync:        f.Sync,
		vfs.OpPreallocate: func() error { return f.Preallocate(9) },
		vfs.OpNextData:    func() error { _, err := f.NextData(0); return err },
		vfs.OpMap:         func() error { _, err := f.Map(1); return err },
	} {
		if strings.HasPrefix(op.String(), "Op(") {
			t.Errorf("%v has no name", op)
		}
		m.Fail(func(got vfs.Op, name string) error {
			if got == op && name == "/bad" {
				return syscall.EIO
			}
			return nil
		})
		wantErr(t, call(), syscall.EIO)
		wantContent(t, m, "/good", []byte("g"))
	}
	m.Fail(nil)
	wantContent(t, m, "/bad", []byte("b"))
	wantNames(t, m, "/", "bad", "good")
}

func TestShortWrite(t *testing.T) {
	m := vfs.NewMem()
	f := create(t, m, "/f")
	m.Fail(func(op vfs.Op, _ string) error {
		if op == vfs.OpWrite {
			return &vfs.ShortWrite{N: 3, Err: syscall.EIO}
		}
		return nil
	})
	n, err := f.WriteAt([]byte("hello"), 2)
	wantErr(t, err, syscall.EIO)
	if n != 3 {
		t.Errorf("wrote %d", n)
	}
	wantContent(t, m, "/f", []byte("\x00\x00hel"))
}

func TestCapacity(t *testing.T) {
	m := vfs.NewMem()
	m.SetCapacity(8 * 4096)
	free := func(blocks int64) {
		t.Helper()
		u, err := m.Usage("/")
		must(t, err)
		if want := (vfs.Usage{Total: 8 * 4096, Used: (8 - blocks) * 4096, Free: blocks * 4096}); u != want {
			t.Errorf("%+v, want %+v", u, want)
		}
		if r := u.Ratio(); r != float64(8-blocks)/8 {
			t.Errorf("ratio %v with %d of 8 blocks free", r, blocks)
		}
	}
	f := create(t, m, "/f")
	must(t, f.Truncate(1<<24)) // takes nothing
	free(8)
	write(t, f, []byte("x"), 1<<23)
	free(7)
	must(t, f.Truncate(0))
	free(8)
	must(t, f.Preallocate(4*4096))
	free(4)
	n, err := f.WriteAt(bytes.Repeat([]byte("y"), 20*4096), 100)
	wantErr(t, err, syscall.ENOSPC)
	if n != 8*4096-100 {
		t.Errorf("wrote %d", n)
	}
	wantSize(t, f, 8*4096)
	free(0)
	write(t, f, []byte("overwriting needs no room"), 0)
	g := create(t, m, "/g")
	n, err = g.WriteAt([]byte("z"), 0)
	wantErr(t, err, syscall.ENOSPC)
	if n != 0 {
		t.Errorf("wrote %d", n)
	}
	wantSize(t, g, 0)
	wantErr(t, g.Preallocate(1), syscall.ENOSPC)
	_, err = m.Lock("/lock")
	wantErr(t, err, syscall.ENOSPC)

	// A removed file takes room until its last handle and mapping are closed.
	view, err := f.Map(4096)
	must(t, err)
	must(t, m.Remove("/f"))
	free(0)
	must(t, f.Close())
	free(0)
	must(t, view.Close())
	free(8)
	write(t, g, bytes.Repeat([]byte("z"), 4097), 0)
	must(t, g.Close())
	m = m.Kill()
	free(6)
	must(t, m.Rename("/g", "/lock"))
	must(t, vfs.WriteFile(m, "/h", []byte("h")))
	must(t, m.Rename("/h", "/lock"))
	free(7)
}

func TestMemNextData(t *testing.T) {
	m := vfs.NewMem()
	f := create(t, m, "/f")
	must(t, f.Preallocate(10*4096))
	write(t, f, []byte("a"), 3*4096+5)
	write(t, f, []byte("b"), 7*4096)
	for _, c := range []struct{ off, want int64 }{
		{0, 3 * 4096}, {3*4096 + 7, 3*4096 + 7}, {4 * 4096, 7 * 4096}, {8 * 4096, 10 * 4096}, {10 * 4096, 10 * 4096},
	} {
		if got, err := f.NextData(c.off); err != nil || got != c.want {
			t.Errorf("NextData(%d) = %d, %v, want %d", c.off, got, err, c.want)
		}
	}
	for _, c := range []struct{ off, want int64 }{
		{0, 0}, {5, 5}, {3*4096 + 7, 4 * 4096}, {7 * 4096, 8 * 4096}, {10 * 4096, 10 * 4096},
	} {
		if got, err := f.NextHole(c.off); err != nil || got != c.want {
			t.Errorf("NextHole(%d) = %d, %v, want %d", c.off, got, err, c.want)
		}
	}
}

func TestTruncateUnderMapping(t *testing.T) {
	m := vfs.NewMem()
	f := create(t, m, "/f")
	write(t, f, bytes.Repeat([]byte("x"), 100), 0)
	view, err := f.Map(100)
	must(t, err)
	must(t, f.Truncate(50))
	if len(view.Bytes()) != 100 || view.Bytes()[49] != 'x' {
		t.Errorf("view shows %q", view.Bytes())
	}
	must(t, f.Truncate(1<<20))
	must(t, f.Truncate(10))
	must(t, f.Truncate(100))
	write(t, f, []byte("y"), 60)
	want := append(bytes.Repeat([]byte("x"), 10), make([]byte, 90)...)
	want[60] = 'y'
	if !bytes.Equal(view.Bytes(), want) {
		t.Errorf("view shows %q", view.Bytes())
	}
}

// errStop is what every operation gets once the machine has stopped.
var errStop = errors.New("stopped")

// stopAfter lets n operations that change something through.
func stopAfter(m *vfs.Mem, n int) (stopped func() bool) {
	count := 0
	m.Fail(func(op vfs.Op, _ string) error {
		if !op.Changes() {
			return nil
		}
		if count++; count > n {
			return errStop
		}
		return nil
	})
	return func() bool { return count > n }
}

// TestReplaceFileStoppedAnywhere stops the machine before each operation of a
// replacement, twice in a row, and demands the old content or the new one; and
// the new one when the replacement said that it was done.
func TestReplaceFileStoppedAnywhere(t *testing.T) {
	const name = "/config/topics.json"
	old := bytes.Repeat([]byte("old "), 500)
	content := func(round int) []byte { return bytes.Repeat(fmt.Appendf(nil, "new %d ", round), 400) }
	ends := map[string]func(m *vfs.Mem, seed uint64) *vfs.Mem{
		"kill":         func(m *vfs.Mem, _ uint64) *vfs.Mem { return m.Kill() },
		"power":        func(m *vfs.Mem, _ uint64) *vfs.Mem { return m.Crash(vfs.CrashOptions{}) },
		"power, names": func(m *vfs.Mem, _ uint64) *vfs.Mem { return m.Crash(vfs.CrashOptions{Names: vfs.KeepAll}) },
		"power, random": func(m *vfs.Mem, seed uint64) *vfs.Mem {
			return m.Crash(vfs.CrashOptions{Data: vfs.KeepSome, Names: vfs.KeepSome, Rand: seeded(seed)})
		},
	}
	const ops = 7 // open, write, sync, open the old one, rename, rename, syncdir; without an old one, one less
	for end, stop := range ends {
		for first := range ops + 1 {
			for second := range ops + 1 {
				for seed := range uint64(4) {
					m := vfs.NewMem()
					must(t, vfs.MkdirAllSync(m, path.Dir(name)))
					must(t, vfs.ReplaceFile(m, name, []byte("older")))
					must(t, vfs.ReplaceFile(m, name, old))
					before := old
					for round, n := range []int{first, second} {
						stopped := stopAfter(m, n)
						err := vfs.ReplaceFile(m, name, content(round))
						if round == 0 && stopped() != (n < ops) {
							t.Fatalf("a replacement is not %d operations", ops)
						}
						if (err != nil) != stopped() || err != nil && !errors.Is(err, errStop) {
							t.Fatalf("replace: %v", err)
						}
						m = stop(m, seed)
						got, _, readErr := vfs.ReadConfigFile(m, name)
						must(t, readErr)
						isNew := bytes.Equal(got, content(round))
						if !isNew && (err == nil || !bytes.Equal(got, before)) {
							t.Fatalf("%s before operation %d, then %d, seed %d: %.20q after %v", end, first, second, seed, got, err)
						}
						before = got
					}
				}
			}
		}
	}
}

// TestReplaceSecretStoppedAnywhere demands the old content or the new one, under its own
// name: there is no backup to turn to.
func TestReplaceSecretStoppedAnywhere(t *testing.T) {
	const name, ops = "/conf/plain_acl.yml", 5 // open, write, sync, rename, syncdir
	before, after := bytes.Repeat([]byte("old "), 500), bytes.Repeat([]byte("new "), 400)
	for end, o := range map[string]vfs.CrashOptions{"kill": {Data: vfs.KeepAll, Names: vfs.KeepAll}, "power": {}, "power, names": {Names: vfs.KeepAll}} {
		for n := range ops + 1 {
			m := vfs.NewMem()
			must(t, vfs.MkdirAllSync(m, path.Dir(name)))
			must(t, vfs.ReplaceSecret(m, name, before))
			stopped := stopAfter(m, n)
			err := vfs.ReplaceSecret(m, name, after)
			if stopped() != (n < ops) || (err != nil) != stopped() {
				t.Fatalf("%s: stopped before operation %d: %v, %v", end, n, stopped(), err)
			}
			got, readErr := vfs.ReadFile(m.Crash(o), name)
			if readErr != nil || !bytes.Equal(got, after) && (err == nil || !bytes.Equal(got, before)) {
				t.Errorf("%s before operation %d: %.20q, %v", end, n, got, readErr)
			}
		}
	}
}

// A replacement that fails and goes on living leaves old or new as well.
func TestReplaceFileFailing(t *testing.T) {
	for _, bad := range []vfs.Op{vfs.OpOpen, vfs.OpWrite, vfs.OpSync, vfs.OpRename, vfs.OpSyncDir, vfs.OpRead} {
		for nth := range 2 {
			m := vfs.NewMem()
			must(t, vfs.ReplaceFile(m, "/f", []byte("old")))
			count := 0
			m.Fail(func(op vfs.Op, _ string) error {
				if op != bad {
					return nil
				}
				if count++; count == nth+1 {
					return syscall.EIO
				}
				return nil
			})
			err := vfs.ReplaceFile(m, "/f", []byte("new"))
			m.Fail(nil)
			if count > nth {
				if !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), "/f") {
					t.Errorf("%v %d: %v", bad, nth, err)
				}
			} else if err != nil {
				t.Errorf("%v %d: %v", bad, nth, err)
			}
			got, _, err := vfs.ReadConfigFile(m, "/f")
			must(t, err)
			if string(got) != "old" && string(got) != "new" {
				t.Errorf("%v %d left %q", bad, nth, got)
			}
			if bad == vfs.OpWrite || bad == vfs.OpSync {
				if _, _, err := m.Stat("/f.tmp"); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%v left the unfinished file: %v", bad, err)
				}
			}
		}
	}
}
