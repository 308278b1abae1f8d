// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package retry

// firstLevel is the delay level of a message's first retry (10 s with the
// default levels); each later one is a level higher.
const firstLevel = 3

// Request is what a consumer says, and what is known of the message.
type Request struct {
	// DelayLevel as the consumer asks: negative for the dead-letter queue at
	// once, 0 to let the broker choose, else the level itself.
	DelayLevel int32
	// ReconsumeTimes of the stored message: how often it was tried again so far.
	ReconsumeTimes int32
	// MaxReconsumeTimes is the consumer's own limit; GroupMax that of the group's
	// configuration. The consumer's is used when HasMax is set: clients from 3.4.9
	// on send it.
	MaxReconsumeTimes int32
	HasMax            bool
	GroupMax          int32
}

// Verdict is where the message goes.
type Verdict struct {
	DeadLetter     bool
	DelayLevel     int32 // of the retry; 0 for a dead letter
	ReconsumeTimes int32 // to store with it
}

// Decide gives the verdict for a message that was sent back.
func Decide(r Request) Verdict {
	limit := r.GroupMax
	if r.HasMax {
		limit = r.MaxReconsumeTimes
	}
	v := Verdict{ReconsumeTimes: r.ReconsumeTimes + 1}
	if r.DelayLevel < 0 || r.ReconsumeTimes >= limit {
		v.DeadLetter = true
		return v
	}
	v.DelayLevel = r.DelayLevel
	if v.DelayLevel == 0 {
		v.DelayLevel = firstLevel + r.ReconsumeTimes
	}
	return v
}
