// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package sqltx

import (
	"context"
	"database/sql"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/message"
)

// One forwarder at a time, by their own clocks.
func TestLease(t *testing.T) {
	w := newWorld(t)
	p := w.process()
	start := time.Now()
	at := time.Duration(0)
	newLease := func(holder string) *lease {
		return &lease{d: p.DB, span: 15 * time.Second, now: func() time.Time { return start.Add(at) }, holder: holder}
	}
	a, b := newLease("a"), newLease("b")
	want := func(after time.Duration, l *lease, held bool) {
		t.Helper()
		at = after
		if got, err := l.hold(t.Context()); err != nil || got != held {
			t.Errorf("at %v: %s holds it: %v, %v", after, l.holder, got, err)
		}
	}
	want(0, a, true)
	want(0, b, false)
	want(4*time.Second, a, true) // not due
	want(14*time.Second, a, true)
	want(16*time.Second, b, false) // it has seen a change
	if until := a.until().Sub(start); until != 24*time.Second {
		t.Errorf("until %v", until)
	}
	want(30*time.Second, b, false)
	want(31*time.Second, b, true) // a stands still
	want(31*time.Second, a, false)
	b.release(t.Context())
	want(32*time.Second, a, true)
	a.release(t.Context())
	b.release(t.Context()) // not its own
	want(33*time.Second, newLease("c"), true)
}

// slowPost takes its time for each message, and notes if it is not the only one
// that sends.
type slowPost struct {
	*post
	sending *atomic.Int32
	t       *testing.T
	wait    func(ctx context.Context) error
}

func (s *slowPost) Send(ctx context.Context, m *message.Message) (*client.SendResult, error) {
	if s.sending.Add(1) != 1 {
		s.t.Errorf("two forwarders send at a time; one of them %s", m.Body)
	}
	defer s.sending.Add(-1)
	if err := s.wait(ctx); err != nil {
		return nil, err
	}
	return s.post.Send(ctx, m)
}

// A broker that does not answer is given up before another forwarder may begin.
func TestForwarderGivesUpInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := w.process()
		var sending atomic.Int32
		deaf := make(chan time.Duration, 1) // how long a send took
		a := &slowPost{newPost(), &sending, t, func(ctx context.Context) error {
			began := time.Now()
			<-ctx.Done()
			select {
			case deaf <- time.Since(began):
			default:
			}
			return ctx.Err()
		}}
		b := &slowPost{newPost(), &sending, t, func(context.Context) error { return nil }}
		holder := NewOutbox(p.DB, a)
		w.add(p, holder, (*sql.Tx).Commit, "one")
		stop := w.forwards(holder)
		synctest.Wait()
		stopOther := w.forwards(NewOutbox(w.process().DB, b))
		<-b.more
		stop()
		stopOther()
		if took := <-deaf; took > 10*time.Second {
			t.Errorf("a send took %v of a lease of 15 s", took)
		}
		w.wantPending(holder, 0)
	})
}

// A batch may take longer than the lease, which is renewed between its messages.
func TestForwarderRenewsItsLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := w.process()
		var sending atomic.Int32
		a := &slowPost{newPost(), &sending, t, func(context.Context) error {
			time.Sleep(6 * time.Second)
			return nil
		}}
		b := newPost()
		holder := NewOutbox(p.DB, a)
		want := []string{"1", "2", "3", "4", "5", "6"}
		w.add(p, holder, (*sql.Tx).Commit, want...)
		stop := w.forwards(holder)
		synctest.Wait()
		stopOther := w.forwards(NewOutbox(w.process().DB, b))
		for range want {
			<-a.more
		}
		stop()
		stopOther()
		if got := a.bodies(); !slices.Equal(got, want) || len(b.bodies()) != 0 {
			t.Errorf("sent %q, and %q by another", got, b.bodies())
		}
		w.wantPending(holder, 0)
	})
}
