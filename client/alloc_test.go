// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"testing"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// A send allocates its result and the text of its two ids; the server of the test,
// which is in the same process, as good as nothing.
func TestAllocationsOfASend(t *testing.T) {
	w := newWorld(t)
	answer := &wire.Response{Header: &header.SendResponse{MsgID: []byte("7F00000100002A9F0000000000000000"), QueueOffset: 1, Region: []byte("R")}}
	addr := "127.0.0.1:10001"
	w.serve(addr, func(r *remoting.Request) { r.Reply(answer) })
	w.topic("T", 4, &broker{name: "a", addr: addr})
	p := newTestProducer(t, w)
	m := message.New("T", make([]byte, 1024))
	m.SetTags("A")
	m.SetKeys("some", "keys")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := testing.AllocsPerRun(500, func() {
		if _, err := p.Send(ctx, m); err != nil {
			t.Fatal(err)
		}
	})
	if n > 3 && !raceEnabled {
		t.Errorf("%v allocations a message, at most 3", n)
	}
	t.Logf("%v allocations a message", n)
	const many = 100
	results := make(chan error, many)
	done := func(_ *SendResult, err error) { results <- err }
	n = testing.AllocsPerRun(20, func() {
		for range many {
			p.SendAsync(ctx, m, done)
		}
		for range many {
			if err := <-results; err != nil {
				t.Fatal(err)
			}
		}
	})
	if n > 3*many+many/10 && !raceEnabled {
		t.Errorf("%v allocations for %d messages sent side by side, at most 3 each", n, many)
	}
	t.Logf("%v allocations for %d messages sent side by side", n, many)
}
