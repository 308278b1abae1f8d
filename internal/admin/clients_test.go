// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
)

// slow is a Caller whose answers take a while, those by way of a client longer.
type slow struct {
	rpc.Caller
	answer, relayed time.Duration
}

func (s slow) Invoke(ctx context.Context, addr string, req *wire.Request) (*wire.Command, error) {
	took := s.answer
	if req.Code == wire.ReqGetConsumerRunningInfo {
		took = s.relayed
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(took):
		return s.Caller.Invoke(ctx, addr, req)
	}
}

// Each answer has its own time, however many are needed of a broker.
func TestEachAnswerHasItsOwnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _, _ := newTopic(t)
		almost := requestTimeout - time.Second
		a := New(slow{w.client, almost, 0}, []string{names1})
		if s, err := a.TopicStatus(t.Context(), "T"); err != nil || len(s.Brokers) != 2 {
			t.Errorf("%+v, %v", s, err)
		}
		a = New(slow{w.client, requestTimeout + time.Second, 0}, []string{names1})
		if _, err := a.TopicStatus(t.Context(), "T"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("longer than an answer may take: %v", err)
		}
	})
}

// Clients that are slow to answer are waited for at the same time.
func TestSlowMembersWaitTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newShelf(t)
		var c body.ConsumerConnection
		for i := range 2 * relaysAtOnce {
			c.ConnectionSet = append(c.ConnectionSet, body.Connection{ClientID: fmt.Sprintf("client-%02d", i)})
		}
		s.online["g"] = c
		begun := time.Now()
		all, err := New(slow{s.w.client, 0, relayPatience - time.Second}, []string{names1}).Members(t.Context(), "", "g", true, true)
		if err != nil || len(all) != len(c.ConnectionSet) {
			t.Fatalf("%+v, %v", all, err)
		}
		for _, m := range all {
			if m.Err != nil || m.Info == nil || m.Info.Jstack != "stack of "+m.ClientID {
				t.Errorf("%s: %+v, %v", m.ClientID, m.Info, m.Err)
			}
		}
		if took := time.Since(begun); took > 2*relayPatience {
			t.Errorf("%d clients took %v", len(all), took)
		}
	})
}
