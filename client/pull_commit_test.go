// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
)

// before handles requests of a code before the keeper does; true: it has answered.
func (k *keeper) before(code int32, fn func(r *remoting.Request) bool) {
	k.broker.mu.Lock()
	defer k.broker.mu.Unlock()
	inner := k.answer
	k.answer = func(r *remoting.Request) bool { return r.Code == code && fn(r) || inner(r) }
}

func silent(*remoting.Request) bool { return true }

// pollNothing says that what was polled is consumed.
func pollNothing(t *testing.T, c *PullConsumer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if got, err := c.Poll(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("polled %v, %v", got, err)
	}
}

func closed(t *testing.T, c *PullConsumer) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// twoBrokers is a topic with a queue on each of two brokers, with 100 messages, and a
// consumer of both.
func twoBrokers(t *testing.T, fn func(t *testing.T, a, b *keeper, c *PullConsumer)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, b := w.keeping("a", 10001), w.keeping("b", 10002)
		w.topic("T", 1, a.broker, b.broker)
		a.fill(0, "a", 0, 100)
		b.fill(0, "b", 0, 100)
		c, err := NewPullConsumer("g", w.with(WithStart(StartEarliest))...)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Assign(Queue{"T", "a", 0}, Queue{"T", "b", 0}); err != nil {
			t.Fatal(err)
		}
		fn(t, a, b, c)
		a.stop()
		b.stop()
	})
}

// A broker that is silent does not hold up the commits of the others until a queue is
// another consumer's, whose offset they would overwrite.
func TestCommitRoundSparesTheNextOwner(t *testing.T) {
	twoBrokers(t, func(t *testing.T, a, b *keeper, c *PullConsumer) {
		qa := Queue{"T", "a", 0}
		polled(t, c, 1)
		a.before(wire.ReqUpdateConsumerOffset, silent)
		polled(t, c, 100)
		polled(t, c, 50)
		time.Sleep(autoCommitPeriod)
		if err := c.Assign(qa); err != nil {
			t.Fatal(err)
		}
		b.mu.Lock()
		given := b.offsets["T/0"]
		b.offsets["T/0"] = 100
		b.mu.Unlock()
		time.Sleep(time.Minute)
		if n := b.offset("T/0"); n != 100 {
			t.Errorf("given up at %d, then the next owner's 100 became %d", given, n)
		}
		if err := c.Close(); err == nil {
			t.Error("Close with a broker that is silent: no error")
		}
	})
}

// A commit under way that is answered late is waited for when its queue is given up,
// and what is committed then comes after it.
func TestGivenUpBehindCommitUnderWay(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world, a *keeper) {
		a.fill(0, "m", 0, 30)
		a.offsets["T/0"] = 0
		slow(a)
		c := newTestPull(t, w)
		if err := c.Assign(Queue{"T", "a", 0}); err != nil {
			t.Fatal(err)
		}
		polled(t, c, 10)
		polled(t, c, 10)
		time.Sleep(autoCommitPeriod + time.Millisecond)
		pollNothingOf(t, c)
		closed(t, c)
		if n := a.offset("T/0"); n != 20 {
			t.Errorf("given up at %d, want 20", n)
		}
		time.Sleep(time.Minute)
		if n := a.offset("T/0"); n != 20 {
			t.Errorf("a commit of before made it %d", n)
		}
		a.stop()
	})
}

// pollNothingOf says that what was polled is consumed while there is more.
func pollNothingOf(t *testing.T, c *PullConsumer) {
	t.Helper()
	if err := c.Pause(c.Assignment()...); err != nil {
		t.Fatal(err)
	}
	pollNothing(t, c)
}

// slow has the first commit carried out and answered half a second late.
func slow(a *keeper) {
	first := true
	a.before(wire.ReqUpdateConsumerOffset, func(r *remoting.Request) bool {
		if !first {
			return false
		}
		first = false
		var h header.UpdateConsumerOffsetRequest
		_ = h.DecodeExt(r.Ext)
		ticket, at := r.Ticket(), h.CommitOffset
		time.AfterFunc(500*time.Millisecond, func() {
			a.mu.Lock()
			a.offsets["T/0"] = at
			a.mu.Unlock()
			ticket.Reply(&wire.Response{})
		})
		return true
	})
}

// What Commit has stored, no commit of before undoes.
func TestCommitIsTheLast(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world, a *keeper) {
		a.fill(0, "m", 0, 100)
		a.offsets["T/0"] = 0
		slow(a)
		c := newTestPull(t, w)
		if err := c.Assign(Queue{"T", "a", 0}); err != nil {
			t.Fatal(err)
		}
		polled(t, c, 10)
		polled(t, c, 10)
		time.Sleep(autoCommitPeriod + 100*time.Millisecond)
		short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if err := c.Commit(short); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "T/a/0") {
			t.Errorf("%v", err)
		}
		if err := c.Commit(t.Context()); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * time.Second)
		if n := a.offset("T/0"); n != 20 {
			t.Errorf("Commit of 20 returned nil, the broker has %d", n)
		}
		closed(t, c)
		a.stop()
	})
}

