// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pending

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// The ordered index against a sorted list, over offsets that lie close together
// and offsets so far apart that they share no block.
func TestOffsetsAgainstSortedList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var o offsets
		var want []int64
		ids := map[int64]ident{}
		step := rapid.SampledFrom([]int64{1, 1, 1000, 1 << 26, 1 << 33, 1 << 49}).Draw(t, "step")
		order := rapid.IntRange(0, 3).Draw(t, "order")
		n := int64(rapid.IntRange(1, 3000).Draw(t, "n"))
		x := uint64(rapid.Uint32().Draw(t, "seed")) + 1
		random := func(n int) int {
			x ^= x << 13
			x ^= x >> 7
			x ^= x << 17
			return int(x % uint64(n))
		}
		for i := range n {
			off := i
			switch order {
			case 1: // falling
				off = n - i
			case 2: // nearly in order
				off = max(0, i-int64(random(20)))
			case 3:
				off = int64(random(int(n)))
			}
			off = (off - n/2) * step
			ids[off] = ident(i + 1)
			o.set(off, ident(i+1))
			if at, ok := slices.BinarySearch(want, off); !ok {
				want = slices.Insert(want, at, off)
			}
		}
		front := rapid.Bool().Draw(t, "from the front")
		for {
			matches(t, &o, want, ids)
			if len(want) == 0 {
				break
			}
			for range min(len(want), 1+len(want)/3) {
				i := 0
				if !front {
					i = random(len(want))
				}
				if o.get(want[i]) != ids[want[i]] {
					t.Fatalf("offset %d: node %d, want %d", want[i], o.get(want[i]), ids[want[i]])
				}
				o.drop(want[i])
				if o.get(want[i]) != 0 {
					t.Fatalf("offset %d is still there", want[i])
				}
				want = slices.Delete(want, i, i+1)
			}
			if most := len(want)*4/blockLen + 2; step == 1 && len(o.blocks) > 2*most {
				t.Fatalf("%d blocks for %d offsets", len(o.blocks), len(want))
			}
		}
		if len(o.blocks) != 0 || len(o.bases) != 0 {
			t.Fatalf("%d blocks left", len(o.blocks))
		}
	})
}

func matches(t *rapid.T, o *offsets, want []int64, ids map[int64]ident) {
	var got []ident
	o.from(math.MinInt64, func(id ident) bool { got = append(got, id); return true })
	if len(got) != len(want) {
		t.Fatalf("%d offsets, want %d", len(got), len(want))
	}
	for i, off := range want {
		if got[i] != ids[off] {
			t.Fatalf("place %d: node %d, want %d", i, got[i], ids[off])
		}
	}
	if first, ok := o.first(); ok != (len(want) > 0) || ok && first != want[0] {
		t.Fatalf("first %d %v, want %v", first, ok, want[:min(1, len(want))])
	}
	if len(want) == 0 {
		return
	}
	for _, from := range []int{0, len(want) / 2, len(want) - 1} {
		for d := int64(-1); d <= 1; d++ {
			i, _ := slices.BinarySearch(want, want[from]+d)
			next := ident(0)
			o.from(want[from]+d, func(id ident) bool { next = id; return false })
			if i < len(want) && next != ids[want[i]] || i == len(want) && next != 0 {
				t.Fatalf("from %d: node %d", want[from]+d, next)
			}
		}
	}
}

// Offsets at the ends of int64 do not wrap around.
func TestOffsetsFarApart(t *testing.T) {
	var o offsets
	all := []int64{math.MaxInt64, 0, math.MinInt64, math.MinInt64 + 1, math.MaxInt64 - 1<<32, math.MaxInt64 - 1<<32 + 1}
	for i, off := range all {
		o.set(off, ident(i+1))
	}
	for i, off := range all {
		if o.get(off) != ident(i+1) {
			t.Errorf("offset %d: node %d, want %d", off, o.get(off), i+1)
		}
	}
	for _, off := range all {
		o.drop(off)
	}
	if _, ok := o.first(); ok {
		t.Error("something is left")
	}
}

// The key index with hashes that collide in the part that stands in the table,
// in all of it, and not at all, while it grows and shrinks.
func TestKeysWithCollisions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var nodes slab
		var k keys
		var ids []ident
		spread := rapid.SampledFrom([]uint64{1, 3, 100, 1 << 32}).Draw(t, "spread")
		for i := range rapid.IntRange(1, 300).Draw(t, "n") {
			id := nodes.take()
			n := nodes.at(id)
			n.group = ident(i % 2)
			n.key = [2]uint64{uint64(i) * 0x9E3779B97F4A7C15 % spread << 32, uint64(i / 2)}
			if spread == 1<<32 {
				n.key[0] = uint64(i/2) * 0x9E3779B97F4A7C15
			}
			k.put(id, n)
			ids = append(ids, id)
		}
		gone := map[ident]bool{}
		for len(ids) > 0 {
			i := rapid.IntRange(0, len(ids)-1).Draw(t, "which")
			n := nodes.at(ids[i])
			k.drop(ids[i], n)
			gone[ids[i]] = true
			if k.get(&nodes, n.group, n.key) != 0 {
				t.Fatalf("node %d is still there", ids[i])
			}
			ids = slices.Delete(ids, i, i+1)
			for _, id := range ids {
				if n := nodes.at(id); k.get(&nodes, n.group, n.key) != id {
					t.Fatalf("node %d is lost", id)
				}
			}
		}
		if k.n != 0 || len(k.slots) > 24 {
			t.Fatalf("%d entries in %d slots are left", k.n, len(k.slots))
		}
	})
}

// Nodes are given out once, from the lowest chunk with room, and empty chunks go
// back.
func TestSlab(t *testing.T) {
	var s slab
	for i := range ident(3 * chunkLen) {
		if id := s.take(); id != i+1 {
			t.Fatalf("node %d, want %d", id, i+1)
		}
		s.at(i + 1).offset = int64(i)
	}
	s.drop(2*chunkLen + 5)
	s.drop(7)
	if a, b := s.take(), s.take(); a != 7 || b != 2*chunkLen+5 {
		t.Errorf("nodes %d and %d, want 7, which is in the lowest chunk, and then the other", a, b)
	}
	if s.at(7).offset != 0 || s.at(8).offset != 7 {
		t.Error("a node that is given out again must be empty, and the others as they were")
	}
	for id := ident(chunkLen + 1); id <= 2*chunkLen; id++ {
		s.drop(id)
	}
	if s.chunks[1] != nil || s.spare == nil || len(s.chunks) != 3 {
		t.Error("an empty chunk between others is kept once, as the spare one")
	}
	if id := s.take(); id != chunkLen+1 || s.spare != nil {
		t.Errorf("node %d, want the first of the spare chunk", id)
	}
	s.drop(chunkLen + 1)
	for id := ident(2*chunkLen + 1); id <= 3*chunkLen; id++ {
		s.drop(id)
	}
	if len(s.chunks) != 1 {
		t.Errorf("%d chunks, want 1", len(s.chunks))
	}
	if id := s.take(); id != chunkLen+1 {
		t.Errorf("node %d, want the first of a new chunk", id)
	}
}
