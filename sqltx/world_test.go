// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package sqltx

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
	_ "modernc.org/sqlite"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/internal/sqltxtest"
	"github.com/twostage/twostage/message"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// process is what a process has: its own connections to a database that others
// have open as well, and its own clock.
type process struct {
	*DB
	p     *client.TransactionProducer
	clock time.Duration // added to the time
}

// world is a broker, a SQLite file, and the processes that use them.
type world struct {
	*sqltxtest.Broker
	t    *testing.T
	file string
}

func newWorld(t *testing.T) *world {
	return &world{Broker: sqltxtest.NewBroker(t), t: t, file: filepath.Join(t.TempDir(), "db")}
}

// open connects to the file.
func (w *world) open(pragmas string) *sql.DB {
	w.t.Helper()
	db, err := sql.Open("sqlite", "file:"+w.file+"?_pragma=journal_mode(WAL)&_pragma=synchronous(0)&_pragma=busy_timeout(2000)"+pragmas)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := db.Close(); err != nil {
			w.t.Error(err)
		}
	})
	return db
}

// process starts one.
func (w *world) process(opts ...Option) *process {
	w.t.Helper()
	return w.processOn(w.open(""), opts...)
}

func (w *world) processOn(db *sql.DB, opts ...Option) *process {
	w.t.Helper()
	d, err := Open(w.t.Context(), db, SQLite, append([]Option{WithLockWait(50 * time.Millisecond), WithConsumer("g")}, opts...)...)
	if err != nil {
		w.t.Fatal(err)
	}
	proc := &process{DB: d}
	d.now = func() time.Time { return time.Now().Add(proc.clock) }
	proc.p = w.Producer(d.Check)
	if _, err := db.ExecContext(w.t.Context(), "CREATE TABLE IF NOT EXISTS work (what TEXT NOT NULL)"); err != nil {
		w.t.Fatal(err)
	}
	return proc
}

func (p *process) run(ctx context.Context, fn func(ctx context.Context, tx *sql.Tx) error) (*client.TransactionResult, error) {
	return Run(ctx, p.DB, p.p, message.New("T", []byte("order")), fn)
}

// writes inserts a row of work.
func writes(what string) func(ctx context.Context, tx *sql.Tx) error {
	return func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO work VALUES (?)", what)
		return err
	}
}

// work is how many rows of work are committed.
func (w *world) work(p *process) (n int) {
	w.t.Helper()
	if err := p.db.QueryRow("SELECT COUNT(*) FROM work").Scan(&n); err != nil {
		w.t.Fatal(err)
	}
	return n
}

// rows counts the rows of a table.
func (w *world) rows(p *process, table string) (n int) {
	w.t.Helper()
	if err := p.db.QueryRow("SELECT COUNT(*) FROM " + table).Scan(&n); err != nil {
		w.t.Fatal(err)
	}
	return n
}
