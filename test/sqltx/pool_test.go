// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package sqltx

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/sqltx"
)

// Nothing needs a second connection while it has one: a pool of one is enough,
// though checks of other transactions wait for it.
func TestAPoolOfOneConnection(t *testing.T) {
	onEachKind(t, func(t *testing.T, s server) {
		w := newShop(t, s)
		if w == nil {
			return
		}
		w.db.SetMaxOpenConns(1)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		outbox := sqltx.NewOutbox(w.d, &post{done: func(int) { cancel() }}, sqltx.WithPoll(time.Millisecond))
		work := func(ctx context.Context, tx *sql.Tx) error {
			w.wantCheck(w.d, overdue(w.Half()), client.Unknown)
			first, err := w.d.Claim(ctx, tx, received("K"))
			if err != nil || !first {
				t.Errorf("claimed %v, %v", first, err)
			}
			return errors.Join(add(1)(ctx, tx), outbox.Add(ctx, tx, message.New("T", []byte("shipped"))))
		}
		failed := errors.New("the work fails")
		if _, err := sqltx.Run(ctx, w.d, w.p, message.New("T", []byte("order")), func(ctx context.Context, tx *sql.Tx) error {
			return errors.Join(work(ctx, tx), failed)
		}); !errors.Is(err, failed) {
			t.Error(err)
		}
		w.wantCheck(w.far, overdue(w.Half()), client.Rollback)
		if res, err := sqltx.Run(ctx, w.d, w.p, message.New("T", []byte("order")), work); err != nil || res.Outcome != client.Commit {
			t.Errorf("%+v, %v", res, err)
		}
		w.wantCheck(w.far, w.Half(), client.Commit)
		for range 2 {
			if err := sqltx.Once(ctx, w.d, received("L"), add(1)); err != nil {
				t.Error(err)
			}
		}
		if _, err := w.d.Clean(ctx); err != nil {
			t.Error(err)
		}
		if err := outbox.Run(ctx); err != nil || w.number("SELECT COUNT(*) FROM sqltx_outbox") != 0 {
			t.Errorf("forwarding: %v", err)
		}
		if n := w.number("SELECT n FROM work WHERE id = 1"); n != 2 {
			t.Errorf("done %d times", n)
		}
	})
}
