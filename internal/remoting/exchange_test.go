// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package remoting

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/wire"
)

func TestExchangeReadsTheAnswer(t *testing.T) {
	_, addr := serve(t, nil, ServerConfig{Routes: table(map[int32]Route{codeEcho: {Handler: echoOne()}})})
	cl := newClient(t, ClientConfig{})
	for i := range 5 { // of all sizes
		want := strings.Repeat(fmt.Sprint(i), 1<<(4*(i%5)))
		var got string
		err := cl.Exchange(t.Context(), addr, &wire.Request{Code: codeEcho, Body: []byte(want)}, time.Now().Add(time.Minute), func(cmd *wire.Command) error {
			at, _ := cmd.Ext.Get("queueOffset")
			got = string(cmd.Body)
			if len(at) == 0 {
				t.Errorf("answer %d has the fields %s", i, cmd.Ext)
			}
			return nil
		})
		if err != nil || got != want {
			t.Errorf("exchange %d: %d bytes of %d, %v", i, len(got), len(want), err)
		}
	}
	unread := errors.New("unread")
	if err := cl.Exchange(t.Context(), addr, &wire.Request{Code: codeEcho}, time.Time{}, func(*wire.Command) error { return unread }); err != unread {
		t.Errorf("the reader's error became %v", err)
	}
	if err := cl.Exchange(t.Context(), addr, &wire.Request{Code: codeEcho}, time.Time{}, func(*wire.Command) error { panic("no") }); err == nil || cl.Stats().Panics != 1 {
		t.Errorf("the reader's panic became %v", err)
	}
}

func TestExchangeAllocatesNothing(t *testing.T) {
	_, addr := serve(t, nil, ServerConfig{Routes: table(map[int32]Route{codeEcho: {Handler: echoOne()}})})
	cl := newClient(t, ClientConfig{})
	req := &wire.Request{Code: codeEcho, Body: make([]byte, 1024)}
	read := func(*wire.Command) error { return nil }
	n := testing.AllocsPerRun(500, func() {
		if err := cl.Exchange(context.Background(), addr, req, time.Now().Add(time.Minute), read); err != nil {
			t.Fatal(err)
		}
	})
	if n >= 1 && !raceEnabled {
		t.Errorf("%v allocations", n)
	}
}

func TestExchangeGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := pushes(t, ServerConfig{})
		_ = p.SetReadDeadline(time.Time{})
		exchange := func(ctx context.Context, timeout time.Duration) (time.Duration, error) {
			begin := time.Now()
			err := c.Exchange(ctx, pushed("?"), begin.Add(timeout), func(*wire.Command) error { return errors.New("read without an answer") })
			return time.Since(begin), err
		}
		go func() { // the peer reads, and answers nothing
			for range 3 {
				p.read()
			}
		}()
		if d, err := exchange(t.Context(), 3*time.Second); !errors.Is(err, context.DeadlineExceeded) || d != 3*time.Second {
			t.Errorf("a timeout of 3 s: after %v: %v", d, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if d, err := exchange(ctx, time.Hour); !errors.Is(err, context.DeadlineExceeded) || d != time.Second {
			t.Errorf("a context of 1 s: after %v: %v", d, err)
		}
		time.AfterFunc(time.Minute, c.Close)
		if d, err := exchange(t.Context(), time.Hour); !errors.Is(err, ErrClosed) || d != time.Minute {
			t.Errorf("closed after 1 min: after %v: %v", d, err)
		}
		if _, err := exchange(t.Context(), time.Hour); !errors.Is(err, ErrClosed) {
			t.Errorf("on a closed connection: %v", err)
		}
	})
}

// Of calls with different timeouts each ends at its own: an earlier one that comes
// later moves the timer.
func TestCallsExpireInTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := pushes(t, ServerConfig{})
		_ = p.SetReadDeadline(time.Time{})
		begin := time.Now()
		var e ends
		var took [4]time.Duration
		for i, timeout := range []time.Duration{5 * time.Second, 2 * time.Second, 5 * time.Second, 9 * time.Second} {
			if err := c.Call(pushed("?"), timeout, func(cmd *wire.Command, err error) {
				took[i] = time.Since(begin)
				e.done(cmd, err)
			}); err != nil {
				t.Fatal(err)
			}
			cmd := p.read()
			if i == 3 {
				p.send(answerTo(cmd.Opaque, "in time"))
			}
		}
		time.Sleep(time.Minute)
		e.want(t, "in time error error error")
		if took[0] != 5*time.Second || took[1] != 2*time.Second || took[2] != 5*time.Second || took[3] != 0 {
			t.Errorf("they ended after %v", took)
		}
		e.call(t, c, p, time.Second) // the timer was not set, and is again
		time.Sleep(time.Second)
		e.want(t, "in time error error error error")
	})
}
