// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package body

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twostage/twostage/internal/wire/fastjson"
)

// The bodies of the transaction inspector are Twostage's own and standard JSON;
// see docs/format/inspector.md. Times are milliseconds of the broker's wall
// clock since 1970, spans are milliseconds. Broker, HTTP interface and command
// line share these types.

var (
	// ErrNoHalf: there is no such transaction. What gives it says which.
	ErrNoHalf = errors.New("no such half message")
	// ErrDecided: the transaction has another outcome. What gives it says which,
	// and since when if that is known.
	ErrDecided = errors.New("the transaction is decided")
	// ErrFilter is the class of the errors of [TransactionFilter.Check].
	ErrFilter = errors.New("bad filter")
)

// A TransactionState is where a transaction stands.
type TransactionState string

// The states.
const (
	Undecided  TransactionState = "undecided"
	Committed  TransactionState = "committed"
	RolledBack TransactionState = "rolled-back"
	Discarded  TransactionState = "discarded" // nobody decided: parked, until it is resumed
	Resumed    TransactionState = "resumed"   // was parked; another half message stands for it now
	Decided    TransactionState = "decided"   // by a broker that did not say how
)

// TransactionStates are all of them.
func TransactionStates() []TransactionState {
	return []TransactionState{Undecided, Committed, RolledBack, Discarded, Resumed, Decided}
}

// Bounds of a list of transactions.
const (
	TransactionLimit    = 100   // when a filter has none
	MaxTransactionLimit = 1_000 // in one answer
)

// TransactionFilter selects transactions. The zero value selects all.
type TransactionFilter struct {
	Topic  string           // of the message; "": any
	Group  string           // of the producer; "": any
	State  TransactionState // "": any
	MinAge time.Duration    // since the half message was stored, at least
	MaxAge time.Duration    // at most; 0: no limit
	From   int64            // half queue offset to begin with
	Limit  int              // so many at most; 0 is TransactionLimit
}

// Check says what is wrong with a filter, by an error that matches [ErrFilter],
// and sets a limit where there is none.
func (f *TransactionFilter) Check() error {
	if f.State != "" && !slices.Contains(TransactionStates(), f.State) {
		var names []string
		for _, s := range TransactionStates() {
			names = append(names, string(s))
		}
		return fmt.Errorf("%w: state %.40q: accepted are %s", ErrFilter, string(f.State), strings.Join(names, ", "))
	}
	switch {
	case f.MinAge < 0 || f.MaxAge < 0:
		return fmt.Errorf("%w: ages from %v to %v: they can't be negative", ErrFilter, f.MinAge, f.MaxAge)
	case f.MaxAge > 0 && f.MinAge > f.MaxAge:
		return fmt.Errorf("%w: ages from %v to %v: nothing is older than the one and younger than the other", ErrFilter, f.MinAge, f.MaxAge)
	case f.From < 0:
		return fmt.Errorf("%w: from %d: half queue offsets begin with 0", ErrFilter, f.From)
	case f.Limit < 0 || f.Limit > MaxTransactionLimit:
		return fmt.Errorf("%w: limit %d: accepted are 1 to %d", ErrFilter, f.Limit, MaxTransactionLimit)
	case f.Limit == 0:
		f.Limit = TransactionLimit
	}
	return nil
}

// Transaction is a transaction as its broker knows it. Offsets of records that
// are not there are 0: no such record can stand at the log's beginning.
type Transaction struct {
	QueueOffset     int64            `json:"queueOffset"`     // of the half message in the half queue: the transaction's name on its broker
	CommitLogOffset int64            `json:"commitLogOffset"` // of the half message
	Group           string           `json:"group"`           // of the producer
	Topic           string           `json:"topic"`           // that the message is for
	QueueID         int32            `json:"queueId"`         // of that topic
	Key             string           `json:"key"`             // UNIQ_KEY
	State           TransactionState `json:"state"`
	Detail          string           `json:"detail,omitempty"` // more about the state, for people
	StoredAt        int64            `json:"storedAt"`
	Age             int64            `json:"age"`                       // since StoredAt, when the broker answered
	Checks          int32            `json:"checks"`                    // handed to a producer
	CheckedAt       int64            `json:"checkedAt,omitempty"`       // the last of them; 0: none
	DueAt           int64            `json:"dueAt,omitempty"`           // the next check, or the end of the patience; 0: none
	Chain           []int64          `json:"chain,omitempty"`           // half queue offsets of all half messages of it, if several
	DecidedAt       int64            `json:"decidedAt,omitempty"`       // 0: undecided, or not known any more
	CommittedOffset int64            `json:"committedOffset,omitempty"` // of the committed message in the commit log
	ParkedOffset    int64            `json:"parkedOffset,omitempty"`    // of the parked copy in the commit log
	ResumedAs       int64            `json:"resumedAs,omitempty"`       // half queue offset of the half message that stands for it now
}

// A TransactionEvent is something that happened to a transaction.
type TransactionEvent struct {
	At      int64     `json:"at"` // 0: not known
	Kind    EventKind `json:"kind"`
	Outcome string    `json:"outcome,omitempty"` // commit, rollback, discard, unknown
	Count   int32     `json:"count,omitempty"`   // of checks, at a check
	Who     string    `json:"who,omitempty"`     // address or client id of the other side
	Note    string    `json:"note,omitempty"`    // for people
}

// An EventKind says what happened. Readers show kinds that they don't know as
// they are.
type EventKind string

// The kinds of events.
const (
	EventStored    EventKind = "stored"    // the half message, or another one of the chain
	EventCheck     EventKind = "check"     // handed to a connection of the producer group
	EventAnswer    EventKind = "answer"    // to a check, or the producer's own decision
	EventRefused   EventKind = "refused"   // an outcome that came too late or did not fit
	EventOperator  EventKind = "operator"  // an outcome that a person decided
	EventRechecked EventKind = "rechecked" // a person had it checked at once
	EventResumed   EventKind = "resumed"   // a person had it taken up again
	EventDecided   EventKind = "decided"   // the outcome is stored
	EventDiscarded EventKind = "discarded" // nobody decided; the note says why it ended
)

// TransactionList is a page of transactions, by rising half queue offset (TX_LIST,
// 30001).
type TransactionList struct {
	Broker       string        `json:"broker"`
	Transactions []Transaction `json:"transactions"`
	Next         int64         `json:"next"` // From of the next page; -1: that was all
}

// TransactionStory is all that is known of a transaction (TX_SHOW, 30002).
type TransactionStory struct {
	Broker      string             `json:"broker"`
	Transaction Transaction        `json:"transaction"`
	Events      []TransactionEvent `json:"events"` // in their order
}

func (*TransactionList) about() (string, fastjson.Limits) {
	return "transaction list", answerLimits()
}
func (*TransactionStory) about() (string, fastjson.Limits) {
	return "transaction story", answerLimits()
}
