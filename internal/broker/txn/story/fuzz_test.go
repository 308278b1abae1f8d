// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package story

import (
	"bytes"
	"slices"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
)

// FuzzStory opens a story that anybody may have written. What is read from it
// encodes to the bytes that stand there, and what is appended stands behind it.
func FuzzStory(f *testing.F) {
	whole := []byte(header)
	for n := range 3 {
		whole = appendRecord(whole, ev(n))
	}
	f.Add([]byte(nil))
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add([]byte(header))
	f.Add(append(bytes.Clone(whole), 0, 0, 0, 25, 0, 0, 0, 0))
	f.Add(append([]byte(header), 0xff, 0xff, 0xff, 0xff))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > minBytes/4 {
			b = b[:minBytes/4]
		}
		m := vfs.NewMem()
		must(t, vfs.MkdirAllSync(m, dir))
		must(t, vfs.WriteFile(m, filePath(5), b))
		l := open(t, m, minBytes)
		left, err := vfs.ReadFile(m, filePath(5))
		must(t, err)
		if !bytes.HasPrefix(b, left) {
			t.Fatalf("%x is left of %x", left, b)
		}
		var halves []int64
		encoded := []byte(header)
		_, err = scan(openFile(t, m), int64(len(left)), func(body []byte) {
			halves = append(halves, halfOf(body))
			encoded = appendRecord(encoded, event(body))
		})
		must(t, err)
		if len(left) > 0 && !bytes.Equal(encoded, left) {
			t.Fatalf("%x is read as %x", left, encoded)
		}
		before := find(t, l, append(halves, 77)...)
		if len(before) < len(halves) {
			t.Fatalf("%d events of %d", len(before), len(halves))
		}
		e := Event{At: 1, Half: 77, Kind: Checked, Who: "me"}
		l.Append(e)
		must(t, l.Close())
		after := find(t, open(t, m, minBytes), append(halves, 77)...)
		if !slices.Equal(after, append(before, e)) {
			t.Fatalf("%v became %v", before, after)
		}
	})
}

func openFile(t *testing.T, m *vfs.Mem) vfs.File {
	t.Helper()
	file, err := m.OpenFile(filePath(5), 0)
	must(t, err)
	return file
}
