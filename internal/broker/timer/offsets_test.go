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
