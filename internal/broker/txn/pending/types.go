// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pending

import (
	"errors"
	"strconv"
)

// Outcome is how a transaction ends. Its numbers stand in op records and must
// stay.
type Outcome uint8

// The outcomes. None is that of an undecided transaction.
const (
	None Outcome = iota
	Commit
	Rollback
	Discard
)

// String is the outcome in the past tense, as error texts need it.
func (o Outcome) String() string {
	switch o {
	case None:
		return "undecided"
	case Commit:
		return "committed"
	case Rollback:
		return "rolled back"
	case Discard:
		return "discarded"
	}
	return "outcome " + strconv.Itoa(int(o))
}

// Half is one stored half message that no outcome is known of.
type Half struct {
	QueueOffset int64  // in the half queue
	Physical    int64  // in the commit log, bytes; rises with the queue offset
	Group       string // producer group
	Topic       string // the real topic
	Key         string // UNIQ_KEY, of the topic; "": the half message is a transaction of its own
	Stored      int64  // when it was stored, monotonic milliseconds
	Due         int64  // when its first check is due, monotonic milliseconds
	Checks      int32  // how often it was checked before a restart
}

// Config is what a [Table] must know. Values below the smallest sensible one
// count as that.
type Config struct {
	// CheckMax is how many unanswered checks a transaction gets; with 0 it
	// expires when the first would be due. At most 16,777,215 count.
	CheckMax int32

	// Interval is the pause after the first check and after a decision that did
	// not become durable, in milliseconds; at least 1.
	Interval int64

	// MaxAge is how long a transaction may stay undecided, in milliseconds from
	// the moment its oldest half message was stored, whoever is there to be asked.
	// 0: forever.
	MaxAge int64

	// Rate bounds the checks of one producer group, a second; a tenth of it, at
	// least one, may come at once. 0: no limit.
	Rate int

	// Next is the queue offset of the next half message to be stored. What is
	// added below it was found in the log.
	Next int64
}

// State says what an undecided transaction waits for.
type State uint8

// The states of a transaction, as of the latest time that the table was told.
const (
	Immune     State = iota // its first check is not due yet
	Checking                // checked, or being checked now: waits for an answer, or for its next check or its end
	Paced                   // due, but its group pauses, is at its rate limit, or has others before it
	NoProducer              // due, but no producer of its group is there
	Deciding                // its outcome is being made durable
)

func (s State) String() string {
	switch s {
	case Immune:
		return "immune"
	case Checking:
		return "checking"
	case Paced:
		return "paced"
	case NoProducer:
		return "no producer"
	case Deciding:
		return "deciding"
	}
	return "state " + strconv.Itoa(int(s))
}

// Info is one pending half message, with what holds for its whole transaction.
type Info struct {
	QueueOffset int64  // in the half queue
	Physical    int64  // in the commit log, bytes
	Group       string // producer group
	Topic       string // the real topic
	Stored      int64  // of this half message, monotonic milliseconds

	// Of the transaction:
	Due    int64 // when its next check, or its end for used-up checks, is due, monotonic milliseconds; past while it waits for its turn; 0 while Deciding
	Checks int32 // how many were handed over
	State  State
	First  int64 // the smallest half queue offset of its chain: it is known by that
}

// Refusals of [Table.Decide], for errors.Is.
var (
	// ErrUnknown: nothing undecided has this queue offset. Either it was decided,
	// or the offset was never that of a half message.
	ErrUnknown = errors.New("no undecided half message at this queue offset")
	// ErrMismatch: the request names a half message, but not with its own group or
	// commit log offset. The text says which of them.
	ErrMismatch = errors.New("the half message differs")
	// ErrDecided: another outcome is on its way.
	ErrDecided = errors.New("the transaction is decided")
	// ErrBusy: the same outcome is being made durable already.
	ErrBusy = errors.New("the decision is being stored")
	// ErrOutcome: the outcome is none of Commit, Rollback and Discard.
	ErrOutcome = errors.New("no outcome to decide for; it must be commit, rollback or discard")
)
