// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package retry

import "github.com/twostage/twostage/internal/wire/body"

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
	// Policy is that of the group; nil: delay levels.
	Policy *body.GroupRetryPolicy
	// MaxWait is how long, in ms, a message can wait by a policy; a longer wait is
	// cut to it. 0: not at all, delay levels instead.
	MaxWait int64
}

// Verdict is where the message goes.
type Verdict struct {
	DeadLetter     bool
	DelayLevel     int32 // of the retry; 0 for a dead letter, and with Wait
	Wait           int64 // ms until the retry, by the group's policy; 0: DelayLevel says
	ReconsumeTimes int32 // to store with it
}

// Exhausted tells whether a message that a consumer sends to its retry topic
// itself goes to the dead letters: reconsumeTimes is how often it will have been
// tried then. Ordered consumers, which hold queue locks, send only what has used up
// its tries, and do not count the last one.
//
// Source: SendMessageProcessor.handleRetryAndDLQ of Apache RocketMQ 5.3.3, which
// gives up whatever a group with locks sends; 4.9.8 gives up one try too early.
func Exhausted(reconsumeTimes, limit int32, ordered bool) bool {
	return reconsumeTimes > limit || ordered && reconsumeTimes >= limit
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
	if v.DelayLevel = r.DelayLevel; v.DelayLevel != 0 {
		return v
	}
	if v.Wait = min(wait(r.Policy, r.ReconsumeTimes), max(r.MaxWait, 0)); v.Wait == 0 {
		v.DelayLevel = firstLevel + r.ReconsumeTimes
	}
	return v
}
