// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package sqltx

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twostage/twostage/sqltx"
	"github.com/twostage/twostage/test/rig"
)

// The function of a Once does not keep Clean waiting, however long it takes.
func TestCleanBesideOnce(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		if s.dialect == sqltx.SQLite {
			return // one writer at a time
		}
		w := newShop(t, s)
		if w == nil {
			return
		}
		cleaned := false
		var err error
		for range 3 { // what a snapshot does not show fails once (40001)
			err = sqltx.Once(t.Context(), w.d, received("K"), func(ctx context.Context, tx *sql.Tx) error {
				if !cleaned {
					if _, err := w.far.Clean(ctx); err != nil {
						t.Errorf("cleaning: %v", err)
					}
				}
				cleaned = true
				return add(1)(ctx, tx)
			})
			if err == nil {
				break
			}
		}
		if n := w.number("SELECT n FROM work WHERE id = 1"); err != nil || n != 1 {
			t.Errorf("%v, done %d times", err, n)
		}
	})
}

// Of the clocks of the process and the server the earlier one says what is old.
func TestCleanByTheServersClock(t *testing.T) {
	const behind = 300 * time.Hour
	onEachKind(t, func(t *testing.T, s server) {
		open, honest := s.open, ""
		switch s.dialect {
		case sqltx.PostgreSQL:
			s.open = func(t *testing.T, _ string) *sql.DB { return open(t, "search_path=public,pg_catalog") }
			honest = "DROP FUNCTION public.clock_timestamp()"
		case sqltx.MySQL:
			s.open = func(t *testing.T, _ string) *sql.DB {
				return open(t, fmt.Sprint("timestamp=", time.Now().Add(-behind).Unix()))
			}
			honest = "SET timestamp = DEFAULT"
		default:
			return // it has no server
		}
		w := newShop(t, s)
		if w == nil {
			return
		}
		w.db.SetMaxOpenConns(1)
		if s.dialect == sqltx.PostgreSQL {
			w.exec(fmt.Sprintf("CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS $$ SELECT pg_catalog.now() - interval '%d seconds' $$", int(behind.Seconds())))
		}
		w.exec(fmt.Sprintf("INSERT INTO sqltx_marker (id, verdict, began) VALUES ('K', 1, %d)", time.Now().Add(-250*time.Hour).UnixMilli()))
		for want, do := range []string{"SELECT 1", honest} {
			w.exec(do)
			if n, err := w.d.Clean(t.Context()); err != nil || n != int64(want) {
				t.Errorf("after %s: %d deleted, %v, want %d", do, n, err, want)
			}
		}
	})
}

// What this package does besides Run and Once goes on from what others have
// committed while it waited, whatever level the database has by default.
func TestShortTransactionsAtAHigherDefault(t *testing.T) {
	onEachKind(t, func(t *testing.T, s server) {
		if s.dialect != sqltx.PostgreSQL {
			return // where a write goes by what is committed at every level
		}
		open := s.open
		s.open = func(t *testing.T, _ string) *sql.DB { return open(t, "default_transaction_isolation=serializable") }
		w := newShop(t, s, sqltx.WithLockWait(20*time.Second))
		if w == nil {
			return
		}
		tx, err := w.db.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback() //nolint:errcheck // after a commit there is nothing to roll back
		if _, err := tx.Exec("UPDATE sqltx_state SET value = value + 1 WHERE name = 'marker_horizon'"); err != nil {
			t.Fatal(err)
		}
		cleaned := make(chan error, 1)
		go func() {
			_, err := w.d.Clean(t.Context())
			cleaned <- err
		}()
		rig.Poll(t, "a cleaner that waits", func() error {
			if w.number("SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'") == 0 {
				return errors.New("none")
			}
			return nil
		})
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		if err := <-cleaned; err != nil {
			t.Error(err)
		}
	})
}
