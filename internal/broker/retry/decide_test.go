// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package retry

import "testing"

func TestDecide(t *testing.T) {
	for _, c := range []struct {
		name string
		in   Request
		want Verdict
	}{
		{"first retry", Request{GroupMax: 16}, Verdict{DelayLevel: 3, ReconsumeTimes: 1}},
		{"later retries wait longer", Request{GroupMax: 16, ReconsumeTimes: 15}, Verdict{DelayLevel: 18, ReconsumeTimes: 16}},
		{"the group's limit", Request{GroupMax: 16, ReconsumeTimes: 16}, Verdict{DeadLetter: true, ReconsumeTimes: 17}},
		{"the consumer's limit", Request{GroupMax: 16, HasMax: true, MaxReconsumeTimes: 2, ReconsumeTimes: 2}, Verdict{DeadLetter: true, ReconsumeTimes: 3}},
		{"the consumer's limit above the group's", Request{GroupMax: 1, HasMax: true, MaxReconsumeTimes: 5, ReconsumeTimes: 2}, Verdict{DelayLevel: 5, ReconsumeTimes: 3}},
		{"the consumer names the level", Request{GroupMax: 16, DelayLevel: 1, ReconsumeTimes: 4}, Verdict{DelayLevel: 1, ReconsumeTimes: 5}},
		{"straight to the dead letters", Request{GroupMax: 16, DelayLevel: -1}, Verdict{DeadLetter: true, ReconsumeTimes: 1}},
		{"no retries at all", Request{HasMax: true}, Verdict{DeadLetter: true, ReconsumeTimes: 1}},
	} {
		if got := Decide(c.in); got != c.want {
			t.Errorf("%s: Decide(%+v) = %+v, want %+v", c.name, c.in, got, c.want)
		}
	}
}
