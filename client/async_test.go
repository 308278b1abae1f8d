// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/message"
)

// outcomes collects what callbacks are told; without a lock, since they run one
// after the other.
type outcomes struct {
	results []*SendResult
	errs    []error
	wg      sync.WaitGroup
}

func (o *outcomes) done() func(*SendResult, error) {
	o.wg.Add(1)
	return func(r *SendResult, err error) {
		o.results, o.errs = append(o.results, r), append(o.errs, err)
		o.wg.Done()
	}
}

func TestSendAsync(t *testing.T) {
	w := newWorld(t)
	a, b := w.broker("a", 10001, nil), w.broker("b", 10002, nil)
	w.topic("T", 2, a, b)
	p := newTestProducer(t, w)
	var o outcomes
	const n = 200
	for i := range n {
		p.SendAsync(t.Context(), message.New("T", fmt.Append(nil, i)), o.done())
	}
	p.SendAsync(t.Context(), message.New("T", []byte("nobody wants to know")), nil)
	p.SendAsync(t.Context(), message.New("T", nil), o.done()) // refused at once
	o.wg.Wait()
	ids := map[string]bool{}
	failed := 0
	for i, r := range o.results {
		if o.errs[i] != nil {
			failed++
			if !errors.Is(o.errs[i], message.ErrBody) {
				t.Error(o.errs[i])
			}
			continue
		}
		ids[r.MessageID] = true
	}
	if len(ids) != n || failed != 1 {
		t.Errorf("%d of %d messages were stored, %d failed", len(ids), n, failed)
	}
}

// An attempt that fails goes on at another broker; callbacks may send themselves.
func TestSendAsyncGoesElsewhere(t *testing.T) {
	w := newWorld(t)
	a, b := w.broker("a", 10001, refuse(wire.ReqSendMessageV2, wire.SystemBusy)), w.broker("b", 10002, nil)
	w.topic("T", 1, a, b)
	w.topic("U", 1, a)
	p := newTestProducer(t, w, WithLatencyFault(false))
	var o outcomes
	for range 10 {
		p.SendAsync(t.Context(), message.New("T", []byte("x")), o.done())
	}
	o.wg.Wait()
	for i, r := range o.results {
		if o.errs[i] != nil || r.Queue.Broker != "b" {
			t.Errorf("%+v, %v", r, o.errs[i])
		}
	}
	o = outcomes{}
	again := o.done()
	p.SendAsync(t.Context(), message.New("U", []byte("x")), func(r *SendResult, err error) {
		if err == nil || r != nil {
			t.Errorf("%+v, %v", r, err)
		}
		_, err = p.Send(t.Context(), message.New("T", []byte("from a callback")))
		again(nil, err)
	})
	o.wg.Wait()
	if o.errs[0] != nil {
		t.Error(o.errs[0])
	}
}

func TestSendAsyncTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.broker("a", 10001, mute(wire.ReqSendMessageV2))
		w.topic("T", 1, a)
		p := newTestProducer(t, w, WithTimeout(2*time.Second), WithAttempts(2))
		var o outcomes
		begin := time.Now()
		p.SendAsync(t.Context(), message.New("T", []byte("x")), o.done())
		o.wg.Wait()
		if d := time.Since(begin); d != 4*time.Second || !errors.Is(o.errs[0], context.DeadlineExceeded) {
			t.Errorf("two attempts of 2 s: after %v: %v", d, o.errs[0])
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin = time.Now()
		p.SendAsync(ctx, message.New("T", []byte("x")), o.done())
		o.wg.Wait()
		if d := time.Since(begin); d != time.Second || !errors.Is(o.errs[1], context.DeadlineExceeded) {
			t.Errorf("a context of 1 s: after %v: %v", d, o.errs[1])
		}
		a.stop()
	})
}

// More messages than may be under way wait for the first ones, or for ctx.
func TestSendAsyncWaitsForRoom(t *testing.T) {
	w := newWorld(t)
	var mu sync.Mutex
	var held []remoting.Ticket
	a := w.broker("a", 10001, func(r *remoting.Request) bool {
		if r.Code != wire.ReqSendMessageV2 {
			return false
		}
		mu.Lock()
		defer mu.Unlock()
		held = append(held, r.Ticket())
		return true
	})
	w.topic("T", 1, a)
	p := newTestProducer(t, w)
	var o outcomes
	for range maxUnderWay {
		p.SendAsync(t.Context(), message.New("T", []byte("x")), o.done())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	refused := make(chan error)
	p.SendAsync(ctx, message.New("T", []byte("x")), func(_ *SendResult, err error) { refused <- err })
	if err := <-refused; !errors.Is(err, context.Canceled) {
		t.Errorf("one more: %v", err)
	}
	if err := p.Close(); err != nil { // tells all of them
		t.Error(err)
	}
	if len(o.errs) != maxUnderWay {
		t.Fatalf("%d of %d callbacks were called before Close returned", len(o.errs), maxUnderWay)
	}
	for _, err := range o.errs {
		if !errors.Is(err, ErrClosed) {
			t.Fatalf("under way at Close: %v", err)
		}
	}
	p.SendAsync(t.Context(), message.New("T", []byte("x")), o.done())
	if len(o.errs) != maxUnderWay+1 || !errors.Is(o.errs[maxUnderWay], ErrClosed) {
		t.Errorf("after Close: %v", o.errs[maxUnderWay:])
	}
}

func TestSendOneway(t *testing.T) {
	w := newWorld(t)
	a, b := w.broker("a", 10001, nil), w.broker("b", 10002, nil)
	w.topic("T", 1, a, b)
	a.stop()
	p := newTestProducer(t, w)
	for i := range 6 { // half of them find a first
		if err := p.SendOneway(t.Context(), message.New("T", fmt.Append(nil, i))); err != nil {
			t.Error(err)
		}
	}
	if _, err := p.Send(t.Context(), message.New("T", []byte("the last one"))); err != nil { // behind the others
		t.Error(err)
	}
	if n := len(b.records(t, 0)); n != 7 {
		t.Errorf("%d of 7 messages arrived", n)
	}
	if r := b.got(wire.ReqSendMessageV2)[0]; !r.IsOneWay() {
		t.Error("sent as a request that wants an answer")
	}
	b.stop()
	if err := p.SendOneway(t.Context(), message.New("T", []byte("x"))); err == nil {
		t.Error("no error without a broker")
	}
	if err := p.SendOneway(t.Context(), message.New("V", []byte("x"))); !errors.Is(err, ErrNoRoute) {
		t.Errorf("without a topic: %v", err)
	}
}
