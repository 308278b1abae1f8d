// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/message"
)

// A broker that does not answer keeps Start neither from the others nor for longer
// than one of them may take.
func TestStartReachesTheBrokersThatAreThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var all []*broker
		for i, name := range []string{"a", "b", "c", "d"} {
			all = append(all, w.broker(name, 10001+i, nil))
		}
		w.topic("T", 1, all...)
		w.topic("U", 1, all[0], all[2])
		hung := func(ctx context.Context, addr string) (net.Conn, error) {
			if addr == all[0].addr || addr == all[2].addr {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return w.net.Dial(ctx, addr)
		}
		for _, topic := range []string{"T", "U"} {
			p, err := NewTransactionProducer("g", answerUnknown, WithNameServers(nameServer), WithDialer(hung))
			if err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			err = p.Start(t.Context(), topic)
			if took := time.Since(begin); took != standardTimeout {
				t.Errorf("topic %s: Start took %v", topic, took)
			}
			if topic == "T" && err != nil {
				t.Errorf("two of four brokers are there: %v", err)
			}
			if topic == "U" && (!Retriable(err) || !strings.Contains(err.Error(), all[0].addr) || !strings.Contains(err.Error(), all[2].addr)) {
				t.Errorf("neither of two brokers is there: %v", err)
			}
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		}
		for _, i := range []int{1, 3} {
			if n := len(all[i].got(wire.ReqHeartBeat)); n != 1 {
				t.Errorf("broker %s got %d heartbeats", all[i].name, n)
			}
		}
		for _, b := range all {
			b.stop()
		}
		w.stopNames()
	})
}

// The outcome goes to where the broker is by then, which may not be where the half
// message was sent to.
func TestEndGoesToTheMasterOfTheMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		before := w.broker("a", 10001, nil)
		after := w.broker("a", 10002, nil)
		w.topic("T", 1, before)
		p := newTestTransactions(t, w, answerUnknown)
		res, err := p.SendInTransaction(t.Context(), message.New("T", []byte("x")), func(context.Context, *Half) Outcome {
			before.stop()
			w.topic("T", 1, after)
			time.Sleep(routeAge + heartbeatPeriod)
			return Commit
		})
		if err != nil || res.EndError != nil || res.BrokerAddr != before.addr || len(after.got(wire.ReqEndTransaction)) != 1 {
			t.Errorf("%+v, %v, %d ends", res, err, len(after.got(wire.ReqEndTransaction)))
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		after.stop()
		w.stopNames()
	})
}
