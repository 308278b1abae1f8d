// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package remoting

import (
	"math/rand/v2"
	"testing"
)

// Calls are found by their numbers however long some of them wait: rounds of the
// ring go by, it grows, and numbers begin again.
func TestCallsAreFoundByTheirNumbers(t *testing.T) {
	var s calls
	r := rand.New(rand.NewPCG(1, 2))
	want := map[int32]*call{}
	if s.take(7) != nil {
		t.Fatal("a call in a ring without places")
	}
	take := func(opaque int32) {
		if got := s.take(opaque); got != want[opaque] {
			t.Fatalf("call %d: got %p, want %p", opaque, got, want[opaque])
		}
		delete(want, opaque)
		if s.take(opaque) != nil {
			t.Fatalf("call %d was there twice", opaque)
		}
	}
	opaque := int32(1<<31 - 1 - 5000)
	for i := range 20_000 {
		opaque = (opaque + 1) & 0x7fffffff
		k := &call{}
		k.opaque = opaque
		s.add(k)
		want[opaque] = k
		for some := range want {
			if some%17 != 0 && len(want) > i%3000 || r.IntN(100) == 0 {
				take(some)
			}
			if len(want) <= i%3000 {
				break
			}
		}
		if s.n != len(want) {
			t.Fatalf("%d calls, want %d", s.n, len(want))
		}
	}
	odd := s.takeIf(func(k *call) bool { return k.opaque%2 == 1 })
	for _, k := range odd {
		if want[k.opaque] != k || k.opaque%2 != 1 {
			t.Errorf("took call %d", k.opaque)
		}
		delete(want, k.opaque)
	}
	for some := range want {
		if some%2 == 1 {
			t.Errorf("call %d was left", some)
		}
		take(some)
	}
	if s.n != 0 || len(s.takeIf(func(*call) bool { return true })) != 0 || len(odd) == 0 {
		t.Errorf("%d calls left, %d odd", s.n, len(odd))
	}
}
