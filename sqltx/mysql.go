// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package sqltx

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// mysql is MySQL and MariaDB, InnoDB: an INSERT of a key that another transaction
// has inserted waits for the end of that one, for innodb_lock_wait_timeout, at
// every level. A deadlock rolls a whole transaction back, DDL commits it; what
// comes after either is committed by itself.
type mysql struct{}

func (mysql) types() columns {
	return columns{
		word: func(n int) string {
			return "VARCHAR(" + strconv.Itoa(n) + ") CHARACTER SET ascii COLLATE ascii_bin"
		},
		bytes: "LONGBLOB", counter: "BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY", tableOptions: " ENGINE=InnoDB",
	}
}

func (mysql) insertNew(table, columns, values string) string {
	return "INSERT IGNORE INTO " + table + " (" + columns + ") VALUES (" + values + ")"
}

func (mysql) placeholder(int) string { return "?" }

// commit is a statement: when its ctx ends, the driver closes the connection. The
// driver's own Commit waits for an answer as long as the connection lasts. Of tx a
// ROLLBACK is left, which database/sql sends when ctx ends, and finds nothing.
func (mysql) commit(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, "COMMIT")
	return err
}

func (mysql) rollback(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, "ROLLBACK")
	return err
}

func (mysql) clock() string { return "SELECT CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)" }

func (mysql) levels() []sql.IsolationLevel {
	return []sql.IsolationLevel{sql.LevelReadCommitted, sql.LevelRepeatableRead, sql.LevelSerializable}
}

// inspect looks at the default level whatever Run uses: checks read under it.
func (mysql) inspect(ctx context.Context, conn *sql.Conn) error {
	var autocommit bool
	if err := conn.QueryRowContext(ctx, "SELECT @@SESSION.autocommit").Scan(&autocommit); err != nil {
		return fmt.Errorf("autocommit: %w", err)
	}
	if !autocommit {
		return errors.New("autocommit is off: each connection would go on reading from its first snapshot; switch it on")
	}
	var name, value string
	err := conn.QueryRowContext(ctx, "SHOW VARIABLES WHERE Variable_name IN ('transaction_isolation', 'tx_isolation')").Scan(&name, &value)
	if err != nil {
		return fmt.Errorf("the isolation level: %w", err)
	}
	switch strings.ReplaceAll(strings.ToUpper(value), " ", "-") {
	case "READ-COMMITTED", "REPEATABLE-READ", "SERIALIZABLE":
		return nil
	}
	return fmt.Errorf("%s is %s: what is not committed must not be seen; set READ-COMMITTED or REPEATABLE-READ", name, value)
}

func (mysql) lax(ctx context.Context, conn *sql.Conn) (string, error) {
	var flush, binlog, sync int64
	err := conn.QueryRowContext(ctx, "SELECT @@GLOBAL.innodb_flush_log_at_trx_commit, @@GLOBAL.log_bin, @@GLOBAL.sync_binlog").Scan(&flush, &binlog, &sync)
	if err != nil {
		return "", err
	}
	return unsynced(flush, binlog != 0, sync), nil
}

// unsynced names what is not written to disk before a commit is answered. With a
// binary log, recovery rolls back what is missing there.
func unsynced(flush int64, binlog bool, sync int64) string {
	switch {
	case flush != 1:
		return fmt.Sprintf("innodb_flush_log_at_trx_commit is %d, not 1", flush)
	case binlog && sync != 1:
		return fmt.Sprintf("sync_binlog is %d, not 1", sync)
	}
	return ""
}

// create: MySQL has no transactions over DDL, and serializes it by itself.
func (mysql) create(ctx context.Context, conn *sql.Conn, statements []string) error {
	return execAll(ctx, conn, statements)
}

// short takes the default level: READ COMMITTED is refused where the binary log
// has statements. Its reads lock, and so see what is committed.
func (mysql) short(ctx context.Context, conn *sql.Conn, wait time.Duration, f func(q querier) error) error {
	var former int64
	if err := conn.QueryRowContext(ctx, "SELECT @@SESSION.innodb_lock_wait_timeout").Scan(&former); err != nil {
		return err
	}
	seconds := max((wait+time.Second-1)/time.Second, 1)
	if err := setLockWait(ctx, conn, int64(seconds)); err != nil {
		return err
	}
	over := false
	defer func() {
		after, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkSlack)
		defer cancel()
		if !over {
			if _, err := conn.ExecContext(after, "ROLLBACK"); err != nil {
				discard(conn)
				return
			}
		}
		if err := setLockWait(after, conn, former); err != nil {
			discard(conn)
		}
	}()
	// Statements, and no sql.Tx: see commit.
	if _, err := conn.ExecContext(ctx, "START TRANSACTION"); err != nil {
		return err
	}
	if err := f(conn); err != nil {
		return err
	}
	_, err := conn.ExecContext(ctx, "COMMIT")
	over = err == nil
	return err
}

func setLockWait(ctx context.Context, conn *sql.Conn, seconds int64) error {
	_, err := conn.ExecContext(ctx, "SET SESSION innodb_lock_wait_timeout = "+strconv.FormatInt(seconds, 10))
	return err
}

// fresh: a locking read sees what is committed, at every level.
func (mysql) fresh(ctx context.Context, q querier, table, name string) (v int64, err error) {
	err = q.QueryRowContext(ctx, "SELECT value FROM "+table+" WHERE name = ? LOCK IN SHARE MODE", name).Scan(&v)
	return v, err
}
