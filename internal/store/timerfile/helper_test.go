// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package timerfile

import (
	"testing"

	"github.com/twostage/twostage/internal/vfs"
)

func newFS(t testing.TB) *vfs.Mem {
	t.Helper()
	m := vfs.NewMem()
	if err := vfs.MkdirAllSync(m, "/d/config"); err != nil {
		t.Fatal(err)
	}
	return m
}

func openLog(t testing.TB, fsys vfs.FS, size, end int64) *Log {
	t.Helper()
	l, err := OpenLog(fsys, "/d", size)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Cut(end); err != nil {
		t.Fatal(err)
	}
	return l
}

func openWheel(t testing.TB, fsys vfs.FS) *Wheel {
	t.Helper()
	w, _, err := OpenWheel(fsys, "/d")
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// trim is Trim until there is no more to do.
func trim(t testing.TB, l *Log, ms int64) {
	t.Helper()
	for more := true; more; {
		var err error
		if more, err = l.Trim(ms); err != nil {
			t.Fatal(err)
		}
	}
}
