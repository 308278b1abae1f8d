// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package sqltx

import (
	"context"
	"time"
)

// outboxLease is the row of the state table that the forwarder of the outbox holds.
const outboxLease = "outbox_lease"

// lease is one forwarder's view of the row that only one of them holds: a holder,
// "" for none, and a number that grows with each change.
//
// No clock is compared with another machine's. Who holds it changes the number
// at least every third of the span, and sends nothing later than two thirds after
// it began the last change. Who does not, takes it when the row has not changed
// for the span, by its own clock. That is a monotonic one, which on Linux stands
// still while its machine is suspended: a holder that wakes up in the middle of a
// send may finish it, beside whoever has taken the lease. A change names the number that it expects, so
// that of two that take it one succeeds.
type lease struct {
	d      *DB
	span   time.Duration
	now    func() time.Time
	holder string

	held   bool
	number int64     // while it is held
	began  time.Time // the last change, while it is held

	seen   leaseRow // another's
	seenAt time.Time
}

type leaseRow struct {
	number int64
	holder string
}

// until is when the holder has to stop.
func (l *lease) until() time.Time { return l.began.Add(l.span * 2 / 3) }

// hold takes the lease or renews it, where that is due, and tells whether it is
// held.
func (l *lease) hold(ctx context.Context) (bool, error) {
	if !l.held {
		return l.take(ctx)
	}
	now := l.now()
	if now.Sub(l.began) < l.span/3 {
		return true, nil
	}
	l.held = false // until it is known to be so again
	ok, err := l.change(ctx, l.d.stmt.beat, outboxLease, l.number, l.holder)
	if ok {
		l.held, l.number, l.began = true, l.number+1, now
	}
	return ok, err
}

func (l *lease) take(ctx context.Context) (bool, error) {
	var row leaseRow
	if err := l.d.db.QueryRowContext(ctx, l.d.stmt.findState, outboxLease).Scan(&row.number, &row.holder); err != nil {
		return false, err
	}
	now := l.now()
	if row != l.seen {
		l.seen, l.seenAt = row, now
	}
	if row.holder != "" && row.holder != l.holder && now.Sub(l.seenAt) < l.span {
		return false, nil
	}
	ok, err := l.change(ctx, l.d.stmt.take, l.holder, outboxLease, row.number)
	if ok {
		l.held, l.number, l.began = true, row.number+1, now
	}
	return ok, err
}

// release lets others have it at once.
func (l *lease) release(ctx context.Context) {
	if !l.held {
		return
	}
	l.held = false
	if _, err := l.change(ctx, l.d.stmt.take, "", outboxLease, l.number); err != nil {
		l.d.log.Warn("sqltx: the lease of the outbox is not released, and runs out by itself", "err", err)
	}
}

func (l *lease) change(ctx context.Context, query string, args ...any) (changed bool, err error) {
	err = l.d.shortly(ctx, func(q querier) error {
		n, err := affected(q.ExecContext(ctx, query, args...))
		changed = n == 1
		return err
	})
	return changed && err == nil, err
}
