// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package sqltx

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/twostage/twostage/client"
)

// commits is a driver.Connector whose COMMITs go through a function.
type commits struct {
	driver driver.Driver
	dsn    string
	end    func(tx driver.Tx) error // in place of tx.Commit

	executed func(query string) error // fails what has been executed, where it is not nil
}

func (c *commits) Connect(context.Context) (driver.Conn, error) {
	conn, err := c.driver.Open(c.dsn)
	if err != nil {
		return nil, err
	}
	return &commitConn{conn.(sqlConn), c}, nil
}

// sqlConn is what database/sql uses of the driver.
type sqlConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ExecerContext
	driver.QueryerContext
}

type commitConn struct {
	sqlConn
	of *commits
}

func (c *commitConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	res, err := c.sqlConn.ExecContext(ctx, query, args)
	if err == nil && c.of.executed != nil {
		err = c.of.executed(query)
	}
	return res, err
}

func (c *commitConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	tx, err := c.sqlConn.BeginTx(ctx, opts)
	return &commitTx{tx, c.of}, err
}

type commitTx struct {
	driver.Tx
	of *commits
}

func (tx *commitTx) Commit() error { return tx.of.end(tx.Tx) }

func (c *commits) Driver() driver.Driver { return c.driver }

var errLost = errors.New("the connection is lost")

// What becomes of a Run whose COMMIT has no answer is what the database says, now
// or when a check asks.
func TestRunWhoseCommitIsNotAnswered(t *testing.T) {
	for name, c := range map[string]struct {
		end     func(w *world, other *process, tx driver.Tx) error
		outcome client.Outcome
		err     error
		check   client.Outcome // afterwards, when the limit is over
		work    int
	}{
		"it is committed": {func(_ *world, _ *process, tx driver.Tx) error {
			return errors.Join(tx.Commit(), errLost)
		}, client.Commit, nil, client.Commit, 1},
		"it is rolled back": {func(_ *world, _ *process, tx driver.Tx) error {
			return errors.Join(tx.Rollback(), errLost)
		}, client.Rollback, errLost, client.Rollback, 0}, // Run has refused it itself
		"it is rolled back, and refused": {func(w *world, other *process, tx driver.Tx) error {
			err := errors.Join(tx.Rollback(), errLost)
			wantCheck(w.t, other, w.Half(), client.Rollback)
			return err
		}, client.Rollback, ErrRefused, client.Rollback, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			other := w.process()
			other.clock = 2 * time.Minute
			conn := &commits{driver: other.db.Driver(), dsn: "file:" + w.file + "?_pragma=busy_timeout(2000)", end: driver.Tx.Commit}
			db := sql.OpenDB(conn)
			defer db.Close() //nolint:errcheck // the file is what counts
			p := w.processOn(db)
			conn.end = func(tx driver.Tx) error { return c.end(w, other, tx) }
			res, err := p.run(t.Context(), writes("a"))
			if res == nil || res.Outcome != c.outcome || !errors.Is(err, c.err) ||
				len(w.Told()) > 1 || !slices.Contains(append(w.Told(), "unknown"), c.outcome.String()) { // "unknown" is not waited for
				t.Errorf("%+v, %v; told %q", res, err, w.Told())
			}
			wantCheck(t, other, w.Half(), c.check)
			if n := w.work(other); n != c.work {
				t.Errorf("%d rows", n)
			}
		})
	}
}

// The end of ctx does not break off a commit that is under way.
func TestRunCommitsAlthoughItsTimeIsOver(t *testing.T) {
	w := newWorld(t)
	conn := &commits{driver: w.open("").Driver(), dsn: "file:" + w.file + "?_pragma=busy_timeout(2000)", end: driver.Tx.Commit}
	db := sql.OpenDB(conn)
	defer db.Close() //nolint:errcheck // the file is what counts
	p := w.processOn(db)
	ctx, cancel := context.WithCancel(t.Context())
	conn.end = func(tx driver.Tx) error {
		cancel()
		return tx.Commit()
	}
	if res, err := p.run(ctx, writes("a")); err != nil || res.Outcome != client.Commit || w.work(p) != 1 {
		t.Errorf("%+v, %v, %d rows", res, err, w.work(p))
	}
}

