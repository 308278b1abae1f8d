// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package story

import (
	"testing"

	"github.com/twostage/twostage/internal/vfs"
)

// BenchmarkAppend appends, and writes to the disk every thousand events.
func BenchmarkAppend(b *testing.B) {
	l, err := Open(Config{FS: vfs.OS(), Dir: b.TempDir(), MaxBytes: 64 << 20})
	must(b, err)
	e := Event{At: 1790000000000, Half: 1, Kind: Checked, Count: 1, Who: "192.168.100.100:54321", Note: ""}
	b.ReportAllocs()
	for n := range b.N {
		e.Half = int64(n)
		l.Append(e)
		if n%1000 == 999 {
			must(b, l.Write())
		}
	}
	b.StopTimer()
	must(b, l.Close())
	if l.Dropped() > 0 {
		b.Errorf("%d dropped", l.Dropped())
	}
}

// BenchmarkFind reads a story of 64 MiB.
func BenchmarkFind(b *testing.B) {
	l, err := Open(Config{FS: vfs.OS(), Dir: b.TempDir(), MaxBytes: 64 << 20})
	must(b, err)
	for n := range 1_000_000 {
		l.Append(Event{Half: int64(n), Kind: Checked, Who: "192.168.100.100:54321"})
		if n%1000 == 999 {
			must(b, l.Write())
		}
	}
	for b.Loop() {
		if _, err := l.Find(999_999); err != nil {
			b.Fatal(err)
		}
	}
	must(b, l.Close())
}
