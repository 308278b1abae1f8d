// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package sqltx

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/message"
)

func wantError(t *testing.T, err error, part string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), part) {
		t.Errorf("error %v, want one with %q", err, part)
	}
}

func wantCheck(t *testing.T, p *process, m *message.Received, want client.Outcome) {
	t.Helper()
	if got := p.Check(t.Context(), m); got != want {
		t.Errorf("a check says %v, want %v", got, want)
	}
}

// A process died between the half message and the commit.
func TestCheckRefusesAfterTheLimit(t *testing.T) {
	w := newWorld(t)
	p, other := w.process(), w.process()
	if _, err := p.run(t.Context(), func(context.Context, *sql.Tx) error { return errWork }); !errors.Is(err, errWork) {
		t.Fatal(err)
	}
	half := w.Half()
	other.clock = 59 * time.Second
	wantCheck(t, other, half, client.Unknown)
	if n := w.rows(p, "sqltx_marker"); n != 0 {
		t.Errorf("%d markers before the limit", n)
	}
	other.clock = 61 * time.Second
	wantCheck(t, other, half, client.Rollback)
	wantCheck(t, p, half, client.Rollback) // by the row of the other, though its own clock says before
	if n := w.rows(p, "sqltx_marker"); n != 1 {
		t.Errorf("%d markers, want the refusal", n)
	}
}

// While the function runs, its process never refuses; another one does after the
// limit, and then the function's transaction fails.
func TestCheckWhileTheFunctionRuns(t *testing.T) {
	w := newWorld(t)
	p, other := w.process(), w.process()
	p.clock, other.clock = -2*time.Minute, 0 // for the other the limit is over
	res, err := p.run(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		p.clock = 0
		wantCheck(t, p, w.Half(), client.Unknown)
		wantCheck(t, other, w.Half(), client.Rollback)
		wantCheck(t, p, w.Half(), client.Unknown)
		return writes("a")(ctx, tx)
	})
	if !errors.Is(err, ErrRefused) || res.Outcome != client.Rollback {
		t.Errorf("%+v, %v", res, err)
	}
	if w.work(p) != 0 || !slices.Equal(w.Told(), []string{"rollback"}) {
		t.Errorf("%d rows, told %q", w.work(p), w.Told())
	}
	wantCheck(t, p, w.Half(), client.Rollback)
}

// The snapshot that the function reads from is older than the refusal.
func TestCheckWhileTheFunctionReads(t *testing.T) {
	w := newWorld(t)
	p, other := w.process(), w.process()
	p.clock = -2 * time.Minute
	_, err := p.run(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		var n int
		if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM sqltx_marker").Scan(&n); err != nil {
			t.Error(err)
		}
		wantCheck(t, other, w.Half(), client.Rollback)
		return nil
	})
	if !errors.Is(err, ErrRefused) {
		t.Error(err)
	}
}

// A transaction that has written holds SQLite's lock: nobody can refuse it.
func TestCheckWaitsForTheLockAndNotForLong(t *testing.T) {
	w := newWorld(t)
	p, other := w.process(), w.process()
	p.clock = -2 * time.Minute
	_, err := p.run(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		if err := writes("a")(ctx, tx); err != nil {
			t.Error(err)
		}
		wantCheck(t, other, w.Half(), client.Unknown)
		return nil
	})
	if err != nil || w.work(p) != 1 {
		t.Errorf("%v, %d rows", err, w.work(p))
	}
	wantCheck(t, other, w.Half(), client.Commit)
	var ms int
	if err := other.db.QueryRow("PRAGMA busy_timeout").Scan(&ms); err != nil || ms != 2000 {
		t.Errorf("busy_timeout is %d afterwards, %v", ms, err)
	}
}

func TestCheckOfWhatIsNotRuns(t *testing.T) {
	w := newWorld(t)
	p := w.process()
	if _, err := p.run(t.Context(), writes("a")); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(message.Properties){
		"no key":              func(p message.Properties) { delete(p, message.PropertyUniqueKey) },
		"no beginning":        func(p message.Properties) { delete(p, PropertyBegan) },
		"no immunity":         func(p message.Properties) { delete(p, message.PropertyCheckImmunityInSeconds) },
		"another database":    func(p message.Properties) { p[PropertyDatabase] = "another" },
		"another transaction": func(p message.Properties) { p[PropertyBegan] = "12345" },
	} {
		t.Run(name, func(t *testing.T) {
			m := *w.Half()
			m.Properties = message.ParseProperties(m.Properties.Append(nil))
			spoil(m.Properties)
			wantCheck(t, p, &m, client.Unknown)
		})
	}
	if n := w.rows(p, "sqltx_marker"); n != 1 {
		t.Errorf("%d markers", n)
	}
}

func TestCheckWithoutTheDatabase(t *testing.T) {
	w := newWorld(t)
	p := w.process()
	if _, err := p.run(t.Context(), writes("a")); err != nil {
		t.Fatal(err)
	}
	gone := w.process()
	if err := gone.db.Close(); err != nil {
		t.Fatal(err)
	}
	wantCheck(t, gone, w.Half(), client.Unknown)
}

// Processes of one producer group that have a database each answer for their own.
func TestCheckOfAnotherDatabase(t *testing.T) {
	w := newWorld(t)
	p := w.process()
	there := &world{Broker: w.Broker, t: t, file: w.file + "2"}
	other := there.process()
	if _, err := p.run(t.Context(), writes("a")); err != nil {
		t.Fatal(err)
	}
	other.clock = 2 * time.Minute
	wantCheck(t, other, w.Half(), client.Unknown)
	wantCheck(t, p, w.Half(), client.Commit)
	if n := w.rows(other, "sqltx_marker"); n != 0 {
		t.Errorf("%d refusals", n)
	}
}

// The time is over, and the function goes on: it runs here, so nothing is refused
// yet, and it can't commit.
func TestCheckWhileTheFunctionRunsTooLong(t *testing.T) {
	w := newWorld(t)
	p := w.process(WithLimit(20 * time.Millisecond))
	res, err := p.run(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		if err := writes("a")(ctx, tx); err != nil {
			t.Error(err)
		}
		<-ctx.Done()
		p.clock = 2 * time.Minute
		wantCheck(t, p, w.Half(), client.Unknown)
		return nil
	})
	if !errors.Is(err, context.DeadlineExceeded) || res.Outcome != client.Rollback || w.work(p) != 0 {
		t.Errorf("%+v, %v, %d rows", res, err, w.work(p))
	}
	wantCheck(t, p, w.Half(), client.Rollback)
}
