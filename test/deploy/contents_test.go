// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/twostage/twostage/internal/proctest"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/test/rig"
)

// What fill puts into a broker.
const (
	orders   = "orders"   // messages in two queues
	payments = "payments" // of transactions: one committed, one rolled back, one undecided
	later    = "later"    // one at a delay level, one at a time of its own
	billing  = "billing"  // has consumed three messages of the first queue of orders

	ordered = 12
)

func orderText(n int) string { return fmt.Sprintf("order %02d", n) }

// fill puts one of everything into a broker.
func fill(t *testing.T, s *proctest.Server) {
	t.Helper()
	c, ctx := rig.Client(t), rig.Context(t)
	for topic, queues := range map[string]int32{orders: 2, payments: 1, later: 1} {
		if err := rpc.CreateTopic(ctx, c, s.Broker, rig.TopicHeader(topic, queues)); err != nil {
			t.Fatal(err)
		}
	}
	for n := range ordered {
		h := rig.SendHeader(orders, int32(n%2), fmt.Sprintf("%032d", n))
		h.Properties = message.AppendProperty(h.Properties, message.PropertyKeys, fmt.Sprint("k", n))
		if _, err := rpc.Send(ctx, c, s.Broker, h, []byte(orderText(n))); err != nil {
			t.Fatal(err)
		}
	}
	g := body.NewSubscriptionGroupConfig(billing)
	if err := rpc.CreateGroup(ctx, c, s.Broker, &g); err != nil {
		t.Fatal(err)
	}
	if err := rpc.UpdateOffset(ctx, c, s.Broker, billing, orders, 0, 3); err != nil {
		t.Fatal(err)
	}
	for text, outcome := range map[string]message.SysFlag{"paid": message.TransactionCommit, "refused": message.TransactionRollback, "open": 0} {
		transact(t, c, s.Broker, text, outcome)
	}
	for property, value := range map[string]string{message.PropertyDelay: "1", message.PropertyTimerDelayMillis: "1000"} {
		h := rig.SendHeader(later, 0, property)
		h.Properties = message.AppendProperty(h.Properties, property, value)
		if _, err := rpc.Send(ctx, c, s.Broker, h, []byte(property)); err != nil {
			t.Fatal(err)
		}
	}
}

// transact stores a half message and, unless it stays open, its outcome.
func transact(t *testing.T, c rpc.Caller, addr, text string, outcome message.SysFlag) {
	t.Helper()
	ctx, key := rig.Context(t), "KEY-"+text
	h := rig.SendHeader(payments, 0, key)
	h.SysFlag = int32(message.TransactionPrepared)
	h.Properties = message.AppendProperty(h.Properties, message.PropertyTransactionPrepared, "true")
	h.Properties = message.AppendProperty(h.Properties, message.PropertyProducerGroup, "tills")
	sent, err := rpc.Send(ctx, c, addr, h, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if outcome == 0 {
		return
	}
	_, at, err := message.ParseOffsetID(string(sent.Header.MsgID))
	if err != nil {
		t.Fatal(err)
	}
	if err := rpc.EndTransaction(ctx, c, addr, &header.EndTransactionRequest{
		ProducerGroup: "tills", TranStateTableOffset: sent.Header.QueueOffset, CommitLogOffset: at, CommitOrRollback: int32(outcome), MsgID: key, TransactionID: key,
	}); err != nil {
		t.Fatal(err)
	}
}

// texts are the bodies of a queue.
func texts(t *testing.T, c rpc.Caller, addr, topic string, queue int32) (list []string) {
	t.Helper()
	if _, err := rig.Drain(rig.Context(t), c, addr, topic, queue, 0, func(r *message.Record) error {
		list = append(list, string(r.Body))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return list
}

// undecided are the keys of transactions of a topic without an outcome.
func undecided(t *testing.T, c rpc.Caller, addr, topic string) (keys []string) {
	t.Helper()
	l, err := rpc.Transactions(rig.Context(t), c, addr, &header.TxListRequest{BrokerName: "broker-a", Topic: topic, State: "undecided", Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	for _, tx := range l.Transactions {
		keys = append(keys, tx.Key)
	}
	return keys
}

// wantContents fails unless a broker has what fill put there, once, and goes on from
// there.
func wantContents(t *testing.T, s *proctest.Server) {
	t.Helper()
	c, ctx := rig.Client(t), rig.Context(t)
	for queue := range int32(2) {
		var want []string
		for n := int(queue); n < ordered; n += 2 {
			want = append(want, orderText(n))
		}
		if have := texts(t, c, s.Broker, orders, queue); !slices.Equal(have, want) {
			t.Errorf("queue %d of %s: %q", queue, orders, have)
		}
	}
	if next, err := rpc.QueryOffset(ctx, c, s.Broker, billing, orders, 0); next != 3 || err != nil {
		t.Errorf("%s goes on at %d, %v", billing, next, err)
	}
	records, _, err := rpc.QueryMessage(ctx, c, s.Broker, &header.QueryMessageRequest{Topic: orders, Key: "k7", MaxNum: 10, EndTimestamp: 1 << 60})
	found := 0
	if err == nil {
		err = message.RangeRecords(records, true, func(r *message.Record) error {
			if string(r.Body) == orderText(7) {
				found++
			}
			return nil
		})
	}
	if err != nil || found != 1 {
		t.Errorf("by the key k7: %d, %v", found, err)
	}
	if have := texts(t, c, s.Broker, payments, 0); !slices.Equal(have, []string{"paid"}) {
		t.Errorf("%s has %q", payments, have)
	}
	if have := undecided(t, c, s.Broker, payments); !slices.Equal(have, []string{"KEY-open"}) {
		t.Errorf("undecided are %q", have)
	}
	rig.Poll(t, "what was delayed", func() error {
		if have := texts(t, c, s.Broker, later, 0); len(have) < 2 {
			return fmt.Errorf("%q", have)
		}
		return nil
	})
	if _, err := rpc.DecideTransaction(ctx, c, s.Broker, &header.TxDecideRequest{
		BrokerName: "broker-a", ID: "KEY-open", Outcome: header.TxCommit,
	}); err != nil {
		t.Error(err)
	}
	if have := texts(t, c, s.Broker, payments, 0); !slices.Equal(have, []string{"paid", "open"}) {
		t.Errorf("%s has %q", payments, have)
	}
	sent, err := rpc.Send(ctx, c, s.Broker, rig.SendHeader(orders, 0, "after"), []byte("after"))
	if err != nil || sent.Header.QueueOffset != ordered/2 {
		t.Errorf("the next message is %+v, %v", sent, err)
	}
	have := texts(t, c, s.Broker, later, 0)
	slices.Sort(have)
	if want := []string{message.PropertyDelay, message.PropertyTimerDelayMillis}; !slices.Equal(have, want) {
		t.Errorf("delayed: %q, want %q", have, want)
	}
}

// stopped ends a server in order.
func stopped(t *testing.T, s *proctest.Server) {
	t.Helper()
	if err := s.Stop(); err != nil {
		t.Fatal(errors.Join(err, errors.New(s.Log())))
	}
}
