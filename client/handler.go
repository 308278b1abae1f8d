// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/twostage/twostage/message"
)

// Handler consumes a message. nil: it is consumed. An error: it is to be delivered
// again, later each time, until WithMaxAttempts, and then goes to the group's dead
// letters; see [RetryLater] and [GiveUp]. A panic counts as an error, and so does
// runtime.Goexit, which t.FailNow calls. m is the handler's own.
//
// Where the broker refuses to deliver a message again, for about five seconds, the
// consumer gives it to its handler again itself, with one more in ReconsumeTimes.
//
// ctx ends when the consumer is closed and WithCloseTimeout has passed, and when
// the handler has run for WithHandlerTimeout.
type Handler func(ctx context.Context, m *message.Received) error

// BatchHandler consumes several messages of one queue, in the order of the queue.
// Its error is that of all of them.
type BatchHandler func(ctx context.Context, ms []*message.Received) error

// RetryLater is err for a handler to return: the message is delivered again after
// the delay level, a number of the broker's list of delays beginning with 1; with 0
// or less the broker chooses, a longer one each time. An orderly consumer waits a
// second, whatever the level is. err may be nil.
func RetryLater(err error, level int) error { return &verdict{err: err, level: max(level, 0)} }

// GiveUp is err for a handler to return: the message goes to the group's dead
// letters at once. err may be nil.
func GiveUp(err error) error { return &verdict{err: err, level: deadLetter} }

// deadLetter is the delay level that means the dead letter topic.
const deadLetter = -1

// verdict is an error that says what is to become of a message.
type verdict struct {
	err   error
	level int
}

func (v *verdict) Error() string {
	what := fmt.Sprintf("client: again after delay level %d", v.level)
	if v.level == deadLetter {
		what = "client: given up"
	}
	if v.err == nil {
		return what
	}
	return what + ": " + v.err.Error()
}

func (v *verdict) Unwrap() error { return v.err }

// levelOf is the delay level of a handler's error: 0 where the broker is to choose.
func levelOf(err error) int {
	if v, ok := errors.AsType[*verdict](err); ok {
		return v.level
	}
	return 0
}

// exhausted says whether a message that failed has had its attempts. most 0 or less:
// never.
func exhausted(m *message.Received, most int) bool {
	return most > 0 && int(m.ReconsumeTimes)+1 >= most
}

// panicked is a handler's panic as its error.
func panicked(p any) error { return fmt.Errorf("%w: %v", errPanicked, p) }

var errPanicked = errors.New("client: the handler panicked")

// errExited is what a handler says that ends its goroutine, as t.FailNow does.
var errExited = errors.New("client: the handler ended its goroutine instead of returning")
