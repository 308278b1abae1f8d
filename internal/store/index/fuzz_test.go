// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package index_test

import (
	"math"
	"os"
	"testing"

	"github.com/twostage/twostage/internal/store/index"
	"github.com/twostage/twostage/internal/vfs"
)

// Whatever a file holds, opening and using it ends, and what is put afterwards
// is found.
func FuzzOpenDamaged(f *testing.F) {
	const size = 40 + 4*7 + 20*20
	golden, err := os.ReadFile(goldenDir + "store-clean/index/20261122160548145")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(golden[:size], int64(0), int64(math.MaxInt64))
	f.Add(golden[:size], int64(math.MaxInt64), int64(200_000))
	m := vfs.NewMem()
	x := open(f, options(m))
	for i := range int64(12) {
		must(f, put(x, record{"T", "", "a b", i * 100, epoch + i*900}))
	}
	must(f, x.Close())
	names, err := m.ReadDir(dir)
	must(f, err)
	for _, name := range names {
		data, err := vfs.ReadFile(m, dir+"/"+name)
		must(f, err)
		f.Add(data, epoch+4000, int64(700))
		f.Add(data, int64(math.MaxInt64), int64(700))
		f.Add(data[:100], int64(0), int64(700))
	}
	f.Fuzz(func(t *testing.T, data []byte, trusted, end int64) {
		m := vfs.NewMem()
		must(t, vfs.MkdirAllSync(m, dir))
		must(t, vfs.WriteFile(m, dir+"/20261122160534539", data))
		o := options(m)
		o.Trusted = trusted
		x, err := index.Open(o)
		if err != nil {
			if len(data) == size {
				t.Fatal(err)
			}
			return
		}
		if _, _, _, err := x.Query("T", "a", 64, 0, math.MaxInt64); err != nil {
			t.Fatal(err)
		}
		must(t, x.TruncatePhysical(end))
		from := x.ResumeFrom()
		if from < 0 || from > math.MaxInt64-1000 {
			must(t, x.Close())
			return
		}
		for i := range int64(30) {
			must(t, put(x, record{"T", "", "unlikely", from + 1 + i, epoch + i}))
		}
		check := func() {
			got, _, _, err := x.Query("T", "unlikely", 9, 0, math.MaxInt64)
			must(t, err)
			if len(got) != 9 || got[8] != from+30 {
				t.Fatalf("got %v, want the 9 up to %d", got, from+30)
			}
		}
		check()
		must(t, x.Close())
		o.Trusted = index.TrustAll
		x = open(t, o)
		check()
		must(t, x.Close())
	})
}
