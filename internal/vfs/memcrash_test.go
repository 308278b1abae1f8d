// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package vfs_test

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
)

func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }

// durable makes /f with content, its bytes and its name synced.
func durable(t testing.TB, m *vfs.Mem, content []byte) vfs.File {
	t.Helper()
	f := create(t, m, "/f")
	write(t, f, content, 0)
	must(t, f.Sync())
	must(t, m.SyncDir("/"))
	return f
}

func TestCrashLosesWhatWasNotSynced(t *testing.T) {
	m := vfs.NewMem()
	f := durable(t, m, []byte("hello"))
	write(t, f, []byte("J"), 0)
	write(t, f, []byte(" world"), 5)
	must(t, vfs.WriteFile(m, "/synced-but-unnamed", []byte("x")))
	wantContent(t, m, "/f", []byte("Jello world"))
	left := m.Crash(vfs.CrashOptions{})
	wantNames(t, left, "/", "f")
	wantContent(t, left, "/f", []byte("hello"))
}

func TestCrashLosesNames(t *testing.T) {
	m := vfs.NewMem()
	for _, name := range []string{"/a", "/b", "/c"} {
		must(t, vfs.WriteFile(m, name, []byte(name)))
	}
	must(t, m.MkdirAll("/dir/sub"))
	must(t, vfs.WriteFile(m, "/dir/f", []byte("f")))
	must(t, m.SyncDir("/"))
	must(t, m.Remove("/a"))
	must(t, m.Rename("/b", "/c"))
	must(t, m.Rename("/c", "/d"))
	wantNames(t, m, "/", "d", "dir")
	left := m.Crash(vfs.CrashOptions{Data: vfs.KeepAll})
	wantNames(t, left, "/", "a", "b", "c", "dir")
	wantContent(t, left, "/b", []byte("/b"))
	wantContent(t, left, "/c", []byte("/c"))
	wantNames(t, left, "/dir") // SyncDir of the parent says nothing about it
}

func TestCrashRestoresWhatTruncateCutOff(t *testing.T) {
	m := vfs.NewMem()
	content := bytes.Repeat([]byte("0123456789abcdef"), 1000)
	f := durable(t, m, content)
	must(t, f.Truncate(100))
	write(t, f, []byte("new"), 5000)
	write(t, f, []byte("far"), 1<<20)
	must(t, f.Truncate(50))
	wantContent(t, m.Crash(vfs.CrashOptions{}), "/f", content)
}

func TestCrashWithEverythingCutOff(t *testing.T) {
	for _, keep := range []vfs.Keep{vfs.KeepSynced, vfs.KeepSome, vfs.KeepAll} {
		m := vfs.NewMem()
		f := durable(t, m, nil)
		write(t, f, bytes.Repeat([]byte("x"), 10000), 0)
		must(t, f.Truncate(0))
		wantContent(t, m.Crash(vfs.CrashOptions{Data: keep, Rand: seeded(1)}), "/f", nil)
	}
}

// Each sector of a torn write is the old one or the new one, both happen, and
// the same seed tears alike.
func TestCrashTearsWrites(t *testing.T) {
	const sectors, size = 64, 64 * 512
	tear := func(seed uint64) []byte {
		m := vfs.NewMem()
		f := durable(t, m, bytes.Repeat([]byte("o"), size))
		write(t, f, bytes.Repeat([]byte("n"), size), 0)
		data, err := vfs.ReadFile(m.Crash(vfs.CrashOptions{Data: vfs.KeepSome, Rand: seeded(seed)}), "/f")
		must(t, err)
		return data
	}
	data := tear(7)
	if len(data) != size {
		t.Fatalf("%d bytes left", len(data))
	}
	kept := 0
	for s := range sectors {
		sector := data[s*512 : (s+1)*512]
		switch {
		case bytes.Count(sector, []byte("n")) == 512:
			kept++
		case bytes.Count(sector, []byte("o")) != 512:
			t.Fatalf("sector %d is neither old nor new: %q", s, sector)
		}
	}
	if kept == 0 || kept == sectors {
		t.Errorf("%d of %d sectors kept", kept, sectors)
	}
	if !bytes.Equal(data, tear(7)) {
		t.Error("the same seed left something else")
	}
	if bytes.Equal(data, tear(8)) {
		t.Error("another seed left the same")
	}
}

