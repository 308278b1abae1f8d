// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package sqltx

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/sqltx"
)

func received(key string) *message.Received {
	m := &message.Received{Message: *message.New("T", []byte("x")), BornTime: time.Now(), StoreHost: netip.MustParseAddrPort("127.0.0.1:10911")}
	m.SetUniqueKey(key)
	return m
}

// Duplicates that come at the same time wait for each other; one of them works,
// also when the first fails.
func TestOnceAtEachLevel(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		w := newShop(t, s)
		if w == nil {
			return
		}
		var calls atomic.Int32
		var all sync.WaitGroup
		for i := range 4 {
			d := []*sqltx.DB{w.d, w.far}[i%2]
			all.Go(func() {
				var err error
				for range 20 { // as a consumer that gets it again after an error
					err = sqltx.Once(t.Context(), d, received("K"), func(ctx context.Context, tx *sql.Tx) error {
						if calls.Add(1) == 1 {
							return errors.Join(add(1)(ctx, tx), errors.New("the first fails"))
						}
						return add(1)(ctx, tx)
					})
					if err == nil {
						return
					}
				}
				t.Errorf("no end: %v", err)
			})
		}
		all.Wait()
		if n := w.number("SELECT n FROM work WHERE id = 1"); n != 1 || calls.Load() < 2 {
			t.Errorf("done %d times in %d calls", n, calls.Load())
		}
		for _, key := range []string{"k", "K ", "Ключ"} {
			if err := sqltx.Once(t.Context(), w.d, received(key), add(2)); err != nil {
				t.Error(err)
			}
		}
		if n := w.number("SELECT n FROM work WHERE id = 2"); n != 3 {
			t.Errorf("%d of 3 other messages done", n)
		}
	})
}

// What ends a transaction without the driver's noticing must not leave a marker,
// which would be committed by itself, nor have the message committed.
func TestATransactionThatEndsInside(t *testing.T) {
	onEachKind(t, func(t *testing.T, s server) {
		w := newShop(t, s)
		if w == nil {
			return
		}
		executes := func(query string) func(ctx context.Context, tx *sql.Tx) error {
			return func(ctx context.Context, tx *sql.Tx) error {
				_, err := tx.ExecContext(ctx, query)
				return err
			}
		}
		all := map[string]func(ctx context.Context, tx *sql.Tx) error{"a rollback": executes("ROLLBACK"), "a commit": executes("COMMIT")}
		switch s.dialect {
		case sqltx.MySQL:
			all["DDL"] = executes("CREATE TABLE other (id INTEGER)")
			all["a deadlock"] = func(ctx context.Context, tx *sql.Tx) error {
				w.deadlock(ctx, tx)
				return nil
			}
		case sqltx.PostgreSQL:
			all["an error that it ignores"] = func(ctx context.Context, tx *sql.Tx) error {
				if err := executes("SELECT 1 / 0")(ctx, tx); err == nil {
					t.Error("no error")
				}
				return nil
			}
		}
		for name, fn := range all {
			res, err := w.run(fn)
			if err == nil || !strings.Contains(err.Error(), "ended inside") || res.Outcome != client.Rollback || w.number("SELECT COUNT(*) FROM sqltx_marker") != 0 {
				t.Errorf("%s: %+v, %v", name, res, err)
			}
		}
	})
}

