// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
)

// onceEach are the sends that try once.
func onceEach(ctx context.Context, p *Producer) map[string]func() error {
	m := message.New("T", []byte("x"))
	return map[string]func() error{
		"Send":        func() error { _, err := p.Send(ctx, m); return err },
		"SendTo":      func() error { _, err := p.SendTo(ctx, Queue{"T", "a", 0}, m); return err },
		"SendOrdered": func() error { _, err := p.SendOrdered(ctx, "k", m); return err },
		"SendOneway":  func() error { return p.SendOneway(ctx, m) },
		"SendAsync": func() error {
			told := make(chan error)
			p.SendAsync(ctx, m, func(_ *SendResult, err error) { told <- err })
			return <-told
		},
	}
}

// A broker that has another address by now costs the send that finds that out, and no
// more, though the route is not old.
func TestSendFindsABrokerThatMoved(t *testing.T) {
	for name := range onceEach(t.Context(), nil) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			before, after := w.broker("a", 10001, nil), w.broker("a", 10002, nil)
			w.topic("T", 1, before)
			p := newTestProducer(t, w, WithAttempts(1))
			send := onceEach(t.Context(), p)[name]
			if err := send(); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			before.stop()
			w.topic("T", 1, after)
			time.Sleep(time.Second)
			if err := send(); err == nil {
				t.Errorf("%s to where the broker was", name)
			}
			synctest.Wait()
			if err := send(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if err := p.Close(); err != nil {
				t.Error(err)
			}
			after.stop()
			w.stopNames()
		})
	}
}

// A broker that refuses for now is not looked up again and again: one that is busy is
// where it was; one that does not store may not be the master any more. Where the topic
// is refused, the route is of no use.
func TestSendLooksUpWhereABrokerMayHaveMoved(t *testing.T) {
	for code, want := range map[int32]int{wire.SystemBusy: 1, wire.SystemError: 1, wire.ServiceNotAvailable: 3, wire.NoPermission: 21} {
		for name := range onceEach(t.Context(), nil) {
			if name == "SendOneway" { // has no answers
				continue
			}
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				a := w.broker("a", 10001, refuse(wire.ReqSendMessageV2, code))
				w.topic("T", 1, a)
				p := newTestProducer(t, w, WithAttempts(1))
				send := onceEach(t.Context(), p)[name]
				for range 20 {
					if err := send(); err == nil {
						t.Errorf("%s, code %d: no error", name, code)
					}
					synctest.Wait()
					time.Sleep(700 * time.Millisecond)
				}
				if n := w.asked(); n != want {
					t.Errorf("%s, code %d: %d look-ups for 20 messages in 14 s, want %d", name, code, n, want)
				}
				if err := p.Close(); err != nil {
					t.Error(err)
				}
				a.stop()
				w.stopNames()
			})
		}
	}
}

// A broker that is busy costs a message that goes elsewhere no look-up.
func TestSendGoesOnFromABusyBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, b, c := w.broker("a", 10001, refuse(wire.ReqSendMessageV2, wire.SystemBusy)), w.broker("b", 10002, nil), w.broker("c", 10003, nil)
		w.topic("T", 1, a, b, c)
		p := newTestProducer(t, w, WithLatencyFault(false))
		for range 20 {
			if err := send(t.Context(), p, "T"); err != nil {
				t.Error(err)
			}
			synctest.Wait()
			time.Sleep(time.Millisecond)
		}
		if n, refused := w.asked(), len(a.got(wire.ReqSendMessageV2)); n != 1 || refused == 0 {
			t.Errorf("%d look-ups for 20 messages, of which %d were refused once", n, refused)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		a.stop()
		b.stop()
		c.stop()
		w.stopNames()
	})
}

// A topic whose master is back is written to at once, though the route is not old.
func TestSendFindsAMasterThatIsBack(t *testing.T) {
	for name := range onceEach(t.Context(), nil) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			a := w.broker("a", 10001, nil)
			w.topic("T", 1, a)
			w.mu.Lock()
			w.routes["T"].BrokerDatas = []body.BrokerData{{Cluster: "C", BrokerName: "a", BrokerAddrs: map[int64]string{1: "127.0.0.1:1"}}}
			w.mu.Unlock()
			p := newTestProducer(t, w, WithAttempts(1))
			send := onceEach(t.Context(), p)[name]
			if err := send(); !errors.Is(err, ErrNotWritable) {
				t.Errorf("%s without a master: %v", name, err)
			}
			n := w.asked()
			w.topic("T", 1, a)
			time.Sleep(time.Second)
			if err := send(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if n, now := n, w.asked(); n != 1 || now != 2 {
				t.Errorf("%s: %d look-ups, then %d", name, n, now-n)
			}
			if err := p.Close(); err != nil {
				t.Error(err)
			}
			a.stop()
			w.stopNames()
		})
	}
}

// A broker that can't be reached holds up one message without an answer, not each.
func TestSendOnewayAvoidsABrokerThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, b := w.broker("a", 10001, nil), w.broker("b", 10002, nil)
		w.topic("T", 1, a, b)
		p := newTestProducer(t, w, w.hanging(a.addr))
		begin := time.Now()
		for range 20 {
			if err := p.SendOneway(t.Context(), message.New("T", []byte("x"))); err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(begin); took > standardTimeout {
			t.Errorf("20 messages took %v", took)
		}
		synctest.Wait()
		if n := len(b.got(wire.ReqSendMessageV2)); n != 20 {
			t.Errorf("%d of 20 messages arrived", n)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		a.stop()
		b.stop()
		w.stopNames()
	})
}
