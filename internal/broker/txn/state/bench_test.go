// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package state

import (
	"testing"

	"github.com/twostage/twostage/internal/vfs"
)

func openDisk(b *testing.B) *File {
	f, err := Open(Config{FS: vfs.OS(), Dir: b.TempDir()})
	must(b, err)
	b.Cleanup(func() { _ = f.Close() })
	return f
}

// BenchmarkSet sets rising offsets, as a stream of op records does.
func BenchmarkSet(b *testing.B) {
	f := openDisk(b)
	b.ReportAllocs()
	for i := range int64(b.N) {
		f.Set(i, Word{Kind: Committed, Op: i})
		if i%100_000 == 99_999 {
			must(b, f.Write())
		}
	}
}

// BenchmarkSetScattered sets in pages that change from call to call.
func BenchmarkSetScattered(b *testing.B) {
	f := openDisk(b)
	for i := range int64(b.N) {
		f.Set(i*7919%1_000_000, Word{Kind: Committed, Op: i})
	}
}

func benchmarkRange(b *testing.B, set bool) {
	f := openDisk(b)
	const words = 4 * segmentWords
	if set {
		for i := range int64(words) {
			f.Set(i, word(i+1))
		}
		must(b, f.Write())
	}
	b.SetBytes(words * wordBytes)
	undecided := 0
	for b.Loop() {
		must(b, f.Range(0, words, func(_ int64, w Word) bool {
			if w.Kind == Undecided {
				undecided++
			}
			return true
		}))
	}
	b.ReportMetric(float64(words)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mwords/s")
}

func BenchmarkRange(b *testing.B)     { benchmarkRange(b, true) }
func BenchmarkRangeHole(b *testing.B) { benchmarkRange(b, false) }
