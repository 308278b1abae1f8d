// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package sqltx

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/internal/dbtest"
	"github.com/twostage/twostage/internal/sqltxtest"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/sqltx"
)

// server is a database of a kind, under one level of isolation.
type server struct {
	name    string
	dialect sqltx.Dialect
	level   sql.IsolationLevel
	open    func(t *testing.T, dsn string) *sql.DB // dsn: more parameters
}

// onEach runs a test for each database and level of isolation.
func onEach(t *testing.T, f func(t *testing.T, s server)) {
	onEachAt(t, []sql.IsolationLevel{sql.LevelReadCommitted, sql.LevelRepeatableRead, sql.LevelSerializable}, f)
}

// onEachKind runs a test for each database, under READ COMMITTED where there is a
// choice.
func onEachKind(t *testing.T, f func(t *testing.T, s server)) {
	onEachAt(t, []sql.IsolationLevel{sql.LevelReadCommitted}, f)
}

func onEachAt(t *testing.T, levels []sql.IsolationLevel, f func(t *testing.T, s server)) {
	all := []server{{name: "SQLite", dialect: sqltx.SQLite, open: func(t *testing.T, more string) *sql.DB {
		file := filepath.Join(t.TempDir(), "db")
		return openAt(t, "sqlite", "file:"+file+"?_pragma=journal_mode(WAL)&_pragma=synchronous(0)&_pragma=busy_timeout(2000)"+more)
	}}}
	add := func(name string, dialect sqltx.Dialect, level sql.IsolationLevel, start func(t testing.TB) (*dbtest.Database, bool), settings ...string) {
		all = append(all, server{name + " " + level.String(), dialect, level, func(t *testing.T, more string) *sql.DB {
			db, ok := start(t)
			if !ok {
				return nil
			}
			dsn := db.DSN
			for _, more := range append(settings, more) {
				if more != "" {
					mark := "?"
					if strings.Contains(dsn, mark) {
						mark = "&"
					}
					dsn += mark + more
				}
			}
			return openAt(t, db.Driver, dsn)
		}})
	}
	for _, level := range levels {
		add("PostgreSQL", sqltx.PostgreSQL, level, dbtest.PostgreSQL)
		add("MariaDB", sqltx.MySQL, level, dbtest.MariaDB)
		if level == sql.LevelRepeatableRead { // as MariaDB has it from 11.6 on
			add("MariaDB snapshots", sqltx.MySQL, level, dbtest.MariaDB, "innodb_snapshot_isolation=1")
		}
	}
	for _, s := range all {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			f(t, s)
		})
	}
}

func openAt(t *testing.T, driver, dsn string) *sql.DB {
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// shop is a database with work to do, and two processes that may do it.
type shop struct {
	*sqltxtest.Broker
	t      *testing.T
	db     *sql.DB
	d, far *sqltx.DB // two processes
	p      *client.TransactionProducer
}

// newShop is nil where the database cannot be had.
func newShop(t *testing.T, s server, opts ...sqltx.Option) *shop {
	db := s.open(t, "")
	if db == nil {
		return nil
	}
	w := &shop{Broker: sqltxtest.NewBroker(t), t: t, db: db}
	opts = append([]sqltx.Option{sqltx.WithLockWait(300 * time.Millisecond), sqltx.WithIsolation(s.level), sqltx.WithConsumer("g")}, opts...)
	for _, d := range []**sqltx.DB{&w.d, &w.far} {
		var err error
		if *d, err = sqltx.Open(t.Context(), db, s.dialect, opts...); err != nil {
			t.Fatal(err)
		}
	}
	w.exec("CREATE TABLE work (id INTEGER PRIMARY KEY, n INTEGER NOT NULL)")
	w.exec("INSERT INTO work VALUES (1, 0), (2, 0)")
	w.p = w.Producer(w.d.Check)
	return w
}

func (w *shop) exec(query string) {
	w.t.Helper()
	if _, err := w.db.ExecContext(w.t.Context(), query); err != nil {
		w.t.Fatalf("%s: %v", query, err)
	}
}

func (w *shop) number(query string) (n int) {
	w.t.Helper()
	if err := w.db.QueryRowContext(w.t.Context(), query).Scan(&n); err != nil {
		w.t.Fatalf("%s: %v", query, err)
	}
	return n
}

func (w *shop) run(fn func(ctx context.Context, tx *sql.Tx) error) (*client.TransactionResult, error) {
	return sqltx.Run(w.t.Context(), w.d, w.p, message.New("T", []byte("order")), fn)
}

func add(id int) func(ctx context.Context, tx *sql.Tx) error {
	return func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, fmt.Sprint("UPDATE work SET n = n + 1 WHERE id = ", id))
		return err
	}
}

func (w *shop) wantCheck(d *sqltx.DB, m *message.Received, want client.Outcome) {
	w.t.Helper()
	if got := d.Check(w.t.Context(), m); got != want {
		w.t.Errorf("a check says %v, want %v", got, want)
	}
}

// overdue is the half message as another process sees it whose clock is ahead of
// the limit: with no immunity.
func overdue(m *message.Received) *message.Received {
	late := *m
	late.Properties = message.ParseProperties(m.Properties.Append(nil))
	late.Properties[message.PropertyCheckImmunityInSeconds] = "0"
	return &late
}
