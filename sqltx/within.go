// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package sqltx

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// work is what is done in one transaction. first and last may be nil.
type work struct {
	first, fn, last func(ctx context.Context, tx *sql.Tx) error

	// asked says that the database was told to commit: then an error does not say
	// that it has not.
	asked bool
}

// within does w in one transaction and commits it. It waits for the end of the
// transaction no longer than WithCommitWait.
func (d *DB) within(ctx context.Context, w *work) (err error) {
	// The end of ctx rolls back, but must not break off a commit.
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, cancel)
	defer stop()
	defer func() {
		if cause := context.Cause(ctx); err != nil && !w.asked && cause != nil && !errors.Is(err, cause) {
			err = fmt.Errorf("%w: %w", cause, err)
		}
	}()
	tx, err := d.db.BeginTx(own, &sql.TxOptions{Isolation: d.cfg.isolation})
	if err != nil {
		return fmt.Errorf("sqltx: beginning a transaction: %w", err)
	}
	over := false
	defer func() { // also when fn panics
		if !over {
			defer time.AfterFunc(d.cfg.commitWait, cancel).Stop()
			_ = d.g.rollback(own, tx) // whether it is answered or not, it is not committed
		}
	}()
	if _, err := tx.ExecContext(ctx, "SAVEPOINT sqltx"); err != nil {
		return fmt.Errorf("sqltx: beginning a transaction: %w", err)
	}
	if w.first != nil {
		if err := w.first(ctx, tx); err != nil {
			return err
		}
	}
	if err := w.fn(ctx, tx); err != nil {
		return err
	}
	// The savepoint is gone if the transaction is, by an error or a statement that
	// the driver knows nothing of: writing on would commit each statement by itself.
	if _, err := tx.ExecContext(ctx, "RELEASE SAVEPOINT sqltx"); err != nil {
		return fmt.Errorf("sqltx: the transaction has failed or ended inside the function: %w", err)
	}
	if w.last != nil {
		if err := w.last(ctx, tx); err != nil {
			return err
		}
	}
	// Who was stopped over the deadline may be here before ctx has noticed.
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		return fmt.Errorf("sqltx: %w", context.DeadlineExceeded)
	}
	if !stop() {
		return fmt.Errorf("sqltx: %w", context.Cause(ctx))
	}
	defer time.AfterFunc(d.cfg.commitWait, cancel).Stop()
	w.asked = true
	if err := d.g.commit(own, tx); err != nil {
		if own.Err() != nil {
			return fmt.Errorf("sqltx: committing: no answer for %v: %w", d.cfg.commitWait, err)
		}
		return fmt.Errorf("sqltx: committing: %w", err)
	}
	over = true
	return nil
}