func TestCrashKeepsSomeOfAnAppend(t *testing.T) {
	sizes := make(map[int]bool)
	for seed := range uint64(50) {
		m := vfs.NewMem()
		f := durable(t, m, []byte("head"))
		write(t, f, bytes.Repeat([]byte("t"), 5000), 4)
		data, err := vfs.ReadFile(m.Crash(vfs.CrashOptions{Data: vfs.KeepSome, Rand: seeded(seed)}), "/f")
		must(t, err)
		if len(data) < 4 || len(data) > 5004 || string(data[:4]) != "head" {
			t.Fatalf("seed %d left %d bytes, %.10q", seed, len(data), data)
		}
		if len(bytes.Trim(data[4:], "t\x00")) != 0 {
			t.Fatalf("seed %d left bytes that nobody wrote", seed)
		}
		sizes[len(data)] = true
	}
	if !sizes[4] || !sizes[5004] || len(sizes) < 4 {
		t.Errorf("too few sizes: %v", sizes)
	}
}

// The two names of a rename inside a directory change together.
func TestCrashKeepsRenameWhole(t *testing.T) {
	seen := make(map[string]bool)
	for seed := range uint64(50) {
		m := vfs.NewMem()
		durable(t, m, []byte("x"))
		must(t, m.Rename("/f", "/g"))
		names, err := m.Crash(vfs.CrashOptions{Names: vfs.KeepSome, Rand: seeded(seed)}).ReadDir("/")
		must(t, err)
		if len(names) != 1 {
			t.Fatalf("seed %d left %q", seed, names)
		}
		seen[names[0]] = true
	}
	if !seen["f"] || !seen["g"] {
		t.Errorf("left only %v", seen)
	}
}

// A rename between directories may be half durable. The file then has two
// names or none; a directory never becomes its own parent.
func TestCrashBetweenDirectories(t *testing.T) {
	m := vfs.NewMem()
	must(t, m.MkdirAll("/a/b"))
	must(t, vfs.WriteFile(m, "/a/f", []byte("x")))
	must(t, m.SyncDir("/"))
	must(t, m.SyncDir("/a"))
	must(t, m.Rename("/a/f", "/g"))
	must(t, m.Rename("/a/b", "/b"))
	must(t, m.Rename("/a", "/b/a"))
	must(t, m.SyncDir("/b"))
	left := m.Crash(vfs.CrashOptions{})
	wantNames(t, left, "/", "a")
	wantNames(t, left, "/a", "b", "f")
	wantNames(t, left, "/a/b")
	must(t, left.RemoveAll("/a"))
}

func TestFailedSyncLosesForGood(t *testing.T) {
	m := vfs.NewMem()
	f := durable(t, m, []byte("old old old"))
	write(t, f, []byte("new"), 0)
	write(t, f, []byte("second sector"), 512)
	bad := errors.New("bad disk")
	m.Fail(func(op vfs.Op, _ string) error {
		if op == vfs.OpSync {
			return bad
		}
		return nil
	})
	wantErr(t, f.Sync(), bad)
	m.Fail(nil)
	write(t, f, []byte("SECOND"), 512) // rewritten, so whole again
	must(t, f.Sync())
	wantContent(t, m, "/f", append([]byte("new old old"), append(make([]byte, 501), "SECOND sector"...)...))
	wantContent(t, m.Crash(vfs.CrashOptions{}), "/f", append([]byte("old old old"), append(make([]byte, 501), "SECOND sector"...)...))
}

func TestKillKeepsWhatWasWritten(t *testing.T) {
	m := vfs.NewMem()
	f := durable(t, m, []byte("hello"))
	write(t, f, []byte("J"), 0)
	must(t, vfs.WriteFile(m, "/g", []byte("g")))
	_, err := m.Lock("/lock")
	must(t, err)

	left := m.Kill()
	wantNames(t, left, "/", "f", "g", "lock")
	wantContent(t, left, "/f", []byte("Jello"))
	lock, err := left.Lock("/lock") // it died with the process
	must(t, err)
	must(t, lock.Close())

	// The next process can still lose power, and can still sync.
	again := left.Kill()
	must(t, again.SyncDir("/"))
	after := again.Crash(vfs.CrashOptions{})
	wantNames(t, after, "/", "f", "g", "lock")
	wantContent(t, after, "/f", []byte("hello"))
	wantContent(t, after, "/g", []byte("g"))
}

