// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package handler

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/twostage/twostage/internal/wire/body"
)

// ErrTransactionID is the class of the errors about a text that names no
// transaction, or several.
var ErrTransactionID = errors.New("which transaction")

// Inspector is what the transaction inspector, on the wire and over HTTP, needs
// of the transactions. A transaction is known by a half queue offset: that of any
// of its half messages. who is the operator's address, for the story.
//
// Errors match body.ErrNoHalf and body.ErrDecided where those say what is wrong;
// their text is what the operator reads. done is called once, maybe before the
// method returns, and must not block. Safe for concurrent use.
type Inspector interface {
	// List gives transactions by rising half queue offset, at most f.Limit, which
	// is set. It may give fewer, even none, before the end: next is where to go on,
	// above every offset looked at, -1 at the end.
	List(f body.TransactionFilter) (list []body.Transaction, next int64, err error)
	// Show gives all that is known of a transaction.
	Show(queueOffset int64) (*body.TransactionStory, error)
	// Find gives the half queue offset of every transaction that id, which is no
	// half queue offset, names: by the offset message id of its half message or its
	// parked copy, or by the UNIQ_KEY of its message. When there is none, none or
	// body.ErrNoHalf.
	Find(id string) ([]int64, error)
	// Decide commits or rolls back. A transaction that already has the outcome is a
	// success, one with another outcome body.ErrDecided.
	Decide(queueOffset int64, commit bool, who string, done func(error))
	// Recheck has a transaction checked at once.
	Recheck(queueOffset int64, who string) error
	// Resume takes a parked transaction up again, which is named by the commit log
	// offset of the parked copy or of the half message. done gets the half queue
	// offset of the half message that stands for it now.
	Resume(physical int64, who string, done func(queueOffset int64, err error))
}

// FindTransaction gives the half queue offset of the transaction that id names:
// such an offset in decimal (at most 19 digits), or what [Inspector.Find] takes.
// Errors match ErrTransactionID or body.ErrNoHalf, or are those of Find.
func FindTransaction(in Inspector, id string) (queueOffset int64, err error) {
	if id == "" {
		return 0, fmt.Errorf("%w: the id is empty", ErrTransactionID)
	}
	if offset, ok := parseQueueOffset(id); ok {
		return offset, nil
	}
	found, err := in.Find(id)
	switch {
	case err != nil:
		return 0, err
	case len(found) == 0:
		return 0, fmt.Errorf("%w: %.200s is neither the queue offset nor the message id nor the unique key of one", body.ErrNoHalf, id)
	case len(found) > 1:
		return 0, fmt.Errorf("%w: %.200s names several, name one of them by its half queue offset: %s", ErrTransactionID, id, offsets(found))
	}
	return found[0], nil
}

// FindParked gives the commit log offset by which [Inspector.Resume] knows the
// transaction that id names, as in FindTransaction.
func FindParked(in Inspector, id string) (physical int64, err error) {
	offset, err := FindTransaction(in, id)
	if err != nil {
		return 0, err
	}
	s, err := in.Show(offset)
	if err != nil {
		return 0, err
	}
	if s.Transaction.ParkedOffset > 0 {
		return s.Transaction.ParkedOffset, nil
	}
	return s.Transaction.CommitLogOffset, nil
}

// parseQueueOffset reads a decimal number without a sign. Longer ones than 19
// digits are message ids.
func parseQueueOffset(id string) (int64, bool) {
	if len(id) > 19 || strings.Trim(id, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(id, 10, 64)
	return n, err == nil
}

// offsets is a list of numbers, cut after the first of them.
func offsets(list []int64) string {
	const most = 20
	var b strings.Builder
	for i, n := range list {
		if i == most {
			fmt.Fprintf(&b, " and %d more", len(list)-most)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(itoa(n))
	}
	return b.String()
}