// Where a commit is not answered, and whoever writes elsewhere keeps the refusal
// away, nobody knows, until a check has refused.
func TestRunWhoseCommitCannotBeRefused(t *testing.T) {
	w := newWorld(t)
	other := w.process()
	writer, err := other.db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close() //nolint:errcheck // it goes back into the pool
	conn := &commits{driver: other.db.Driver(), dsn: "file:" + w.file + "?_pragma=busy_timeout(2000)", end: driver.Tx.Commit}
	db := sql.OpenDB(conn)
	defer db.Close() //nolint:errcheck // the file is what counts
	p := w.processOn(db)
	conn.end = func(tx driver.Tx) error {
		err := errors.Join(tx.Rollback(), errLost)
		if _, err := writer.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
			t.Error(err)
		}
		return err
	}
	res, err := p.run(t.Context(), writes("a"))
	if !errors.Is(err, ErrUnsure) || !errors.Is(err, errLost) || res.Outcome != client.Unknown {
		t.Errorf("%+v, %v", res, err)
	}
	if _, err := writer.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	other.clock = 2 * time.Minute
	wantCheck(t, other, w.Half(), client.Rollback)
}

// Who panics after the database was told to commit says nothing of the outcome: it
// may be committed.
func TestRunGoesOnWithAPanicOfTheCommit(t *testing.T) {
	w := newWorld(t)
	other := w.process()
	conn := &commits{driver: other.db.Driver(), dsn: "file:" + w.file + "?_pragma=busy_timeout(2000)", end: driver.Tx.Commit}
	db := sql.OpenDB(conn)
	defer db.Close() //nolint:errcheck // the file is what counts
	p := w.processOn(db)
	conn.end = func(tx driver.Tx) error {
		if err := tx.Commit(); err != nil {
			t.Error(err)
		}
		panic(errLost)
	}
	func() {
		defer func() {
			if v := recover(); v != errLost {
				t.Errorf("the panic was %v", v)
			}
		}()
		_, _ = p.run(t.Context(), writes("a"))
	}()
	if slices.Contains(w.Told(), "rollback") || w.work(other) != 1 {
		t.Errorf("%d rows, told %q", w.work(other), w.Told())
	}
	wantCheck(t, other, w.Half(), client.Commit)
}

// A BEGIN that took effect although it failed, as when its ctx ends, leaves no
// transaction on a connection that others get.
func TestShortLeavesNoTransactionBehind(t *testing.T) {
	w := newWorld(t)
	other := w.process()
	conn := &commits{driver: other.db.Driver(), dsn: "file:" + w.file + "?_pragma=busy_timeout(50)", end: driver.Tx.Commit}
	db := sql.OpenDB(conn)
	defer db.Close() //nolint:errcheck // the file is what counts
	p := w.processOn(db)
	for _, failing := range []string{"BEGIN IMMEDIATE", "COMMIT"} {
		conn.executed = func(query string) error {
			if query == failing {
				return context.Canceled
			}
			return nil
		}
		if err := p.shortly(t.Context(), func(querier) error { return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", failing, err)
		}
		conn.executed = nil
		if _, err := p.db.ExecContext(t.Context(), "INSERT INTO work VALUES ('a')"); err != nil {
			t.Errorf("%s: %v", failing, err)
		}
	}
	if n := w.work(other); n != 2 {
		t.Errorf("%d rows of 2 are committed", n)
	}
}

// overslept is a ctx whose deadline is over, and that has not noticed yet.
type overslept struct{ context.Context }

func (overslept) Deadline() (time.Time, bool) { return time.Now(), true }

func TestNothingIsCommittedAfterTheDeadline(t *testing.T) {
	w := newWorld(t)
	p := w.process()
	done := work{fn: writes("a")}
	if err := p.within(overslept{t.Context()}, &done); !errors.Is(err, context.DeadlineExceeded) || done.asked || w.work(p) != 0 {
		t.Errorf("%v, asked %v, %d rows", err, done.asked, w.work(p))
	}
}
