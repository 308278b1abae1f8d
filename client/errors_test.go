// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"testing"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/message"
)

// What a send fails with says of what kind that is, and whether to try again.
func TestErrorsSayOfWhatKindTheyAre(t *testing.T) {
	for code, want := range map[int32]struct {
		is    error
		again bool
	}{
		wire.SystemBusy: {ErrBusy, true}, wire.NoPermission: {ErrDenied, true}, wire.TopicNotExist: {ErrNotFound, true},
		wire.SubscriptionGroupNotExist: {ErrNotFound, false}, wire.QueryNotFound: {ErrNotFound, false}, wire.MessageIllegal: {nil, false},
		wire.SystemError: {nil, true},
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
