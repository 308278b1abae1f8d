// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package sqltx

import (
	"context"
	"database/sql"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twostage/twostage/message"
)

// received is a message as a consumer gets it.
func received(key string, age time.Duration) *message.Received {
	m := &message.Received{Message: *message.New("T", []byte("x")), BornTime: time.Now().Add(-age), StoreHost: netip.MustParseAddrPort("127.0.0.1:10911")}
	m.SetUniqueKey(key)
	return m
}

func TestOnce(t *testing.T) {
	w := newWorld(t)
	p, other := w.process(), w.process()
	elsewhere := w.process(WithConsumer("elsewhere"))
	m := received("K", 0)
	fail := func(ctx context.Context, tx *sql.Tx) error { return errors.Join(writes("a")(ctx, tx), errWork) }
	if err := Once(t.Context(), p.DB, m, fail); !errors.Is(err, errWork) || w.work(p) != 0 {
		t.Fatalf("%v, %d rows", err, w.work(p))
	}
	for _, c := range []struct {
		p    *process
		m    *message.Received
		want int
	}{{p, m, 1}, {p, m, 1}, {other, m, 1}, {elsewhere, m, 2}, {p, received("k", 0), 3}, {p, received("K ", 0), 4}} {
		if err := Once(t.Context(), c.p.DB, c.m, writes("a")); err != nil || w.work(p) != c.want {
			t.Errorf("message %q of %q: %v, %d rows, want %d", c.m.UniqueKey(), c.p.cfg.consumer, err, w.work(p), c.want)
		}
	}
}

// A message that is sent back, or becomes a dead letter, gets another offset id.
func TestOnceKnowsAMessageAgain(t *testing.T) {
	w := newWorld(t)
	p := w.process()
	m := received("", 0)
	back, dead := received("", 0), received("", 0)
	back.PhysicalOffset, dead.PhysicalOffset = 100, 200
	back.Properties = message.Properties{message.PropertyOriginMessageID: m.OffsetID()}
	dead.Properties = message.Properties{message.PropertyDLQOriginMessageID: m.OffsetID(), message.PropertyOriginMessageID: "another"}
	for _, m := range []*message.Received{m, back, dead} {
		if err := Once(t.Context(), p.DB, m, writes("a")); err != nil || w.work(p) != 1 {
			t.Errorf("%v, %d rows", err, w.work(p))
		}
	}
}

func TestOnceAtTheSameTime(t *testing.T) {
	w := newWorld(t)
	var calls atomic.Int32
	var all sync.WaitGroup
	p := w.process()
	for range 4 {
		other := w.process()
		all.Go(func() {
			for range 5 { // as a consumer that gets it again after an error
				if Once(t.Context(), other.DB, received("K", 0), func(ctx context.Context, tx *sql.Tx) error {
					calls.Add(1)
					return writes("a")(ctx, tx)
				}) == nil {
					return
				}
			}
			t.Error("no end")
		})
	}
	all.Wait()
	if calls.Load() != 1 || w.work(p) != 1 {
		t.Errorf("%d calls, %d rows", calls.Load(), w.work(p))
	}
}

// The function of a Run can claim the message that it is about.
func TestClaimInsideARun(t *testing.T) {
	w := newWorld(t)
	p := w.process()
	handle := func(ctx context.Context, tx *sql.Tx) error {
		if first, err := p.Claim(ctx, tx, received("K", 0)); err != nil || !first {
			return errors.Join(errWork, err)
		}
		return writes("a")(ctx, tx)
	}
	if _, err := p.run(t.Context(), handle); err != nil {
		t.Error(err)
	}
	if _, err := p.run(t.Context(), handle); !errors.Is(err, errWork) || w.work(p) != 1 {
		t.Errorf("%v, %d rows", err, w.work(p))
	}
	nobody := w.process(WithConsumer(""))
	_, err := nobody.run(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		_, err := nobody.Claim(ctx, tx, received("other", 0))
		return err
	})
	wantError(t, err, "WithConsumer")
}

func TestOnceRefusesBadInput(t *testing.T) {
	w := newWorld(t)
	p := w.process()
	nobody := w.process(WithConsumer(""))
	for want, err := range map[string]error{
		"without a database": Once(t.Context(), nil, received("K", 0), writes("a")),
		"without a message":  Once(t.Context(), p.DB, nil, writes("a")),
		"without a function": Once(t.Context(), p.DB, received("K", 0), nil),
		"WithConsumer":       Once(t.Context(), nobody.DB, received("K", 0), writes("a")),
	} {
		wantError(t, err, want)
	}
}
