// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/message"
)

// What a send fails with says of what kind that is, and whether to try again.
func TestErrorsSayOfWhatKindTheyAre(t *testing.T) {
	for code, want := range map[int32]struct {
		is    error
		again bool
	}{
		wire.SystemBusy: {ErrBusy, true}, wire.NoPermission: {ErrDenied, false}, wire.TopicNotExist: {ErrNotFound, false},
		wire.SubscriptionGroupNotExist: {ErrNotFound, false}, wire.QueryNotFound: {ErrNotFound, false}, wire.MessageIllegal: {nil, false},
		wire.SystemError: {nil, true}, wire.ServiceNotAvailable: {nil, true},
	} {
		w := newWorld(t)
		w.topic("T", 1, w.broker("a", 10001, refuse(wire.ReqSendMessageV2, code)))
		_, err := newTestProducer(t, w, WithAttempts(1)).Send(t.Context(), message.New("T", []byte("x")))
		for _, kind := range []error{ErrBusy, ErrDenied, ErrNotFound} {
			if errors.Is(err, kind) != (kind == want.is) {
				t.Errorf("%v: is %v: %v", err, kind, kind != want.is)
			}
		}
		if Retriable(err) != want.again {
			t.Errorf("%v: retriable %v", err, !want.again)
		}
	}
	w := newWorld(t)
	w.topic("T", 1, &broker{name: "a", addr: "127.0.0.1:1"}) // which is not there
	p := newTestProducer(t, w)
	m := message.New("T", []byte("x"))
	if _, err := p.Send(t.Context(), m); !Retriable(err) {
		t.Errorf("a broker that is not there: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Send(ended, m); err == nil || Retriable(err) {
		t.Errorf("a context that was cancelled: %v", err)
	}
	if _, err := p.Send(t.Context(), message.New("T", nil)); Retriable(err) {
		t.Errorf("a bad message: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if _, err := p.Send(t.Context(), m); Retriable(err) || Retriable(nil) {
		t.Errorf("a closed client: %v", err)
	}
}

// Of several attempts it is enough that one may do better.
func TestSomeAttemptMayDoBetter(t *testing.T) {
	for _, codes := range [][2]int32{{wire.NoPermission, wire.SystemBusy}, {wire.SystemBusy, wire.NoPermission}} {
		w := newWorld(t)
		a := w.broker("a", 10001, refuse(wire.ReqSendMessageV2, codes[0]))
		b := w.broker("b", 10002, refuse(wire.ReqSendMessageV2, codes[1]))
		w.topic("T", 1, a, b)
		_, err := newTestProducer(t, w, WithAttempts(2)).Send(t.Context(), message.New("T", []byte("x")))
		if !errors.Is(err, ErrBusy) || !errors.Is(err, ErrDenied) || !Retriable(err) {
			t.Errorf("busy and denied: %v", err)
		}
	}
}

// A broker that does not read is busy.
func TestBrokerThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.topic("T", 1, &broker{name: "a", addr: "127.0.0.1:1"})
		var far net.Conn
		dial := func(ctx context.Context, addr string) (net.Conn, error) {
			if addr == nameServer {
				return w.net.Dial(ctx, addr)
			}
			var near net.Conn
			near, far = net.Pipe()
			return near, nil
		}
		p := newTestProducer(t, w, WithDialer(dial), WithCompression(message.CompressionZlib, -1), WithAttempts(1))
		var err error
		for n := 0; err == nil && n < 10; n++ {
			err = p.SendOneway(t.Context(), message.New("T", make([]byte, 4<<20)))
		}
		if !errors.Is(err, ErrBusy) || !Retriable(err) {
			t.Errorf("%v", err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if err := far.Close(); err != nil {
			t.Error(err)
		}
		w.stopNames()
	})
}
