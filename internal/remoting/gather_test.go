// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package remoting

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/wire"
)

// pushing is a client's connection to a server that counts one-way requests.
func pushing(t *testing.T) (c *Conn, got *atomic.Int32) {
	t.Helper()
	got = new(atomic.Int32)
	network := NewMemNetwork()
	_, addr := serve(t, network, ServerConfig{Routes: table(map[int32]Route{codeOther: {Handler: func(*Request) { got.Add(1) }}})})
	cl := NewClient(ClientConfig{Dial: network.Dial})
	t.Cleanup(func() { _ = cl.Close() })
	c, err := cl.Conn(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	return c, got
}

func wantPushed(t *testing.T, when string, got *atomic.Int32, want int32) {
	t.Helper()
	synctest.Wait()
	if n := got.Load(); n != want {
		t.Errorf("%s: %d requests have arrived, want %d", when, n, want)
	}
}

func push(t *testing.T, c *Conn, size int) {
	t.Helper()
	if err := c.Push(&wire.Request{Code: codeOther, Body: make([]byte, size)}); err != nil {
		t.Fatal(err)
	}
}

// What a client has to write waits for all whom answers have woken.
func TestWritesWaitForWhoIsWoken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, got := pushing(t)
		c.woken.Store(2)
		push(t, c, 1)
		wantPushed(t, "none has run", got, 0)
		c.awake()
		wantPushed(t, "one has run", got, 0)
		c.awake()
		wantPushed(t, "both have run", got, 1)
		push(t, c, 1)
		wantPushed(t, "none is woken", got, 2)
	})
}

// They do not keep it for long when they are slow to run, nor when it is much.
func TestWritesWaitNotForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, got := pushing(t)
		c.woken.Store(100)
		c.wokeAt.Store(int64(time.Since(c.made)))
		push(t, c, 1)
		for range wokenLook {
			c.awake()
		}
		wantPushed(t, "at once", got, 0)
		time.Sleep(gatherTime)
		for range wokenLook {
			c.awake()
		}
		wantPushed(t, "later", got, 1)

		c.wokeAt.Store(int64(time.Since(c.made)))
		push(t, c, gatherBytes/2)
		wantPushed(t, "not much", got, 1)
		push(t, c, gatherBytes/2)
		wantPushed(t, "much", got, 3)
		c.woken.Store(0)
	})
}

// Callers that wait for their answers side by side share writes.
func TestCallersShareWrites(t *testing.T) {
	const callers, each = 64, 20
	synctest.Test(t, func(t *testing.T) {
		network := NewMemNetwork()
		_, addr := serve(t, network, ServerConfig{Routes: table(map[int32]Route{codeEcho: {Handler: echo}})})
		var counts countWrites
		cl := NewClient(ClientConfig{Dial: func(ctx context.Context, addr string) (net.Conn, error) {
			nc, err := network.Dial(ctx, addr)
			return &countingConn{Conn: nc, l: &counts}, err
		}})
		defer func() { _ = cl.Close() }()
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				for range each {
					err := cl.Exchange(t.Context(), addr, &wire.Request{Code: codeEcho}, time.Time{}, func(*wire.Command) error { return nil })
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		c, err := cl.Conn(t.Context(), addr)
		if err != nil {
			t.Fatal(err)
		}
		if n := c.woken.Load(); n != 0 {
			t.Errorf("%d callers are taken not to have run", n)
		}
		n := counts.writes.Load()
		if n > callers*each/8 {
			t.Errorf("%d writes of %d requests of %d callers", n, callers*each, callers)
		}
		t.Logf("%d writes of %d requests", n, callers*each)
	})
}