// Where a group begins is chosen once: the next owner of a queue begins there too.
func TestBeginningIsStored(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world, a *keeper) {
		q := Queue{"T", "a", 0}
		a.fill(0, "old", 0, 5)
		for _, n := range []int{3, 10} {
			c, err := NewPullConsumer("g", w.with(WithAutoCommit(0))...)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Assign(q); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if n == 3 {
				a.fill(0, "new", 5, 10)
			}
			if got := polled(t, c, n); strings.Count(got, "new") != n {
				t.Errorf("polled %q", got)
			}
			closed(t, c)
		}
		a.stop()
	})
}

// An offset that the queue does not have is not committed, nor is one that the broker
// was not asked for.
func TestSeekBeyondIsNotCommitted(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world, a *keeper) {
		a.fill(0, "m", 0, 5)
		c := newTestPull(t, w)
		q := Queue{"T", "a", 0}
		if err := c.Assign(q); err != nil {
			t.Fatal(err)
		}
		polled(t, c, 5)
		if err := errors.Join(c.Pause(q), c.Seek(q, 1000)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * autoCommitPeriod)
		if n := a.offset("T/0"); n > 5 {
			t.Errorf("committed %d of 5", n)
		}
		if err := c.Commit(t.Context()); err == nil || !strings.Contains(err.Error(), "1000") || a.offset("T/0") > 5 {
			t.Errorf("committed %d of 5, %v", a.offset("T/0"), err)
		}
		if err := c.Resume(q); err != nil {
			t.Fatal(err)
		}
		if got := polled(t, c, 5); got != "m-0 m-1 m-2 m-3 m-4" { // the broker goes on at its first
			t.Errorf("polled %q", got)
		}
		if err := c.Commit(t.Context()); err != nil || a.offset("T/0") != 5 {
			t.Errorf("committed %d, %v", a.offset("T/0"), err)
		}
		if err := errors.Join(c.Pause(q), c.SeekStart(t.Context(), q), c.Commit(t.Context())); err != nil || a.offset("T/0") != 0 {
			t.Errorf("the broker's own offset: committed %d, %v", a.offset("T/0"), err)
		}
		closed(t, c)
		a.stop()
	})
}

func TestCommitOfQueueGivenUp(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world, a *keeper) {
		a.fill(0, "m", 0, 5)
		c := newTestPull(t, w, WithAutoCommit(0))
		if err := c.Assign(Queue{"T", "a", 0}, Queue{"T", "a", 1}); err != nil {
			t.Fatal(err)
		}
		polled(t, c, 5)
		if err := c.Assign(); err != nil {
			t.Fatal(err)
		}
		if err := c.Commit(t.Context()); !errors.Is(err, ErrNotAssigned) || !strings.Contains(err.Error(), "T/a/0") || strings.Contains(err.Error(), "T/a/1") {
			t.Errorf("%v", err)
		}
		if err := c.Commit(t.Context()); err != nil {
			t.Errorf("told again: %v", err)
		}
		a.stop()
	})
}

// The second call neither ends the commits of the first nor returns before them.
func TestPullTwoCloses(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world, a *keeper) {
		a.fill(0, "m", 0, 10)
		a.fill(1, "n", 0, 10)
		a.before(wire.ReqUpdateConsumerOffset, func(*remoting.Request) bool {
			time.Sleep(200 * time.Millisecond)
			return false
		})
		a.offsets["T/0"], a.offsets["T/1"] = 0, 0
		c := newTestPull(t, w)
		if err := c.Assign(Queue{"T", "a", 0}, Queue{"T", "a", 1}); err != nil {
			t.Fatal(err)
		}
		polled(t, c, 20)
		pollNothing(t, c)
		ended := make(chan error)
		go func() { ended <- c.Close() }()
		time.Sleep(10 * time.Millisecond)
		closed(t, c)
		if err := <-ended; err != nil || a.offset("T/0") != 10 || a.offset("T/1") != 10 {
			t.Errorf("committed %d and %d, %v", a.offset("T/0"), a.offset("T/1"), err)
		}
		a.stop()
	})
}

func TestCloseWithSilentBroker(t *testing.T) {
	twoBrokers(t, func(t *testing.T, a, b *keeper, c *PullConsumer) {
		polled(t, c, 200)
		a.before(wire.ReqUpdateConsumerOffset, silent)
		pollNothing(t, c)
		begun := time.Now()
		if err := c.Close(); err == nil || !strings.Contains(err.Error(), "T/a/0") || strings.Contains(err.Error(), "T/b/0") {
			t.Errorf("%v", err)
		}
		if n := b.offset("T/0"); n != 100 {
			t.Errorf("committed %d, want 100", n)
		}
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}
