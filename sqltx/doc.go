// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package sqltx gives a database transaction and a message one outcome.
//
//   - [Run] sends a message that consumers see if and only if the function's
//     transaction is committed.
//   - [Once] consumes a message exactly once in effect.
//   - An [Outbox] sends what is written in a transaction after its commit, in order.
//
// It knows SQLite, PostgreSQL, and MySQL with MariaDB through database/sql, and
// imports no driver.
//
//	d, err := sqltx.Open(ctx, db, sqltx.PostgreSQL)
//	p, err := client.NewTransactionProducer("orders", d.Check)
//	...
//	_, err = sqltx.Run(ctx, d, p, message.New("orders", body), func(ctx context.Context, tx *sql.Tx) error {
//		_, err := tx.ExecContext(ctx, "INSERT INTO orders ...")
//		return err
//	})
//
// # What it owns in the database
//
// Four tables, sqltx_marker, sqltx_consumed, sqltx_outbox and sqltx_state, whose
// names have a prefix that can be chosen. Their columns, how the fence works and
// why, and which function is for what: docs/sqltx.md.
//
// # Invariants
//
//   - A marker is written by the transaction that it stands for, or by a check
//     that refuses it; its primary key lets only one of the two be committed.
//   - Rollback is answered only when the transaction can't be committed any more,
//     Commit only when it is.
//   - A row is deleted only after the horizon in the database is above it, and who
//     writes a row below the horizon does not commit.
//   - Of the forwarders of an outbox one at a time holds a lease; nothing is deleted
//     from it that was not sent.
//   - No clock decides an outcome. Clocks decide when a check stops to say Unknown,
//     and when rows are old enough to go.
//
// # Locks
//
// DB.mu is held for bookkeeping only. In the database, rows are locked in the
// order of the application's own, then the marker or the record of consumption
// (Once takes that first), then a row of the state table, right before the COMMIT.
// Claim takes its two when it is called.
//
// # What it refuses
//
// Databases whose isolation level shows what is not committed, SQLite without a
// rollback journal, and MySQL without autocommit; messages that have a unique key
// already; to answer for transactions that Run did not begin.
package sqltx
