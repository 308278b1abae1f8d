// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/message"
)

// What comes with a context that has ended is not sent, whatever is known and open.
func TestNothingIsSentAfterItsContext(t *testing.T) {
	w := newWorld(t)
	a := w.broker("a", 10001, nil)
	w.topic("T", 1, a)
	p := newTestTransactions(t, w, answerUnknown)
	m := message.New("T", []byte("x"))
	if _, err := p.SendInTransaction(t.Context(), m, func(context.Context, *Half) Outcome { return Commit }); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, send := range map[string]func() error{
		"Send":        func() error { _, err := p.Send(ctx, m); return err },
		"SendTo":      func() error { _, err := p.SendTo(ctx, Queue{"T", "a", 0}, m); return err },
		"SendOrdered": func() error { _, err := p.SendOrdered(ctx, "k", m); return err },
		"SendBatch":   func() error { _, err := p.SendBatch(ctx, []*message.Message{m}); return err },
		"SendOneway":  func() error { return p.SendOneway(ctx, m) },
		"Request":     func() error { _, err := p.Request(ctx, m); return err },
		"SendAsync": func() error {
			told := make(chan error)
			p.SendAsync(ctx, m, func(_ *SendResult, err error) { told <- err })
			return <-told
		},
		"SendInTransaction": func() error {
			_, err := p.SendInTransaction(ctx, m, func(context.Context, *Half) Outcome {
				t.Error("the local transaction ran")
				return Rollback
			})
			return err
		},
	} {
		for range 20 {
			if err := send(); !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := p.Send(t.Context(), m); err != nil { // behind what was sent
			t.Fatal(err)
		}
		if n := len(a.got(wire.ReqSendMessageV2)) + len(a.got(wire.ReqSendBatchMessage)); n != 2 {
			t.Errorf("%s: %d messages were sent, 2 of them by others", name, n)
		}
		a.mu.Lock()
		a.calls = a.calls[:2]
		a.mu.Unlock()
	}
}

// What is under way when the producer closes is told so, whichever way it was sent.
func TestCallsUnderWayAtClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.broker("a", 10001, func(r *remoting.Request) bool {
			return r.Code != wire.ReqHeartBeat && r.Code != wire.ReqUnregisterClient
		})
		w.topic("T", 1, a)
		w.topic("C_"+message.ReplySuffix, 1, a)
		p := newTestProducer(t, w)
		m := message.New("T", []byte("x"))
		asked := &message.Received{Message: *m, BrokerName: "a"}
		asked.Properties = message.Properties{message.PropertyCluster: "C", message.PropertyCorrelationID: "1", message.PropertyReplyToClient: "x"}
		errs := map[string]chan error{}
		for name, call := range map[string]func() error{
			"Send":        func() error { _, err := p.Send(t.Context(), m); return err },
			"SendTo":      func() error { _, err := p.SendTo(t.Context(), Queue{"T", "a", 0}, m); return err },
			"SendOrdered": func() error { _, err := p.SendOrdered(t.Context(), "k", m); return err },
			"SendBatch":   func() error { _, err := p.SendBatch(t.Context(), []*message.Message{m}); return err },
			"Request":     func() error { _, err := p.Request(t.Context(), m); return err },
			"Reply":       func() error { return p.Reply(t.Context(), asked, m.Body) },
			"Recall": func() error {
				_, err := p.Recall(t.Context(), message.RecallHandle{Topic: "T", Broker: "a", Time: 1, UniqueKey: "x"}.String())
				return err
			},
		} {
			told := make(chan error, 1)
			errs[name] = told
			go func() { told <- call() }()
		}
		synctest.Wait()
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		for name, told := range errs {
			if err := <-told; !errors.Is(err, ErrClosed) || Retriable(err) {
				t.Errorf("%s: %v", name, err)
			}
		}
		a.stop()
		w.stopNames()
	})
}
