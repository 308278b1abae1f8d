// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package timer

import (
	"math/rand/v2"
	"testing"
)

func TestOffsets(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 8))
	set, want := newOffsets(), map[int64]bool{}
	at := int64(0)
	var all []int64
	for range 20_000 { // records of at least 91 bytes, some far apart
		all = append(all, at)
		if rng.IntN(2) == 0 {
			set.add(at)
			want[at] = true
		}
		if at += 91 + rng.Int64N(100); rng.IntN(1000) == 0 {
			at += rng.Int64N(1 << 40)
		}
	}
	for _, at := range all {
		if set.has(at) != want[at] || set.take(at) != want[at] || set.take(at) {
			t.Fatalf("offset %d, in it %t", at, want[at])
		}
	}
	if none := (*offsets)(nil); none.has(5) || none.take(5) {
		t.Error("nothing holds something")
	}
}

// Of a set that gets too large the lower half stays, and it is known up to where.
func TestLowerHalfOfOffsets(t *testing.T) {
	set := newOffsets()
	const page = pageCells * cellSize
	for _, n := range []int64{9, 3, 5, 4} {
		set.add(n*page + 64)
	}
	if to := set.lower(); to != 5*page || set.len() != 2 || !set.has(4*page+64) || set.has(5*page+64) {
		t.Errorf("%d pages, until %d", set.len(), to)
	}
	if to := set.lower(); to != 4*page || set.len() != 1 || !set.has(3*page+64) {
		t.Errorf("%d pages, until %d", set.len(), to)
	}
}
