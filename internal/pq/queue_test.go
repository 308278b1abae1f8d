// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pq

import (
	"math/rand/v2"
	"slices"
	"testing"
)

type item struct {
	turn int
	pos  uint32
}

type byTurn struct{}

func (byTurn) Before(a, b *item) bool     { return a.turn < b.turn }
func (byTurn) Placed(x *item, pos uint32) { x.pos = pos }

// A random life: what comes out is what a sorted list would give, and each element
// knows its place.
func TestQueue(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var q Queue[*item, byTurn]
		var in []*item
		for range 400 {
			switch n := rng.IntN(8); {
			case n < 4:
				in = append(in, &item{turn: rng.IntN(100)})
				q.Push(in[len(in)-1])
			case len(in) == 0:
			case n < 6:
				v := q.Pop()
				if least := slices.MinFunc(in, func(a, b *item) int { return a.turn - b.turn }); v.turn != least.turn || v.pos != 0 {
					t.Fatalf("seed %d: %+v came first, want turn %d", seed, v, least.turn)
				}
				in = slices.DeleteFunc(in, func(o *item) bool { return o == v })
			case n < 7:
				i := rng.IntN(len(in))
				if q.Remove(in[i].pos); in[i].pos != 0 {
					t.Fatalf("seed %d: %+v was taken out", seed, in[i])
				}
				in = slices.Delete(in, i, i+1)
			default:
				v := in[rng.IntN(len(in))]
				v.turn = rng.IntN(100)
				q.Fix(v.pos)
			}
			if q.Len() != len(in) || len(q.Items()) != len(in) {
				t.Fatalf("seed %d: %d elements, want %d", seed, q.Len(), len(in))
			}
			for _, v := range in {
				if q.Items()[v.pos-1] != v || q.Items()[0].turn > v.turn {
					t.Fatalf("seed %d: %+v does not stand where it says, or before the first", seed, v)
				}
			}
		}
	}
}

func TestQueueKeepsNothing(t *testing.T) {
	var q Queue[*item, byTurn]
	for i := range 1000 {
		q.Push(&item{turn: i})
	}
	for q.Len() > 0 {
		q.Pop()
	}
	if cap(q.items) > 64 {
		t.Errorf("room for %d elements is kept", cap(q.items))
	}
	for _, v := range q.items[:cap(q.items)] {
		if v != nil {
			t.Error("an element that has left is still there")
		}
	}
	if n := testing.AllocsPerRun(100, func() { q.Push(nothing); q.Pop() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

var nothing = &item{}
