// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pending

import (
	"math/rand/v2"
	"testing"
)

// More checks let go on what had used up its own, fewer end it.
func TestRetuneChecks(t *testing.T) {
	tb := New(Config{CheckMax: 1, Interval: 1000})
	tb.Add(half(0, "g", ""))
	tb.Handed(next(t, tb, 100, Check, 0), 100)
	tb.Retune(Config{CheckMax: 2, Interval: 10})
	idle(t, tb, 1099) // it pauses as long as it was to
	tb.Handed(next(t, tb, 1100, Check, 0), 1100)
	tb.Retune(Config{CheckMax: 9, Interval: 10})
	tb.Handed(next(t, tb, 1115, Check, 0), 1115)
	tb.Retune(Config{CheckMax: 1, Interval: 10})
	if a := next(t, tb, 2000, Expire, 0); a.Why != UsedUp {
		t.Errorf("%+v", a)
	}
}

// What is too old by a new rule expires at once, in the order of age.
func TestRetuneAge(t *testing.T) {
	tb := New(Config{CheckMax: 3, Interval: 1000})
	for i := range int64(4) {
		h := half(i, "g", "")
		h.Stored, h.Due = 40-10*i, 100_000
		tb.Add(h)
	}
	idle(t, tb, 90)
	tb.Retune(Config{CheckMax: 3, Interval: 1000, MaxAge: 75})
	for _, off := range []int64{3, 2} {
		if a := next(t, tb, 95, Expire, off); a.Why != TooOld {
			t.Errorf("%+v", a)
		}
	}
	idle(t, tb, 95)
	tb.Retune(Config{CheckMax: 3, Interval: 1000})
	idle(t, tb, 1000)
}

// A table that was retuned does what one does that had the rules from the start.
func TestRetuneIsAsFromTheStart(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	config := func() Config {
		return Config{CheckMax: rng.Int32N(4), Interval: 1 + rng.Int64N(500), MaxAge: rng.Int64N(2) * (1 + rng.Int64N(3000)), Rate: rng.IntN(3)}
	}
	for range 300 {
		first, then := config(), config()
		a, b := New(first), New(then)
		for i := range int64(20) {
			h := half(i, string(rune('a'+rng.IntN(3))), "")
			h.Stored, h.Due, h.Checks = rng.Int64N(1000), 1000+rng.Int64N(1000), rng.Int32N(4)
			a.Add(h)
			b.Add(h)
		}
		a.Retune(then)
		for now := int64(0); now < 6000; now += 50 {
			for {
				x, okA := a.Next(now)
				y, okB := b.Next(now)
				if okA != okB || x != y {
					t.Fatalf("%+v, then %+v: at %d %+v (%v), want %+v (%v)", first, then, now, x, okA, y, okB)
				}
				if !okA {
					break
				}
				if x.Kind == Check {
					a.Handed(x, now)
					b.Handed(y, now)
				}
			}
		}
	}
}
