// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
)

// RocketMQ's brokers look every 5 s which of the requests that they hold are due: an
// answer may come that much later than was asked for. It is waited for.
func TestAnswersToHeldRequestsMayBeLate(t *testing.T) {
	for name, ask := range map[string]func(t *testing.T, ctx context.Context, w *world) (close func() error){
		"puller": func(t *testing.T, ctx context.Context, w *world) func() error {
			p := newTestPuller(t, w)
			go func() {
				if _, err := p.Pull(ctx, Queue{"T", "a", 0}, 0, 1, true); err != nil {
					t.Error(err)
				}
			}()
			return p.Close
		},
		"pull consumer": func(t *testing.T, ctx context.Context, w *world) func() error {
			c := newTestPull(t, w)
			if err := c.Assign(Queue{"T", "a", 0}); err != nil {
				t.Error(err)
			}
			return c.Close
		},
		"pop consumer": func(t *testing.T, ctx context.Context, w *world) func() error {
			c := newTestPopper(t, w, All)
			go func() { _, _ = c.Receive(ctx, 1, time.Minute) }()
			return c.Close
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				asked := make(chan remoting.Ticket, 9)
				a := w.keeping("a", 10001)
				inner := a.answer
				a.answer = func(r *remoting.Request) bool {
					if r.Code != wire.ReqPullMessage && r.Code != wire.ReqPopMessage {
						return inner(r)
					}
					asked <- r.Ticket()
					return true
				}
				w.topic("T", 1, a.broker)
				ctx, cancel := context.WithCancel(t.Context())
				end := ask(t, ctx, w)
				ticket := <-asked
				time.Sleep(20 * time.Second)
				select {
				case again := <-asked:
					t.Error("it was asked again before the answer was there")
					again.Discard()
				default:
				}
				ticket.Reply(&wire.Response{Code: wire.PullNotFound, Header: &header.PullResponse{}})
				synctest.Wait()
				cancel()
				if err := end(); err != nil {
					t.Error(err)
				}
				for len(asked) > 0 {
					(<-asked).Discard()
				}
				a.stop()
				w.stopNames()
			})
		})
	}
}

// Held pulls that their caller's deadline ends say nothing against the broker: one
// beside them, on the same connection, goes on.
func TestHeldPullsEndedByTheirCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		tickets := make(chan remoting.Ticket, 3)
		a := w.broker("a", 10001, func(r *remoting.Request) bool {
			if r.Code == wire.ReqPullMessage {
				tickets <- r.Ticket()
			}
			return r.Code == wire.ReqPullMessage
		})
		w.topic("T", 2, a)
		p := newTestPuller(t, w)
		ended := make(chan error)
		go func() {
			_, err := p.Pull(t.Context(), Queue{"T", "a", 1}, 0, 1, true)
			ended <- err
		}()
		beside := <-tickets
		for range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			begun := time.Now()
			_, err := p.Pull(ctx, Queue{"T", "a", 0}, 0, 1, true)
			cancel()
			if took := time.Since(begun); !errors.Is(err, context.DeadlineExceeded) || !Retriable(err) || took != 5*time.Second {
				t.Errorf("after %v: %v", took, err)
			}
			ticket := <-tickets
			ticket.Discard()
		}
		time.Sleep(4 * time.Second)
		beside.Reply(&wire.Response{Code: wire.PullNotFound, Header: &header.PullResponse{}})
		if err := <-ended; err != nil {
			t.Error(err)
		}
		a.stop()
	})
}
