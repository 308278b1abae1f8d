// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"sync"
	"testing"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// BenchmarkSend is 1 KB sends of 64 goroutines over one connection in memory, to a
// server that stores nothing.
func BenchmarkSend(b *testing.B) {
	w := newWorld(b)
	answer := &wire.Response{Header: &header.SendResponse{MsgID: []byte("7F00000100002A9F0000000000000000"), QueueOffset: 1, Region: []byte("R")}}
	const addr = "127.0.0.1:10001"
	w.serve(addr, func(r *remoting.Request) { r.Reply(answer) })
	w.topic("T", 8, &broker{name: "a", addr: addr})
	p, err := NewProducer("g", w.with()...)
	if err != nil {
		b.Fatal(err)
	}
	closing(b, p)
	m := message.New("T", make([]byte, 1024))
	b.ReportAllocs()
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for range b.N/64 + 1 {
				if _, err := p.Send(b.Context(), m); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}
