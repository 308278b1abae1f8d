// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package sqltx

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/twostage/twostage/message"
)

// errDone: a message was consumed before.
var errDone = errors.New("sqltx: the message was consumed before")

var errNoConsumer = errors.New("sqltx: nobody is named who consumes, and of two groups on one database each message would reach only one: give Open WithConsumer, with the name of the group")

// Once consumes m exactly once in effect: it runs fn in a transaction of d in
// which it also records the message's id, and commits. If m was consumed before,
// by this process or another, it returns nil and does not call fn; if that is
// going on elsewhere, it waits for its end.
//
// If fn returns an error or panics, or ctx ends, all is rolled back. An error says
// that m is to be delivered again: it may be committed all the same, where the
// database did not answer, and then is not done a second time. fn must not end tx
// itself.
//
// m is known by the consumer's name (WithConsumer, which d needs) and its unique
// key, in whatever topic it comes. Who sends a message on to another topic that
// the same consumer reads has to give it a key of its own, by deleting
// message.PropertyUniqueKey: with the old one it counts as consumed.
func Once(ctx context.Context, d *DB, m *message.Received, fn func(ctx context.Context, tx *sql.Tx) error) error {
	switch {
	case d == nil:
		return errors.New("sqltx: Once without a database")
	case m == nil:
		return errors.New("sqltx: Once without a message")
	case fn == nil:
		return errors.New("sqltx: Once without a function")
	case d.cfg.consumer == "":
		return errNoConsumer
	}
	claimed := false
	err := d.within(ctx, &work{
		first: func(ctx context.Context, tx *sql.Tx) error {
			first, err := d.record(ctx, tx, m)
			if err == nil && !first {
				return errDone
			}
			claimed = err == nil
			return err
		},
		fn: fn,
		// Not before: the horizon may be locked from then on, and Clean waits.
		last: func(ctx context.Context, tx *sql.Tx) error { return d.remembered(ctx, tx, m) },
	})
	switch {
	case !claimed && errors.Is(err, errDone):
		return nil
	case err != nil && !claimed && d.consumed(ctx, m):
		return nil // somebody else did, meanwhile
	}
	return err
}

// Claim records in tx that m is consumed, and tells whether it is the first to do
// so. It is what Once consists of, for those that have a transaction already, such
// as the function of a Run: if Claim returns false, the work is done and tx has to
// be rolled back. It waits for other transactions that claim the same message.
// Where the horizon is read under a lock (see docs/sqltx.md), Clean waits from then
// on for the end of tx, so that Claim is best called late.
//
// Roll tx back after an error of the database, also one of another statement: MySQL
// and SQLite may have ended tx at it, and then commit what Claim writes by itself.
//
// An error that matches ErrForgotten says that m is so old that nobody knows. d
// needs WithConsumer.
func (d *DB) Claim(ctx context.Context, tx *sql.Tx, m *message.Received) (first bool, err error) {
	if d.cfg.consumer == "" {
		return false, errNoConsumer
	}
	if first, err = d.record(ctx, tx, m); err != nil || !first {
		return false, err
	}
	if err := d.remembered(ctx, tx, m); err != nil {
		return false, err
	}
	return true, nil
}

// record writes the record of consumption, and tells whether there was none.
func (d *DB) record(ctx context.Context, tx *sql.Tx, m *message.Received) (first bool, err error) {
	// No row that is deleted stands for a message that was born after the horizon.
	now := d.now()
	seen := max(now.UnixMilli(), bornAt(m, now).UnixMilli())
	n, err := affected(tx.ExecContext(ctx, d.stmt.insertConsumed, d.consumer(), word(identity(m)), seen))
	if err != nil {
		return false, fmt.Errorf("sqltx: recording message %s: %w", identity(m), err)
	}
	return n > 0, nil
}

// remembered fails where a record of m may have been deleted. It comes after record,
// so that a deletion that made room for it is seen.
func (d *DB) remembered(ctx context.Context, tx *sql.Tx, m *message.Received) error {
	horizon, err := d.g.fresh(ctx, tx, d.stmt.state, consumedHorizon)
	if err != nil {
		return fmt.Errorf("sqltx: the horizon: %w", err)
	}
	if born := bornAt(m, d.now()); born.UnixMilli() < horizon {
		return fmt.Errorf("%w: message %s was born at %v, records before %v are gone", ErrForgotten, identity(m), born.UTC(), time.UnixMilli(horizon).UTC())
	}
	return nil
}

// bornAt is when m was born, now where it does not say.
func bornAt(m *message.Received, now time.Time) time.Time {
	if m.BornTime.IsZero() {
		return now
	}
	return m.BornTime
}

// consumed tells whether m is known to be consumed.
func (d *DB) consumed(ctx context.Context, m *message.Received) bool {
	var seen int64
	return d.db.QueryRowContext(ctx, d.stmt.findConsumed, d.consumer(), word(identity(m))).Scan(&seen) == nil
}

func (d *DB) consumer() string { return word(d.cfg.consumer) }

// identity is what stays the same however often a message is stored: its unique
// key, or the id that it had before it was sent back or became a dead letter.
func identity(m *message.Received) string {
	for _, id := range []string{m.UniqueKey(), m.Property(message.PropertyDLQOriginMessageID), m.Property(message.PropertyOriginMessageID)} {
		if id != "" {
			return id
		}
	}
	return m.OffsetID()
}