// deadlock has tx be the victim of a deadlock: the other transaction has written
// more.
func (w *shop) deadlock(ctx context.Context, tx *sql.Tx) {
	w.t.Helper()
	other, err := w.db.BeginTx(ctx, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() {
		if err := other.Rollback(); err != nil {
			w.t.Error(err)
		}
	}()
	if err := add(1)(ctx, tx); err != nil {
		w.t.Error(err)
	}
	for i := range 20 {
		if _, err := other.ExecContext(ctx, fmt.Sprintf("INSERT INTO work VALUES (%d, 0)", 100+i)); err != nil {
			w.t.Error(err)
		}
	}
	if err := add(2)(ctx, other); err != nil {
		w.t.Error(err)
	}
	var both sync.WaitGroup
	both.Go(func() {
		if err := add(1)(ctx, other); err != nil {
			w.t.Errorf("the wrong victim: %v", err)
		}
	})
	if err := add(2)(ctx, tx); err == nil {
		w.t.Error("no deadlock")
	}
	both.Wait()
}

// Processes that start at the same time all make the tables.
func TestOpenAtTheSameTime(t *testing.T) {
	onEachKind(t, func(t *testing.T, s server) {
		db := s.open(t, "")
		if db == nil {
			return
		}
		prefix := "at_once_"
		if s.dialect == sqltx.PostgreSQL {
			if _, err := db.ExecContext(t.Context(), "CREATE SCHEMA app"); err != nil {
				t.Fatal(err)
			}
			prefix = "app.at_once_"
		}
		var all sync.WaitGroup
		for range 6 {
			all.Go(func() {
				if _, err := sqltx.Open(t.Context(), db, s.dialect, sqltx.WithTables(prefix)); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		for _, statement := range s.dialect.Schema(prefix) {
			if _, err := db.ExecContext(t.Context(), statement); err != nil {
				t.Errorf("%s: %v", statement, err)
			}
		}
	})
}

// What would show what is not committed, or not what is, is refused at the start,
// and so is a level that no transaction could be begun with.
func TestOpenLooksAtTheIsolation(t *testing.T) {
	onEachKind(t, func(t *testing.T, s server) {
		refused := map[string]string{} // by the settings of a connection
		switch s.dialect {
		case sqltx.SQLite:
			refused["&_pragma=read_uncommitted(1)"] = "uncommitted"
		case sqltx.MySQL:
			refused["tx_isolation=%27READ-UNCOMMITTED%27"] = "UNCOMMITTED"
			refused["autocommit=0"] = "autocommit is off"
		} // PostgreSQL has no level that shows what is not committed
		for more, want := range refused {
			db := s.open(t, more)
			if db == nil {
				return
			}
			if _, err := sqltx.Open(t.Context(), db, s.dialect); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: it was opened: %v", more, err)
			}
			if _, err := sqltx.Open(t.Context(), db, s.dialect, sqltx.WithIsolation(sql.LevelSerializable)); err == nil {
				t.Errorf("%s: it was opened although checks read under it", more)
			}
		}
		db := s.open(t, "")
		if db == nil {
			return
		}
		for level := sql.LevelDefault; level <= sql.LevelLinearizable; level++ {
			_, openErr := sqltx.Open(t.Context(), db, s.dialect, sqltx.WithIsolation(level))
			tx, err := db.BeginTx(t.Context(), &sql.TxOptions{Isolation: level})
			if err == nil {
				err = tx.Rollback()
			}
			if openErr == nil && err != nil || openErr != nil && !strings.Contains(openErr.Error(), "there is only") {
				t.Errorf("%v: %v; beginning at it: %v", level, openErr, err)
			}
		}
	})
}

// A check leaves the connection as it was.
func TestLockWaitIsRestored(t *testing.T) {
	onEachKind(t, func(t *testing.T, s server) {
		w := newShop(t, s)
		if w == nil {
			return
		}
		m, _ := w.half()
		w.db.SetMaxOpenConns(1)
		query, want := "PRAGMA busy_timeout", "2000"
		switch s.dialect {
		case sqltx.PostgreSQL:
			query, want = "SHOW lock_timeout", "0"
		case sqltx.MySQL:
			query, want = "SELECT @@innodb_lock_wait_timeout", "50"
		}
		w.wantCheck(w.far, m, client.Rollback)
		var got string
		if err := w.db.QueryRowContext(t.Context(), query).Scan(&got); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %s", query, got, err, want)
		}
	})
}

// post is a sender that keeps what it is given.
type post struct {
	mu   sync.Mutex
	sent []*message.Message
	done func(n int)
}

func (p *post) Send(_ context.Context, m *message.Message) (*client.SendResult, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent = append(p.sent, m)
	p.done(len(p.sent))
	return &client.SendResult{}, nil
}

// Two forwarders send what is committed, once each, in its order.
func TestOutboxOnEach(t *testing.T) {
	onEachKind(t, func(t *testing.T, s server) {
		w := newShop(t, s)
		if w == nil {
			return
		}
		const n = 20
		ctx, cancel := context.WithCancel(t.Context())
		sender := &post{done: func(sent int) {
			if sent == n {
				cancel()
			}
		}}
		outboxes := []*sqltx.Outbox{
			sqltx.NewOutbox(w.d, sender, sqltx.WithBatch(7), sqltx.WithPoll(time.Millisecond)),
			sqltx.NewOutbox(w.far, sender, sqltx.WithBatch(7), sqltx.WithPoll(time.Millisecond)),
		}
		var all sync.WaitGroup
		for _, o := range outboxes {
			all.Go(func() {
				if err := o.Run(ctx); err != nil {
					t.Error(err)
				}
			})
		}
		for i := range n {
			for _, end := range []func(*sql.Tx) error{(*sql.Tx).Rollback, (*sql.Tx).Commit} {
				tx, err := w.db.BeginTx(t.Context(), &sql.TxOptions{Isolation: s.level})
				if err != nil {
					t.Fatal(err)
				}
				if err := outboxes[i%2].Add(t.Context(), tx, message.New("T", []byte{0, 0xff, byte(i)})); err != nil {
					t.Error(err)
				}
				if err := end(tx); err != nil {
					t.Error(err)
				}
			}
		}
		all.Wait()
		for i, m := range sender.sent {
			if want := (string([]byte{0, 0xff, byte(i)})); string(m.Body) != want || m.UniqueKey() == "" {
				t.Errorf("message %d is %q", i, m.Body)
			}
		}
		if left := w.number("SELECT COUNT(*) FROM sqltx_outbox"); left != 0 || len(sender.sent) != n {
			t.Errorf("%d sent, %d left", len(sender.sent), left)
		}
	})
}
