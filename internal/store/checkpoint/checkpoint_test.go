// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
)

const dir = "/store"

func newFS(t *testing.T) *vfs.Mem {
	t.Helper()
	m := vfs.NewMem()
	if err := m.MkdirAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := m.SyncDir("/"); err != nil {
		t.Fatal(err)
	}
	return m
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestGolden(t *testing.T) {
	page := must(os.ReadFile("../../../testdata/golden/store-killed/checkpoint"))(t)
	m := newFS(t)
	if err := vfs.WriteFile(m, dir+"/checkpoint", page); err != nil {
		t.Fatal(err)
	}
	c := must(Open(m, dir))(t)
	want := Times{1795361479203, 1795361479203, 1795361452870}
	if c.Times() != want {
		t.Fatalf("Times = %+v, want %+v", c.Times(), want)
	}
	if got := c.Times().RecoverBefore(); got != 1795361476203 {
		t.Fatalf("RecoverBefore = %d", got)
	}
	if err := c.Reset(want); err != nil {
		t.Fatal(err)
	}
	if got := must(vfs.ReadFile(m, dir+"/checkpoint"))(t); !bytes.Equal(got, page) {
		t.Fatal("the page differs from Java's")
	}
}

func TestWriteSurvivesCrash(t *testing.T) {
	m := newFS(t)
	c := must(Open(m, dir))(t)
	if c.Times() != (Times{}) || c.Times().RecoverBefore() != 0 {
		t.Fatalf("new file claims %+v", c.Times())
	}
	if err := c.Write(Times{10000, 9000, 8000}); err != nil {
		t.Fatal(err)
	}
	if err := c.Write(Times{9999, 9500, 0}); err != nil {
		t.Fatal(err)
	}
	c = must(Open(m.Crash(vfs.CrashOptions{}), dir))(t)
	if want := (Times{10000, 9500, 8000}); c.Times() != want {
		t.Fatalf("after a crash %+v, want %+v", c.Times(), want)
	}
	if got := c.Times().RecoverBefore(); got != 6500 {
		t.Fatalf("RecoverBefore = %d, want 6500", got)
	}
}

func TestOddFiles(t *testing.T) {
	for _, content := range [][]byte{nil, {1, 2, 3}, bytes.Repeat([]byte{0xff}, 4096), make([]byte, 9000)} {
		m := newFS(t)
		if err := vfs.WriteFile(m, dir+"/checkpoint", content); err != nil {
			t.Fatal(err)
		}
		c := must(Open(m, dir))(t)
		if got := c.Times(); got.Physic < 0 || got.Logics < 0 || got.Index < 0 {
			t.Fatalf("%d bytes: %+v", len(content), got)
		}
	}
}

func TestWriteError(t *testing.T) {
	m := newFS(t)
	c := must(Open(m, dir))(t)
	cause := errors.New("broken disk")
	m.Fail(func(op vfs.Op, name string) error {
		if op == vfs.OpSync {
			return cause
		}
		return nil
	})
	if err := c.Write(Times{1, 1, 1}); !errors.Is(err, cause) {
		t.Fatalf("Write = %v", err)
	}
	if c.Times() != (Times{}) {
		t.Fatalf("claims %+v after a failed sync", c.Times())
	}
}

func TestAbort(t *testing.T) {
	m := newFS(t)
	check := func(want bool) {
		t.Helper()
		if got := must(Aborted(m, dir))(t); got != want {
			t.Fatalf("Aborted = %v", got)
		}
	}
	check(false)
	if err := SetAbort(m, dir); err != nil {
		t.Fatal(err)
	}
	m = m.Crash(vfs.CrashOptions{})
	check(true)
	if err := ClearAbort(m, dir); err != nil {
		t.Fatal(err)
	}
	m = m.Crash(vfs.CrashOptions{})
	check(false)
	if err := ClearAbort(m, dir); err != nil {
		t.Fatalf("second ClearAbort: %v", err)
	}
}

func TestLock(t *testing.T) {
	m := newFS(t)
	l := must(Lock(m, dir))(t)
	if _, err := Lock(m, dir); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), dir) {
		t.Fatalf("second Lock: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	must(Lock(m, dir))(t)
}
