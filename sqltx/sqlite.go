// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package sqltx

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"strconv"
	"time"
)

// sqlite: one writer at a time. An INSERT waits for any other transaction that
// has written, for busy_timeout, and fails at once where its own transaction has
// read what another has changed since.
type sqlite struct{}

func (sqlite) types() columns {
	return columns{
		word: func(int) string { return "TEXT" }, bytes: "BLOB", counter: "INTEGER PRIMARY KEY AUTOINCREMENT",
		index: "CREATE INDEX IF NOT EXISTS %[1]s%[2]s ON %[3]s (%[4]s)",
	}
}

func (sqlite) insertNew(table, columns, values string) string {
	return "INSERT INTO " + table + " (" + columns + ") VALUES (" + values + ") ON CONFLICT DO NOTHING"
}

func (sqlite) placeholder(int) string { return "?" }
func (sqlite) clock() string          { return "" }

// The driver ends a transaction under the ctx that it was begun with.
func (sqlite) commit(_ context.Context, tx *sql.Tx) error   { return tx.Commit() }
func (sqlite) rollback(_ context.Context, tx *sql.Tx) error { return tx.Rollback() }

func (sqlite) levels() []sql.IsolationLevel { return []sql.IsolationLevel{sql.LevelSerializable} }

func (sqlite) inspect(ctx context.Context, conn *sql.Conn) error {
	var dirty int
	if err := conn.QueryRowContext(ctx, "PRAGMA read_uncommitted").Scan(&dirty); err != nil {
		return err
	}
	if dirty != 0 {
		return fmt.Errorf("PRAGMA read_uncommitted is on: what is not committed must not be seen; switch it off")
	}
	var journal, file string
	if err := conn.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&journal); err != nil {
		return err
	}
	if err := conn.QueryRowContext(ctx, "SELECT file FROM pragma_database_list WHERE name = 'main'").Scan(&file); err != nil {
		return err
	}
	if journal == "off" || journal == "memory" && file != "" {
		return fmt.Errorf("PRAGMA journal_mode is %s: a crash, or a rollback, would leave half a transaction; use WAL or DELETE", journal)
	}
	return nil
}

func (sqlite) lax(ctx context.Context, conn *sql.Conn) (string, error) {
	var level int
	if err := conn.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&level); err != nil || level >= 2 {
		return "", err
	}
	return fmt.Sprintf("PRAGMA synchronous is %d, FULL is 2", level), nil
}

func (g sqlite) create(ctx context.Context, conn *sql.Conn, statements []string) error {
	return g.short(ctx, conn, 10*time.Second, func(q querier) error { return execAll(ctx, q, statements) })
}

// short writes from its beginning, so that it never has to give up a snapshot.
func (sqlite) short(ctx context.Context, conn *sql.Conn, wait time.Duration, f func(q querier) error) (failed error) {
	var former int
	if err := conn.QueryRowContext(ctx, "PRAGMA busy_timeout").Scan(&former); err != nil {
		return err
	}
	if err := setBusyTimeout(ctx, conn, int(wait.Milliseconds())); err != nil {
		return err
	}
	defer func() {
		after := context.WithoutCancel(ctx)
		if failed != nil { // also of BEGIN, which may have taken effect although ctx ended
			_, err := conn.ExecContext(after, "ROLLBACK")
			if err != nil && !idle(after, conn) {
				discard(conn)
				return
			}
		}
		if err := setBusyTimeout(after, conn, former); err != nil {
			discard(conn)
		}
	}()
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	if err := f(conn); err != nil {
		return err
	}
	_, err := conn.ExecContext(ctx, "COMMIT")
	return err
}

func setBusyTimeout(ctx context.Context, conn *sql.Conn, ms int) error {
	var now int
	return conn.QueryRowContext(ctx, "PRAGMA busy_timeout = "+strconv.Itoa(max(ms, 0))).Scan(&now)
}

// idle tells whether the connection is in no transaction: only then one can begin.
func idle(ctx context.Context, conn *sql.Conn) bool {
	if _, err := conn.ExecContext(ctx, "BEGIN"); err != nil {
		return false
	}
	_, err := conn.ExecContext(ctx, "ROLLBACK")
	return err == nil
}

// fresh: who has inserted holds the write lock, and then nothing changes.
func (sqlite) fresh(ctx context.Context, q querier, table, name string) (v int64, err error) {
	err = q.QueryRowContext(ctx, "SELECT value FROM "+table+" WHERE name = ?", name).Scan(&v)
	return v, err
}

// discard has the pool close a connection instead of giving it to others.
func discard(conn *sql.Conn) { _ = conn.Raw(func(any) error { return driver.ErrBadConn }) }

func execAll(ctx context.Context, q querier, statements []string) error {
	for _, s := range statements {
		if _, err := q.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}
