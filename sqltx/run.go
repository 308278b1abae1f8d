// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package sqltx

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/message"
)

// Properties that Run gives a message.
const (
	// PropertyBegan is when Run began, in ms of its process's wall clock. The marker
	// of the transaction has the same number.
	PropertyBegan = "SQLTX_BEGAN"
	// PropertyDatabase names the tables that have the marker, by their identity.
	PropertyDatabase = "SQLTX_DATABASE"
)

// Errors. Match them with errors.Is.
var (
	// ErrRefused: a check-back has refused the transaction before it could commit.
	// It is rolled back.
	ErrRefused = errors.New("sqltx: the transaction was refused after its time limit")
	// ErrUnsure: the database did not answer the commit, and nobody can tell now what
	// became of it. A check-back finds out, and the message follows the database.
	ErrUnsure = errors.New("sqltx: nobody knows yet whether the transaction is committed")
	// ErrForgotten: what was known of a transaction or a message of that age is
	// deleted: see WithRetention. It is rolled back.
	ErrForgotten = errors.New("sqltx: older than what the database remembers")
)

// longLimit is 15 checks of a broker of Apache RocketMQ, every 30 s: it counts them
// while the time limit runs, although it does not ask.
const longLimit = 15 * 30 * time.Second

// Run sends m in a transaction that is the database's as well: consumers see m if
// and only if what fn wrote is committed. It sends the half message, runs fn in a
// transaction of d, writes the transaction's marker there, commits, and ends the
// message. p has to have been made with d.Check. The Check of another DB on the
// same tables answers as another process does: it does not know that fn runs here,
// and refuses the transaction when the time is over, although fn goes on.
//
// The whole has the time until ctx's deadline, without one that of WithLimit; then
// the ctx of fn ends, and what is not committed is rolled back. No check-back
// refuses the transaction before, as far as the clocks of the processes that answer
// agree. The answer to a COMMIT is waited for beyond that: see WithCommitWait.
//
// If fn returns an error or panics, or ctx ends, both are rolled back, and Run
// returns the error of fn, or panics with its value. fn must not end tx itself. It
// is called at most once, and not at all if the half message is not known to be
// stored safely. A nil error says that the database is committed and the message
// is, or will be when the broker asks: see TransactionResult.EndError. An error
// says that it is not, but for one that matches ErrUnsure. The result is nil where
// the half message is not known to be stored.
//
// m is not changed. It may have no unique key: each transaction gets its own.
func Run(ctx context.Context, d *DB, p *client.TransactionProducer, m *message.Message, fn func(ctx context.Context, tx *sql.Tx) error) (*client.TransactionResult, error) {
	switch {
	case d == nil:
		return nil, errors.New("sqltx: Run without a database")
	case p == nil:
		return nil, errors.New("sqltx: Run without a producer")
	case m == nil:
		return nil, errors.New("sqltx: Run without a message")
	case fn == nil:
		return nil, errors.New("sqltx: Run without a function")
	case m.UniqueKey() != "":
		return nil, fmt.Errorf("sqltx: the message has the unique key %q, but each transaction needs one of its own: delete the property %s", m.UniqueKey(), message.PropertyUniqueKey)
	}
	began, limit := d.now(), d.cfg.limit
	if deadline, ok := ctx.Deadline(); ok {
		limit = time.Until(deadline)
	}
	if err := context.Cause(ctx); err != nil {
		return nil, fmt.Errorf("sqltx: %w", err)
	}
	if limit >= d.cfg.retention {
		return nil, fmt.Errorf("sqltx: the time limit %v is not below the retention %v: shorten the deadline or see WithRetention", limit, d.cfg.retention)
	}
	if limit > longLimit {
		d.long.Do(func() {
			d.log.Warn("sqltx: a time limit so long may be over only after a broker has given the transaction up: Apache RocketMQ does after transactionCheckMax intervals", "limit", limit)
		})
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()

	half := *m
	half.Properties = maps.Clone(m.Properties)
	if half.Properties == nil {
		half.Properties = message.Properties{}
	}
	half.Properties[message.PropertyCheckImmunityInSeconds] = strconv.FormatInt(max(int64((limit+time.Second-1)/time.Second), 1), 10)
	half.Properties[PropertyBegan] = strconv.FormatInt(began.UnixMilli(), 10)
	half.Properties[PropertyDatabase] = d.identity

	l := &local{d: d, began: began.UnixMilli(), work: work{fn: fn}}
	res, err := p.SendInTransaction(ctx, &half, l.run)
	switch {
	case l.panicked:
		panic(l.value)
	case err != nil:
		return nil, err
	case !l.called:
		return res, fmt.Errorf("sqltx: the half message is %v: the transaction was not begun", res.Status)
	}
	return res, l.err
}

// local is the local transaction of a Run.
type local struct {
	d     *DB
	began int64 // ms
	work

	called   bool
	err      error
	panicked bool
	value    any
}

// run is a client.Local. A panic, of fn or of what is called besides, is kept, so
// that the broker hears of the outcome before Run goes on with it.
func (l *local) run(ctx context.Context, h *client.Half) (outcome client.Outcome) {
	l.called = true
	defer l.d.enter(h.TransactionID)()
	defer func() {
		if v := recover(); v != nil {
			l.panicked, l.value, outcome = true, v, client.Rollback
			if l.asked {
				outcome = client.Unknown // a check finds out
			}
		}
	}()
	outcome, l.err = l.decide(ctx, h.TransactionID)
	return outcome
}

// decide runs fn and the marker in a transaction, and tells its outcome.
func (l *local) decide(ctx context.Context, id string) (client.Outcome, error) {
	d, marking := l.d, false
	l.last = func(ctx context.Context, tx *sql.Tx) error {
		marking = true
		return d.mark(ctx, tx, id, l.began, committed)
	}
	err := d.within(ctx, &l.work)
	if err == nil {
		return client.Commit, nil
	}
	if !marking {
		return client.Rollback, err
	}
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.cfg.lockWait+checkSlack)
	defer cancel()
	v, findErr := d.find(after, id, l.began)
	switch {
	case v == refused: // its row stands where the marker would
		if errors.Is(err, ErrRefused) {
			return client.Rollback, err
		}
		return client.Rollback, fmt.Errorf("%w: %w", ErrRefused, err)
	case !l.asked:
		return client.Rollback, err
	case v == absent && findErr == nil:
		// The database has refused to commit, or may still do it. A refusal that is
		// committed is the proof, as it is for a check.
		if v, findErr = d.refuse(after, id, l.began); v == refused {
			return client.Rollback, err
		}
	}
	if v == committed {
		d.log.Warn("sqltx: a commit went wrong, but is in the database", "transaction", id, "err", err)
		return client.Commit, nil
	}
	return client.Unknown, fmt.Errorf("%w: %w", ErrUnsure, errors.Join(err, findErr))
}

// mark writes the marker of a transaction into tx, which is the last thing to be
// written there. Its key is the fence: see docs/sqltx.md.
func (d *DB) mark(ctx context.Context, q querier, id string, began int64, v verdict) error {
	n, err := affected(q.ExecContext(ctx, d.stmt.insertMarker, word(id), int(v), began))
	if err != nil {
		return fmt.Errorf("sqltx: the marker of %s: %w", id, err)
	}
	if n == 0 {
		return fmt.Errorf("%w: %s", ErrRefused, id)
	}
	// After the insert, so that a deletion that made room for it is seen.
	horizon, err := d.g.fresh(ctx, q, d.stmt.state, markerHorizon)
	if err != nil {
		return fmt.Errorf("sqltx: the horizon: %w", err)
	}
	if began < horizon {
		return fmt.Errorf("%w: the transaction %s began at %v, markers before %v are gone", ErrForgotten, id, time.UnixMilli(began).UTC(), time.UnixMilli(horizon).UTC())
	}
	return nil
}

func affected(res sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}
