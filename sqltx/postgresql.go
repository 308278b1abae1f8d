// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package sqltx

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"time"
)

// postgresql: an INSERT of a key that another transaction has inserted waits for
// the end of that one; ON CONFLICT DO NOTHING then affects no row, or under
// REPEATABLE READ and SERIALIZABLE fails with 40001. After an error a
// transaction does nothing any more and can't be committed.
type postgresql struct{}

func (postgresql) types() columns {
	return columns{
		word:  func(n int) string { return "VARCHAR(" + strconv.Itoa(n) + `) COLLATE "C"` },
		bytes: "BYTEA", counter: "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
		index: "CREATE INDEX IF NOT EXISTS %[2]s ON %[1]s%[3]s (%[4]s)",
	}
}

func (postgresql) insertNew(table, columns, values string) string {
	return "INSERT INTO " + table + " (" + columns + ") VALUES (" + values + ") ON CONFLICT DO NOTHING"
}

func (postgresql) placeholder(n int) string { return "$" + strconv.Itoa(n) }

// The driver ends a transaction under the ctx that it was begun with.
func (postgresql) commit(_ context.Context, tx *sql.Tx) error   { return tx.Commit() }
func (postgresql) rollback(_ context.Context, tx *sql.Tx) error { return tx.Rollback() }

func (postgresql) clock() string {
	return "SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::BIGINT"
}

func (postgresql) levels() []sql.IsolationLevel {
	return []sql.IsolationLevel{sql.LevelReadCommitted, sql.LevelRepeatableRead, sql.LevelSnapshot, sql.LevelSerializable}
}

// inspect: no level of PostgreSQL shows what is not committed; what it is called is
// looked at all the same, for databases that only speak its protocol.
func (postgresql) inspect(ctx context.Context, conn *sql.Conn) error {
	var level string
	if err := conn.QueryRowContext(ctx, "SELECT current_setting('transaction_isolation')").Scan(&level); err != nil {
		return err
	}
	switch level {
	case "read uncommitted", "read committed", "repeatable read", "serializable":
		return nil
	}
	return fmt.Errorf("isolation level %q is none that this package knows", level)
}

func (postgresql) lax(ctx context.Context, conn *sql.Conn) (string, error) {
	for _, name := range []string{"fsync", "synchronous_commit"} {
		var value string
		if err := conn.QueryRowContext(ctx, "SELECT current_setting('"+name+"')").Scan(&value); err != nil {
			return "", err
		}
		if value == "off" {
			return name + " is off", nil
		}
	}
	return "", nil
}

// create holds a lock of its own: CREATE TABLE IF NOT EXISTS fails where another
// session does the same at the same time.
func (g postgresql) create(ctx context.Context, conn *sql.Conn, statements []string) error {
	tx, err := conn.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit there is nothing to roll back
	if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock(7383017742)"); err != nil {
		return err
	}
	if err := execAll(ctx, tx, statements); err != nil {
		return err
	}
	return tx.Commit()
}

func (postgresql) short(ctx context.Context, conn *sql.Conn, wait time.Duration, f func(q querier) error) error {
	tx, err := conn.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit there is nothing to roll back
	ms := strconv.FormatInt(max(wait.Milliseconds(), 1), 10)
	if _, err := tx.ExecContext(ctx, "SET LOCAL lock_timeout = "+ms); err != nil {
		return err
	}
	if err := f(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// fresh: under READ COMMITTED a statement sees what was committed when it began.
// The other levels see the database as it was when they began, and fail (40001)
// when they lock a row that was changed since.
func (postgresql) fresh(ctx context.Context, q querier, table, name string) (v int64, err error) {
	var level string
	query := "SELECT value, current_setting('transaction_isolation') FROM " + table + " WHERE name = $1"
	if err := q.QueryRowContext(ctx, query, name).Scan(&v, &level); err != nil {
		return 0, err
	}
	if level == "read committed" || level == "read uncommitted" {
		return v, nil
	}
	err = q.QueryRowContext(ctx, "SELECT value FROM "+table+" WHERE name = $1 FOR SHARE", name).Scan(&v)
	return v, err
}
