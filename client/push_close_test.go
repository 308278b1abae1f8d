// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/message"
)

// Close leaves a handler that does not end behind and says so; the offset does not go
// beyond its message, its lock is not given away, and the member leaves the group.
func TestCloseLeavesHandlersBehind(t *testing.T) {
	for name, opts := range map[string][]Option{"concurrent": nil, "orderly": {WithOrderly()}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				b, g := w.groupBroker("a", 10001)
				w.topic("T", 1, b)
				b.number("T", 0, 3)
				c, err := NewPushConsumer("g", append(opts, w.with(WithStart(StartEarliest), WithConcurrency(1), WithCloseTimeout(5*time.Second))...)...)
				if err != nil {
					t.Fatal(err)
				}
				running, release := make(chan bool, 3), make(chan bool)
				startPush(t, c, "T", func(_ context.Context, m *message.Received) error {
					if string(m.Body) == "1" {
						running <- true
						<-release
					}
					return nil
				})
				<-running
				begun := time.Now()
				err = c.Close()
				if err == nil || !strings.Contains(err.Error(), "handlers of 1 messages of T") {
					t.Errorf("Close says %v", err)
				}
				if took := time.Since(begun); took < 5*time.Second+closeGrace || took > 6*time.Second+closeGrace {
					t.Errorf("Close took %v", took)
				}
				if again := c.Close(); again == nil || again.Error() != err.Error() {
					t.Errorf("the second Close says %v", again)
				}
				if got := g.offset("g", "T", 0); got != 1 {
					t.Errorf("offset %d, want 1", got)
				}
				if n := len(b.got(wire.ReqUnlockBatchMQ)); n != 0 {
					t.Error("unlocked while the handler runs")
				}
				if n := len(b.got(wire.ReqUnregisterClient)); n != 1 {
					t.Errorf("unregistered %d times", n)
				}
				beats := len(b.got(wire.ReqHeartBeat))
				time.Sleep(time.Minute)
				if n := len(b.got(wire.ReqHeartBeat)); n != beats {
					t.Error("it is a member still")
				}
				synctest.Wait()
				all := make([]byte, 1<<20)
				if all = all[:runtime.Stack(all, true)]; name == "concurrent" && strings.Contains(string(all), "giveUp") {
					t.Error("a goroutine watches the handler")
				}
				close(release)
				time.Sleep(time.Minute) // what was left behind ends
				if len(running) != 0 {
					t.Error("another handler was called")
				}
			})
		})
	}
}