func TestNothingWorksAfterTheEnd(t *testing.T) {
	ends := map[string]func(*vfs.Mem) *vfs.Mem{
		"crash": func(m *vfs.Mem) *vfs.Mem { return m.Crash(vfs.CrashOptions{Data: vfs.KeepAll}) },
		"kill":  (*vfs.Mem).Kill,
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			m := vfs.NewMem()
			f := durable(t, m, []byte("hello"))
			view, err := f.Map(5)
			must(t, err)
			lock, err := m.Lock("/lock")
			must(t, err)
			left := end(m)
			for op, call := range map[string]func() error{
				"open":    func() error { _, err := m.OpenFile("/f", os.O_RDONLY); return err },
				"lock":    func() error { _, err := m.Lock("/lock2"); return err },
				"readdir": func() error { _, err := m.ReadDir("/"); return err },
				"remove":  func() error { return m.Remove("/f") },
				"read":    func() error { _, err := f.ReadAt(make([]byte, 1), 0); return err },
				"write":   func() error { _, err := f.WriteAt([]byte("x"), 0); return err },
				"sync":    f.Sync,
			} {
				if err := call(); !errors.Is(err, vfs.ErrCrashed) {
					t.Errorf("%s: %v", op, err)
				}
			}
			wantContent(t, left, "/f", []byte("hello"))
			write(t, open(t, left, "/f", os.O_RDWR), []byte("J"), 0)
			if string(view.Bytes()) != "hello" {
				t.Error("the old view changed")
			}
			must(t, errors.Join(view.Close(), f.Close(), lock.Close()))
		})
	}
}

// model is a file as the package comment describes it, the slow way.
type model struct{ now, synced []byte }

func (f *model) resize(size int) {
	f.now = append(f.now[:min(size, len(f.now)):min(size, len(f.now))], make([]byte, max(0, size-len(f.now)))...)
}

// TestCrashAgainstModel runs random histories and compares, after each, what
// is read and what a crash leaves with the model.
func TestCrashAgainstModel(t *testing.T) {
	for seed := range uint64(200) {
		rng, m, want := seeded(seed), vfs.NewMem(), new(model)
		f := durable(t, m, nil)
		for range 60 {
			off, n := rng.IntN(20000), rng.IntN(3000)
			switch rng.IntN(8) {
			case 0:
				must(t, f.Sync())
				want.synced = bytes.Clone(want.now)
			case 1:
				must(t, f.Truncate(int64(off)))
				want.resize(off)
			case 2:
				must(t, f.Preallocate(int64(off)))
				want.resize(max(off, len(want.now)))
			case 3:
				must(t, f.Close())
				m = m.Kill()
				f = open(t, m, "/f", os.O_RDWR)
			default:
				p := bytes.Repeat([]byte{byte('a' + rng.IntN(26))}, n+1)
				write(t, f, p, int64(off))
				want.resize(max(off+n+1, len(want.now)))
				copy(want.now[off:], p)
			}
		}
		wantContent(t, m, "/f", want.now)
		if seed%2 == 0 {
			left := m.Crash(vfs.CrashOptions{Data: vfs.KeepAll})
			wantContent(t, left, "/f", want.now)
			wantContent(t, left.Crash(vfs.CrashOptions{}), "/f", want.now)
			continue
		}
		wantContent(t, m.Crash(vfs.CrashOptions{}), "/f", want.synced)
	}
}

func TestMkdirAllSyncSurvives(t *testing.T) {
	m := vfs.NewMem()
	must(t, vfs.MkdirAllSync(m, "/a/b/c"))
	must(t, m.MkdirAll("/a/b/lost"))
	left := m.Crash(vfs.CrashOptions{})
	wantNames(t, left, "/a/b", "c")
	if _, _, err := left.Stat("/a/b/lost"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a directory that was not synced: %v", err)
	}
}
