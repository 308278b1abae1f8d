// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/message"
)

// poppingAlone is a test with a broker that pops, whose topic T has one queue.
func poppingAlone(t *testing.T, fn func(t *testing.T, w *world, a *pops)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.popping("a", 10001)
		w.topic("T", 1, a.b)
		fn(t, w, a)
		a.b.stop()
	})
}

// receivedIn receives what there is within d.
func receivedIn(t *testing.T, c *PopConsumer, d time.Duration, most int) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	all, err := c.Receive(ctx, most, time.Minute)
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	texts := make([]string, 0, len(all))
	for _, p := range all {
		texts = append(texts, string(p.Body))
	}
	return strings.Join(texts, " ")
}

// A property of the producer's in the place of the handle costs nothing.
func TestReceiveForeignCheckpoint(t *testing.T) {
	poppingAlone(t, func(t *testing.T, w *world, a *pops) {
		a.put(0, "", "m0")
		a.b.put(0, &message.Record{Topic: []byte("T"), Body: []byte("m1"), Properties: message.AppendProperty(nil, message.PropertyPopCheckpoint, "x")})
		a.b.put(0, &message.Record{Topic: []byte("T"), Body: []byte("m2"), Properties: message.AppendProperty(nil, message.PropertyPopCheckpoint, "0 1 60000 5 0 b 3 7")})
		c := newTestPopper(t, w, All)
		got, texts := received(t, c, 9)
		if texts != "m0 m1 m2" {
			t.Errorf("received %q", texts)
		}
		if err := c.Ack(t.Context(), got[1:]...); err != nil || !slices.Equal(a.acks(), []string{"T#0 0@1", "T#0 0@2"}) {
			t.Errorf("acked %q, %v", a.acks(), err)
		}
	})
}

// In order nothing is received while a message before it is not acked: what a Receive
// has no room for is made visible.
func TestReceiveInOrderOneByOne(t *testing.T) {
	poppingAlone(t, func(t *testing.T, w *world, a *pops) {
		a.put(0, "", "m0", "m1", "m2")
		c := newTestPopper(t, w, All, WithOrderly())
		c.ready, _ = received(t, c, 9) // as of a Receive that ended before its pop
		if one := receivedIn(t, c, time.Second, 1); one != "m0" {
			t.Errorf("received %q", one)
		}
		if next := receivedIn(t, c, time.Second, 1); next != "" {
			t.Errorf("m0 is not acked and %q was received", next)
		}
		if len(a.hidden) != 2 || !strings.HasSuffix(a.hidden[0], " a 0 1 0") || !strings.HasSuffix(a.hidden[1], " a 0 2 0") {
			t.Errorf("made visible %q", a.hidden)
		}
	})
}

// Nor is what follows a message that is too late.
func TestReceiveInOrderBehindOneTooLate(t *testing.T) {
	poppingAlone(t, func(t *testing.T, w *world, a *pops) {
		a.put(0, "", "m0", "m1")
		c := newTestPopper(t, w, All, WithOrderly())
		c.ready, _ = received(t, c, 9)
		c.ready[0].until = time.Now()
		if got := receivedIn(t, c, time.Second, 9); got != "" {
			t.Errorf("received %q", got)
		}
		if len(a.hidden) != 1 || !strings.HasSuffix(a.hidden[0], "a 0 1 0") {
			t.Errorf("made visible %q", a.hidden)
		}
	})
}

// A message that is not wanted and can't be acked holds up none that is.
func TestReceiveBeforeUnwantedAreAcked(t *testing.T) {
	poppingAlone(t, func(t *testing.T, w *world, a *pops) {
		inner := a.b.answer
		a.b.answer = func(r *remoting.Request) bool { return r.Code == wire.ReqAckMessage || inner(r) }
		a.put(0, "BB", "other")
		a.put(0, "Aa", "mine")
		c := newTestPopper(t, w, Tags("Aa"))
		if got := receivedIn(t, c, time.Second, 9); got != "mine" {
			t.Errorf("received %q", got)
		}
	})
}

// What a pop gives while the consumer is being closed is made visible.
func TestPopClosedWhilePopEnds(t *testing.T) {
	poppingAlone(t, func(t *testing.T, w *world, a *pops) {
		c := newTestPopper(t, w, All)
		a.put(0, "", "m0")
		all, _ := received(t, c, 9)
		c.running.Go(func() { // a pop, as far as Close can tell
			<-c.ctx.Done()
			time.Sleep(time.Millisecond)
			c.mu.Lock()
			defer c.mu.Unlock()
			c.ready = append(c.ready, all...)
		})
		ended := make(chan error)
		go func() { ended <- c.Close() }()
		if err := errors.Join(c.Close(), <-ended); err != nil || len(a.hidden) != 1 {
			t.Errorf("made visible %q, %v", a.hidden, err)
		}
	})
}

// What is under way at Close is not to be done again.
func TestPopClosedWhileAcking(t *testing.T) {
	for name, do := range map[string]func(ctx context.Context, c *PopConsumer, p *Popped) error{
		"Ack":             func(ctx context.Context, c *PopConsumer, p *Popped) error { return c.Ack(ctx, p) },
		"ChangeInvisible": func(ctx context.Context, c *PopConsumer, p *Popped) error { return c.ChangeInvisible(ctx, p, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			poppingAlone(t, func(t *testing.T, w *world, a *pops) {
				a.put(0, "", "m0")
				c := newTestPopper(t, w, All)
				all, _ := received(t, c, 1)
				a.b.mu.Lock()
				a.b.answer = func(r *remoting.Request) bool {
					return r.Code == wire.ReqAckMessage || r.Code == wire.ReqChangeMessageInvisibleTime
				}
				a.b.mu.Unlock()
				ended := make(chan error)
				go func() { ended <- do(t.Context(), c, all[0]) }()
				synctest.Wait()
				go func() { ended <- c.Close() }()
				if err := errors.Join(<-ended, <-ended); !errors.Is(err, ErrClosed) || Retriable(err) {
					t.Errorf("%v", err)
				}
			})
		})
	}
}

func TestReceiveDeniedHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.broker("a", 10001, refuse(wire.ReqHeartBeat, wire.NoPermission))
		w.topic("T", 1, a)
		c := newTestPopper(t, w, All)
		var answer *AnswerError
		if _, err := c.Receive(t.Context(), 1, time.Minute); !errors.As(err, &answer) || !errors.Is(err, ErrDenied) {
			t.Errorf("%v", err)
		}
		a.stop()
	})
}

func TestReceiveEndedContext(t *testing.T) {
	poppingAlone(t, func(t *testing.T, w *world, a *pops) {
		c := newTestPopper(t, w, All)
		a.put(0, "", "m0")
		received(t, c, 1)
		pops := len(a.b.got(wire.ReqPopMessage))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := c.Receive(ctx, 1, time.Minute); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		synctest.Wait()
		if n := len(a.b.got(wire.ReqPopMessage)) - pops; n != 0 {
			t.Errorf("%d pops for a ctx that had ended", n)
		}
	})
}
