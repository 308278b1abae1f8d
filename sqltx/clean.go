// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package sqltx

import (
	"context"
	"fmt"
)

// cleanBatch is how many rows Clean looks up at a time; each is deleted by itself.
const cleanBatch = 500

// Clean deletes the markers and the records of consumption that are older than the
// retention, and tells how many. It is to be called now and then, by one process
// or several, every hour for example. Nothing is blocked by it for long: it
// deletes by key, in small transactions, and fails where a lock is in its way for
// longer than WithLockWait: the next call goes on.
//
// Before it deletes, it raises the horizon in the database. That is what makes an
// absent marker mean "I do not know" from then on, and not this process's clock.
func (d *DB) Clean(ctx context.Context) (deleted int64, err error) {
	below := d.now().Add(-d.cfg.retention).UnixMilli()
	if query := d.g.clock(); query != "" {
		var now int64
		if err := d.db.QueryRowContext(ctx, query).Scan(&now); err != nil {
			return 0, fmt.Errorf("sqltx: the server's clock: %w", err)
		}
		below = min(below, now-d.cfg.retention.Milliseconds()) // one clock that is ahead deletes nothing
	}
	for _, name := range horizons {
		err := d.shortly(ctx, func(q querier) error {
			_, err := q.ExecContext(ctx, d.stmt.raise, below, name, below)
			return err
		})
		if err != nil {
			return 0, fmt.Errorf("sqltx: raising the %s: %w", name, err)
		}
	}
	for _, sweep := range []struct {
		find, remove string
		columns      int
	}{{d.stmt.staleMarkers, d.stmt.deleteMarker, 1}, {d.stmt.staleConsumed, d.stmt.deleteConsumed, 2}} {
		for {
			n, err := d.sweep(ctx, sweep.find, sweep.remove, sweep.columns, below)
			deleted += n
			if err != nil {
				return deleted, fmt.Errorf("sqltx: deleting what is older than the retention: %w", err)
			}
			if n == 0 {
				break
			}
		}
	}
	return deleted, nil
}

// sweep deletes one batch of rows by their keys.
func (d *DB) sweep(ctx context.Context, find, remove string, columns int, below int64) (deleted int64, err error) {
	keys, err := d.keys(ctx, find, columns, below)
	if err != nil || len(keys) == 0 {
		return 0, err
	}
	err = d.shortly(ctx, func(q querier) error {
		deleted = 0
		for _, key := range keys {
			n, err := affected(q.ExecContext(ctx, remove, append(key, below)...))
			if err != nil {
				return err
			}
			deleted += n
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return deleted, nil
}

func (d *DB) keys(ctx context.Context, find string, columns int, below int64) ([][]any, error) {
	rows, err := d.db.QueryContext(ctx, find, below)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // Err tells
	var keys [][]any
	for rows.Next() {
		words := make([]string, columns)
		key, into := make([]any, columns, columns+1), make([]any, columns)
		for i := range words {
			into[i] = &words[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		for i, w := range words {
			key[i] = w
		}
		keys = append(keys, key)
	}
	return keys, rows.Err()
}
