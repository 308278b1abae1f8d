// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package sqltx

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/sqltx"
)

func TestRunAtEachLevel(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		w := newShop(t, s)
		if w == nil {
			return
		}
		res, err := w.run(add(1))
		if err != nil || res.Outcome != client.Commit || w.number("SELECT n FROM work WHERE id = 1") != 1 {
			t.Errorf("%+v, %v", res, err)
		}
		w.wantCheck(w.far, w.Half(), client.Commit)
		failed := errors.New("the work fails")
		if _, err := w.run(func(ctx context.Context, tx *sql.Tx) error { return errors.Join(add(1)(ctx, tx), failed) }); !errors.Is(err, failed) {
			t.Error(err)
		}
		w.wantCheck(w.far, w.Half(), client.Unknown)
		w.wantCheck(w.far, overdue(w.Half()), client.Rollback)
		w.wantCheck(w.far, w.Half(), client.Rollback)
		if n := w.number("SELECT n FROM work WHERE id = 1"); n != 1 || !slices.Equal(w.Told(), []string{"commit", "rollback"}) {
			t.Errorf("%d, told %q", n, w.Told())
		}
	})
}

// The function's transaction is older than the refusal, and has read and, where
// several may write, written.
func TestRefusedWhileTheFunctionRuns(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		w := newShop(t, s)
		if w == nil {
			return
		}
		res, err := w.run(func(ctx context.Context, tx *sql.Tx) error {
			var n int
			if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM sqltx_marker").Scan(&n); err != nil {
				t.Error(err)
			}
			if s.dialect != sqltx.SQLite {
				if err := add(1)(ctx, tx); err != nil {
					t.Error(err)
				}
			}
			if s.dialect == sqltx.MySQL && s.level == sql.LevelSerializable {
				// what was counted is locked
				w.wantCheck(w.far, overdue(w.Half()), client.Unknown)
				return nil
			}
			w.wantCheck(w.far, overdue(w.Half()), client.Rollback)
			w.wantCheck(w.d, overdue(w.Half()), client.Unknown) // it runs here
			return nil
		})
		if s.dialect == sqltx.MySQL && s.level == sql.LevelSerializable {
			if err != nil {
				t.Error(err)
			}
			w.wantCheck(w.far, w.Half(), client.Commit)
			return
		}
		if !errors.Is(err, sqltx.ErrRefused) || res.Outcome != client.Rollback || w.number("SELECT n FROM work WHERE id = 1") != 0 {
			t.Errorf("%+v, %v", res, err)
		}
		w.wantCheck(w.d, w.Half(), client.Rollback)
	})
}

// half makes a half message of a transaction that never came to its marker.
func (w *shop) half() (m *message.Received, began int64) {
	w.t.Helper()
	failed := errors.New("the work fails")
	if _, err := w.run(func(context.Context, *sql.Tx) error { return failed }); !errors.Is(err, failed) {
		w.t.Fatal(err)
	}
	m = w.Half()
	began, err := strconv.ParseInt(m.Property(sqltx.PropertyBegan), 10, 64)
	if err != nil {
		w.t.Fatal(err)
	}
	return overdue(m), began
}

// A marker that is written and not committed: a check waits, but not for long, and
// then goes by what became of it.
func TestCheckOfAnOpenMarker(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		w := newShop(t, s)
		if w == nil {
			return
		}
		for _, commits := range []bool{true, false} {
			m, began := w.half()
			tx, err := w.db.BeginTx(t.Context(), &sql.TxOptions{Isolation: s.level})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tx.Exec(fmt.Sprintf("INSERT INTO sqltx_marker (id, verdict, began) VALUES ('%s', 1, %d)", m.UniqueKey(), began)); err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			w.wantCheck(w.far, m, client.Unknown)
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("the check took %v", took)
			}
			var waited sync.WaitGroup
			waited.Go(func() { // this one may see the end, or not
				if got := w.far.Check(t.Context(), m); got == client.Rollback && commits || got == client.Commit && !commits {
					t.Errorf("a check that waited says %v, the transaction commits: %v", got, commits)
				}
			})
			want, end := client.Commit, tx.Commit
			if !commits {
				want, end = client.Rollback, tx.Rollback
			}
			if err := end(); err != nil {
				t.Fatal(err)
			}
			waited.Wait()
			w.wantCheck(w.far, m, want)
		}
	})
}

// Many checks and the transaction itself at the same time: one of the two wins, and
// all say which.
func TestOneVerdict(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		w := newShop(t, s)
		if w == nil {
			return
		}
		for i := range 6 {
			var checks sync.WaitGroup
			var mu sync.Mutex
			said := map[client.Outcome]int{}
			res, err := w.run(func(ctx context.Context, tx *sql.Tx) error {
				m := overdue(w.Half())
				for range 4 {
					checks.Go(func() {
						got := w.far.Check(t.Context(), m)
						mu.Lock()
						said[got]++
						mu.Unlock()
					})
				}
				for range i { // the checks begin earlier or later than the marker
					w.number("SELECT COUNT(*) FROM work")
				}
				return add(1)(ctx, tx)
			})
			checks.Wait()
			if (err == nil) != (res.Outcome == client.Commit) || res.Outcome == client.Unknown {
				t.Errorf("%+v, %v", res, err)
			}
			if res.Outcome == client.Commit && said[client.Rollback] > 0 || res.Outcome == client.Rollback && said[client.Commit] > 0 {
				t.Errorf("the outcome is %v, %v; checks say %v", res.Outcome, err, said)
			}
			want := res.Outcome
			w.wantCheck(w.far, overdue(w.Half()), want)
		}
		commits := 0
		for _, told := range w.Told() {
			if told == "commit" {
				commits++
			}
		}
		if n := w.number("SELECT n FROM work WHERE id = 1"); n != commits {
			t.Errorf("%d in the database, %d commits told", n, commits)
		}
	})
}

// A refusal that is cleaned away while the function's transaction stands still must
// not let it commit, though its snapshot is from before the cleaning.
func TestBelowTheHorizonAtEachLevel(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		w := newShop(t, s)
		if w == nil {
			return
		}
		short, err := sqltx.Open(t.Context(), w.db, s.dialect, sqltx.WithRetention(time.Nanosecond), sqltx.WithLockWait(300*time.Millisecond))
		if err != nil {
			t.Fatal(err)
		}
		res, err := w.run(func(ctx context.Context, tx *sql.Tx) error {
			if s.dialect != sqltx.MySQL || s.level != sql.LevelSerializable {
				var n int // the snapshot
				if err := tx.QueryRowContext(ctx, "SELECT value FROM sqltx_state WHERE name = 'marker_horizon'").Scan(&n); err != nil || n != 0 {
					t.Error(n, err)
				}
			}
			w.wantCheck(w.far, overdue(w.Half()), client.Rollback)
			for try, cleaned := 0, int64(0); cleaned == 0; try++ { // until a millisecond is over
				if cleaned, err = short.Clean(ctx); err != nil || try == 1000 {
					t.Fatalf("%d cleaned, %v", cleaned, err)
				}
			}
			return nil
		})
		if err == nil || res.Outcome != client.Rollback {
			t.Errorf("%+v, %v", res, err)
		}
		w.wantCheck(w.d, overdue(w.Half()), client.Unknown)
		if n := w.number("SELECT COUNT(*) FROM sqltx_marker"); n != 0 {
			t.Errorf("%d markers", n)
		}
	})
}
