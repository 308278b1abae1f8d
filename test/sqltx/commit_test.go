// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package sqltx

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/internal/dbtest"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/sqltx"
	"github.com/twostage/twostage/test/rig"
)

// addressed finds the address in a DSN.
var addressed = regexp.MustCompile(`127\.0\.0\.1:\d+`)

// A network that swallows the COMMIT, or its answer, does not hold up Run: it goes
// by the database, or says that nobody knows.
func TestCommitThatNobodyAnswers(t *testing.T) {
	for dialect, open := range map[sqltx.Dialect]func(testing.TB) (*dbtest.Database, bool){sqltx.PostgreSQL: dbtest.PostgreSQL, sqltx.MySQL: dbtest.MariaDB} {
		for _, commits := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v/it arrives %v", dialect, commits), func(t *testing.T) {
				t.Parallel()
				var h *hole
				w := newShop(t, server{dialect: dialect, open: func(t *testing.T, _ string) *sql.DB {
					d, ok := open(t)
					if !ok {
						return nil
					}
					addr := addressed.FindString(d.DSN)
					h = newHole(t, addr, commits)
					return openAt(t, d.Driver, strings.Replace(d.DSN, addr, h.Addr().String(), 1))
				}}, sqltx.WithCommitWait(500*time.Millisecond))
				if w == nil {
					return
				}
				h.armed.Store(true)
				type end struct {
					res *client.TransactionResult
					err error
				}
				ended := make(chan end, 1)
				go func() {
					res, err := sqltx.Run(context.WithoutCancel(t.Context()), w.d, w.p, message.New("T", []byte("order")), add(1))
					ended <- end{res, err}
				}()
				var e end
				select {
				case e = <-ended:
				case <-time.After(20 * time.Second):
					h.cut() // lets it go on
					<-ended
					t.Fatal("Run has waited for 20 s")
				}
				if commits {
					if e.err != nil || e.res.Outcome != client.Commit || w.number("SELECT n FROM work WHERE id = 1") != 1 {
						t.Errorf("%+v, %v", e.res, e.err)
					}
					return
				}
				if !errors.Is(e.err, sqltx.ErrUnsure) || e.res.Outcome != client.Unknown || !strings.Contains(e.err.Error(), "no answer for 500ms") {
					t.Errorf("%+v, %v", e.res, e.err)
				}
				m := overdue(w.Half())
				w.wantCheck(w.d, m, client.Unknown) // the server has the transaction, and its lock
				h.cut()
				rig.Poll(t, "the server's rollback", func() error {
					if got := w.d.Check(t.Context(), m); got != client.Rollback {
						return fmt.Errorf("a check says %v", got)
					}
					return nil
				})
			})
		}
	}
}

// A COMMIT that the database refuses is a rollback, and Run knows it.
func TestCommitThatTheDatabaseRefuses(t *testing.T) {
	onEachKind(t, func(t *testing.T, s server) {
		open := s.open
		switch s.dialect {
		case sqltx.SQLite:
			s.open = func(t *testing.T, _ string) *sql.DB { return open(t, "&_pragma=foreign_keys(1)") }
		case sqltx.MySQL:
			return // it has no deferred constraints
		}
		w := newShop(t, s)
		if w == nil {
			return
		}
		w.exec("CREATE TABLE child (id INTEGER REFERENCES work(id) DEFERRABLE INITIALLY DEFERRED)")
		res, err := w.run(func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, "INSERT INTO child VALUES (77)")
			return err
		})
		if err == nil || errors.Is(err, sqltx.ErrUnsure) || res.Outcome != client.Rollback || !slices.Equal(w.Told(), []string{"rollback"}) {
			t.Errorf("%+v, %v, told %q", res, err, w.Told())
		}
		w.wantCheck(w.far, w.Half(), client.Rollback)
		if n := w.number("SELECT COUNT(*) FROM child"); n != 0 {
			t.Errorf("%d rows", n)
		}
	})
}
