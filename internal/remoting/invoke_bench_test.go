// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package remoting

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/wire"
)

// BenchmarkInvoke is requests of 1 KB that many goroutines send over a few
// connections, each of which waits for its answer.
func BenchmarkInvoke(b *testing.B) {
	for _, shape := range []struct{ conns, inflight int }{{8, 64}, {1, 1}} {
		b.Run(fmt.Sprintf("%dx%d", shape.conns, shape.inflight), func(b *testing.B) {
			_, addr := serve(b, nil, ServerConfig{Routes: table(map[int32]Route{codeEcho: {Handler: echoOne()}})})
			b.ReportAllocs()
			var wg sync.WaitGroup
			each := b.N/(shape.conns*shape.inflight) + 1
			for range shape.conns {
				cl := NewClient(ClientConfig{})
				b.Cleanup(func() { _ = cl.Close() })
				for range shape.inflight {
					wg.Go(func() {
						read := func(*wire.Command) error { return nil }
						req := &wire.Request{Code: codeEcho, Body: make([]byte, 1024)}
						for range each {
							if err := cl.Exchange(context.Background(), addr, req, time.Now().Add(3*time.Second), read); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
			}
			wg.Wait()
		})
	}
}
