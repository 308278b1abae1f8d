// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
)

func TestPollFailures(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world, a *keeper) {
		a.offsets["T/0"] = 0
		inner := a.answer
		var code atomic.Int32
		code.Store(wire.NoPermission)
		a.answer = func(r *remoting.Request) bool { return refuse(wire.ReqPullMessage, code.Load())(r) || inner(r) }
		c := newTestPull(t, w)
		if err := c.Assign(Queue{"T", "a", 0}); err != nil {
			t.Fatal(err)
		}
		var answer *AnswerError
		if _, err := c.Poll(t.Context(), 1); !errors.As(err, &answer) || answer.Code != wire.NoPermission {
			t.Errorf("%v", err)
		}
		code.Store(wire.SystemBusy)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if _, err := c.Poll(ctx, 1); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "on purpose") {
			t.Errorf("%v", err)
		}
		ended := make(chan error)
		go func() {
			_, err := c.Poll(t.Context(), 1)
			ended <- err
		}()
		synctest.Wait()
		if err := errors.Join(c.Close(), c.Close()); err != nil {
			t.Error(err)
		}
		if err := <-ended; !errors.Is(err, ErrClosed) {
			t.Errorf("%v", err)
		}
		a.stop()
	})
}

func TestPullConsumerRefuses(t *testing.T) {
	w := newWorld(t)
	c := newTestPull(t, w)
	if _, err := c.Poll(t.Context(), 1); err == nil || !strings.Contains(err.Error(), "Subscribe") {
		t.Errorf("%v", err)
	}
	if _, err := c.Poll(t.Context(), 0); err == nil {
		t.Error("no messages")
	}
	for _, q := range []Queue{{"", "a", 0}, {"T", "", 0}, {"T", "a", -1}} {
		if err := c.Assign(q); err == nil {
			t.Errorf("%v was assigned", q)
		}
	}
	if err := errors.Join(c.Subscribe("T", Tags("||"))); err == nil {
		t.Error("a bad filter")
	}
	if err := c.Subscribe("T", All); err != nil {
		t.Error(err)
	}
	if err := c.Assign(); err == nil || !strings.Contains(err.Error(), "Subscribe") {
		t.Errorf("Assign after Subscribe: %v", err)
	}
	if _, err := NewPullConsumer("g", w.with(WithAutoCommit(-1))...); err == nil {
		t.Error("a negative interval")
	}
	c = newTestPull(t, w)
	if err := c.Assign(); err != nil {
		t.Error(err)
	}
	if err := c.Subscribe("T", All); err == nil || !strings.Contains(err.Error(), "Assign") {
		t.Errorf("Subscribe after Assign: %v", err)
	}
	if err := c.Seek(Queue{"T", "a", 0}, -1); err == nil {
		t.Error("a negative offset")
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if _, err := c.Poll(t.Context(), 1); !errors.Is(err, ErrClosed) {
		t.Errorf("%v", err)
	}
	if err := errors.Join(c.Assign()); !errors.Is(err, ErrClosed) {
		t.Errorf("%v", err)
	}
}
