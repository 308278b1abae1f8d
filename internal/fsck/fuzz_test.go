// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package fsck

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
)

// maxFuzzSize bounds the files that mutations make, in bytes.
const maxFuzzSize = 64 << 10

// FuzzDirectory looks into a store directory that was changed at will: nothing
// panics, everything ends, and nothing is written but the text of the lock file.
//
// Each mutation is six bytes: a file, what is done, a place (2), two values.
func FuzzDirectory(f *testing.F) {
	base := stopped(f)
	abort := copyOf(base)
	write(f, abort, dir+"/abort")
	write(f, abort, dir+"/transactions/00000000000000000000")
	f.Add([]byte{}, false)
	f.Add([]byte{3, 0, 0, 30, 1, 2, 9, 1, 0, 200, 0, 0}, true)
	f.Add([]byte{1, 2, 0, 0, 255, 9, 4, 3, 1, 0, 0, 0, 7, 4, 0, 8, 255, 255}, false)
	f.Add([]byte("0X00000\x05\x00$\x7f\xff"), false) // a queue file far away
	for i := range byte(30) {
		f.Add([]byte{i, i % 6, i % 4, i * 9, i, 255 - i, i / 2, 5, 0, 36, 0x7f, 0xff}, i%2 == 0)
	}
	f.Fuzz(func(t *testing.T, mutations []byte, aborted bool) {
		m := base
		if aborted {
			m = abort
		}
		m = copyOf(m)
		files := tree(t, m, dir)
		names := make([]string, 0, len(files))
		for name := range files {
			names = append(names, name)
		}
		slices.Sort(names)
		for n := 0; len(mutations) >= 6 && n < 40; n++ {
			mutate(t, m, names, mutations[:6])
			mutations = mutations[6:]
		}
		before := tree(t, m, dir)
		check(t, m)
		after := tree(t, m, dir)
		if len(before) != len(after) {
			t.Fatalf("%d files, there were %d", len(after), len(before))
		}
		for name, data := range before {
			if !bytes.Equal(data, after[name]) && name != dir+"/lock" {
				t.Fatalf("%s was changed", name)
			}
		}
	})
}

// check runs everything that looks into the directory.
func check(t *testing.T, m vfs.FS) {
	t.Helper()
	r, err := Verify(t.Context(), options(m))
	if err != nil && !errors.Is(err, ErrNoStore) {
		t.Fatal(err)
	}
	if err == nil && (r.Damage+r.Behind+r.Notes < int64(len(r.Findings)) || r.Clean != (r.Damage == 0) || len(r.Findings) > maxListed) {
		t.Fatalf("%+v", r)
	}
	d, err := Open(options(m))
	if err != nil {
		return
	}
	defer d.Close()
	items := 0
	count := func() error {
		if items++; items > 1<<20 {
			t.Fatal("a dump does not end")
		}
		return nil
	}
	_, err = d.Stat(t.Context())
	err = errors.Join(err, d.DumpLog(t.Context(), Filter{}, func(*Record) error { return count() }))
	err = errors.Join(err, d.DumpQueues(t.Context(), Filter{}, func(*QueueEntry) error { return count() }))
	err = errors.Join(err, d.DumpIndex(t.Context(), Filter{}, func(*IndexFile) error { return count() }, func(*IndexEntry) error { return count() }))
	err = errors.Join(err, d.DumpTransactions(t.Context(), Filter{}, func(*TransactionMark) error { return count() }, func(*TransactionWord) error { return count() }))
	if err != nil {
		t.Fatal(err)
	}
}

// mutate changes something.
func mutate(t *testing.T, m vfs.FS, names []string, b []byte) {
	t.Helper()
	name := names[int(b[0])%len(names)]
	size, isDir, err := m.Stat(name)
	if err != nil || isDir {
		return // taken away before
	}
	at := int64(b[2])<<8 | int64(b[3])
	switch b[1] % 6 {
	case 0: // a byte
		if size > 0 {
			change(t, m, name, at%size, b[4])
		}
	case 1: // a number
		if size >= 8 {
			change(t, m, name, at%(size-7), b[4], b[5], b[4], b[5], b[4], b[5], b[4], b[5])
		}
	case 2: // the size
		truncate(t, m, name, min(at*3, maxFuzzSize))
	case 3:
		remove(t, m, name)
	case 4: // a part of another file
		data, err := vfs.ReadFile(m, names[int(b[4])%len(names)])
		if err == nil && len(data) > 0 && size > 0 {
			from := int(b[5]) * 31 % len(data)
			data = data[from:min(from+500, len(data))]
			if at %= size; at+int64(len(data)) <= maxFuzzSize {
				change(t, m, name, at, data...)
			}
		}
	case 5: // another name
		data, err := vfs.ReadFile(m, name)
		if err != nil || len(data) == 0 {
			return
		}
		i := bytes.LastIndexByte([]byte(name), '/')
		to := []byte(name)
		to[i+1+int(b[4])%(len(name)-i-1)] = "0123456789a."[b[5]%12]
		f, err := m.OpenFile(string(to), os.O_RDWR|os.O_CREATE)
		if err != nil {
			return // a directory
		}
		if _, err := f.WriteAt(data, 0); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
