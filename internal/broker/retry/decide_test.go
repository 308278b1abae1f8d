// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package retry

import (
	"testing"

	"github.com/twostage/twostage/internal/wire/body"
)

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

func TestPolicy(t *testing.T) {
	exponential := &body.GroupRetryPolicy{Type: "EXPONENTIAL", ExponentialRetryPolicy: &body.ExponentialRetryPolicy{Initial: 1000, Max: 100_000, Multiplier: 3}}
	listed := &body.GroupRetryPolicy{Type: "CUSTOMIZED", CustomizedRetryPolicy: &body.CustomizedRetryPolicy{Next: []int64{1, 2, 30, 40}}}
	for _, c := range []struct {
		name   string
		policy *body.GroupRetryPolicy
		times  int32
		level  int32 // asked for
		want   Verdict
	}{
		{"exponential, first", exponential, 0, 0, Verdict{Wait: 1000, ReconsumeTimes: 1}},
		{"exponential, third", exponential, 2, 0, Verdict{Wait: 9000, ReconsumeTimes: 3}},
		{"exponential, most", exponential, 15, 0, Verdict{Wait: 100_000, ReconsumeTimes: 16}},
		{"listed, first", listed, 0, 0, Verdict{Wait: 30, ReconsumeTimes: 1}},
		{"listed, second", listed, 1, 0, Verdict{Wait: 40, ReconsumeTimes: 2}},
		{"listed, beyond", listed, 9, 0, Verdict{Wait: 40, ReconsumeTimes: 10}},
		{"the consumer names the level", listed, 0, 5, Verdict{DelayLevel: 5, ReconsumeTimes: 1}},
		{"straight to the dead letters", listed, 0, -1, Verdict{DeadLetter: true, ReconsumeTimes: 1}},
		{"used up", exponential, 16, 0, Verdict{DeadLetter: true, ReconsumeTimes: 17}},
		{"a type without its waits", &body.GroupRetryPolicy{Type: "CUSTOMIZED"}, 0, 0, Verdict{DelayLevel: 3, ReconsumeTimes: 1}},
		{"the other type's waits", &body.GroupRetryPolicy{Type: "EXPONENTIAL", CustomizedRetryPolicy: listed.CustomizedRetryPolicy}, 1, 0, Verdict{DelayLevel: 4, ReconsumeTimes: 2}},
		{"nonsense", &body.GroupRetryPolicy{Type: "EXPONENTIAL", ExponentialRetryPolicy: &body.ExponentialRetryPolicy{Initial: -1, Multiplier: 1 << 60}}, 1, 0, Verdict{DelayLevel: 4, ReconsumeTimes: 2}},
	} {
		if got := Decide(Request{GroupMax: 16, DelayLevel: c.level, ReconsumeTimes: c.times, Policy: c.policy, MaxWait: 1 << 40}); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
	for limit, want := range map[int64]Verdict{
		9000: {Wait: 9000, ReconsumeTimes: 3}, 8999: {Wait: 8999, ReconsumeTimes: 3}, // the most that can be had
		0: {DelayLevel: 5, ReconsumeTimes: 3}, -1: {DelayLevel: 5, ReconsumeTimes: 3}, // by levels alone
	} {
		if got := Decide(Request{GroupMax: 16, ReconsumeTimes: 2, Policy: exponential, MaxWait: limit}); got != want {
			t.Errorf("at most %d ms: %+v, want %+v", limit, got, want)
		}
	}
	huge := &body.GroupRetryPolicy{Type: "EXPONENTIAL", ExponentialRetryPolicy: &body.ExponentialRetryPolicy{Initial: 1 << 62, Max: 1 << 62, Multiplier: 1 << 62}}
	if got := wait(huge, 100); got <= 0 {
		t.Errorf("a huge wait became %d", got)
	}
}

func TestExhausted(t *testing.T) {
	for _, c := range []struct {
		times, limit  int32
		ordered, want bool
	}{{15, 16, false, false}, {16, 16, false, false}, {17, 16, false, true}, {16, 16, true, true}, {15, 16, true, false}} {
		if got := Exhausted(c.times, c.limit, c.ordered); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
