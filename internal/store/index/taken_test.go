// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package index_test

import (
	"testing"

	"github.com/twostage/twostage/internal/store/index"
	"github.com/twostage/twostage/internal/vfs"
)

// keyless puts n records without keys and flushes; it returns what Flush did.
func keyless(t *testing.T, x *index.Index, n int64) (safe int64) {
	t.Helper()
	for i := range n {
		must(t, put(x, record{topic: "T", offset: 100 * i, time: epoch + i}))
	}
	safe, err := x.Flush()
	must(t, err)
	return safe
}

func indexFiles(t *testing.T, m *vfs.Mem) []string {
	t.Helper()
	names, err := m.ReadDir(dir)
	must(t, err)
	return names
}

// An index of records without keys has one file, from which it knows after each
// kind of stop that nothing is missing.
func TestKeylessIndexIsComplete(t *testing.T) {
	m := newMem(t)
	o := options(m)
	x := open(t, o)
	safe := keyless(t, x, 50)
	m = m.Crash(vfs.CrashOptions{})
	if names := indexFiles(t, m); len(names) != 1 {
		t.Fatalf("files %v", names)
	}
	for range 3 { // after a stop of the machine, again and again
		o.FS, o.Trusted = m, safe
		x = open(t, o)
		if got := x.Complete(); got != safe {
			t.Fatalf("complete before %d, want %d", got, safe)
		}
		m = m.Crash(vfs.CrashOptions{})
	}
	o.FS = m
	x = open(t, o)
	must(t, x.Close())
	o.Trusted = index.TrustAll
	x = open(t, o)
	if got := x.Complete(); got != index.TrustAll {
		t.Errorf("complete before %d after a clean stop", got)
	}
	r := record{"T", "uniq", "key", 10_000, epoch + 100}
	must(t, put(x, r))
	must(t, x.Close())
	if names := indexFiles(t, m); len(names) != 1 {
		t.Errorf("files %v", names)
	}
	x = open(t, o)
	answers(t, x, []record{r})
	must(t, x.Close())
}

// Files that somebody has removed are missed, also where the directory is left.
func TestIndexTakenAway(t *testing.T) {
	for name, take := range map[string]func(m *vfs.Mem) error{
		"directory": func(m *vfs.Mem) error { return m.RemoveAll(dir) },
		"files": func(m *vfs.Mem) error {
			for _, name := range indexFiles(t, m) {
				must(t, m.Remove(dir+"/"+name))
			}
			return nil
		},
	} {
		for _, keys := range []string{"", "key"} {
			m := newMem(t)
			o := options(m)
			x := open(t, o)
			safe := keyless(t, x, 10)
			r := record{topic: "T", keys: keys, offset: 2000, time: epoch + 50}
			must(t, put(x, r))
			must(t, x.Close())
			must(t, take(m))
			for _, trusted := range []int64{safe, index.TrustAll} {
				o.Trusted = trusted
				x = open(t, o)
				if got := x.Complete(); got != 0 {
					t.Errorf("%s, keys %q, trusted %d: complete before %d", name, keys, trusted, got)
				}
			}
			must(t, put(x, r))
			answers(t, x, []record{r})
			must(t, x.Close())
		}
	}
}

// Without a record there is no file, and the directory alone says nothing.
func TestIndexOfNothing(t *testing.T) {
	m := newMem(t)
	o := options(m)
	x := open(t, o)
	if safe, err := x.Flush(); safe != 0 || err != nil {
		t.Errorf("flushed to %d, %v", safe, err)
	}
	must(t, x.Close())
	if names := indexFiles(t, m); len(names) != 0 {
		t.Errorf("files %v", names)
	}
	x = open(t, o)
	if got := x.Complete(); got != 0 {
		t.Errorf("complete before %d", got)
	}
	must(t, x.Close())
}
