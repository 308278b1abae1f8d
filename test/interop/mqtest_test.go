// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"testing"

	"github.com/apache/rocketmq-client-go/v2/primitive"

	"github.com/twostage/twostage/internal/proctest"
	"github.com/twostage/twostage/mqtest"
)

// TestInMemory holds that a cluster in memory is one for this client too: it consumes,
// is asked for outcomes over lost and repeated check-backs, and finds the broker again.
func TestInMemory(t *testing.T) {
	t.Parallel()
	m := mqtest.Start(t, mqtest.Set("transactionTimeOut", "100"), mqtest.Set("transactionCheckInterval", "100"), mqtest.Set("flushDiskType", "SYNC_FLUSH"))
	c := &cluster{&proctest.Server{Namesrv: m.NameServer(), Broker: m.Broker(0).Addr()}}
	topic, in := c.topic(t, "topic", 1), &inbox{}
	c.consumer(t, name(t, "group"), topic, in)
	plain := c.producer(t)
	sendAll(t, plain, topic, "before")
	in.await(t, soon, "before")

	m.DropCheckBacks(2)
	m.RepeatCheckBacks(1)
	l := &local{execute: always(primitive.UnknowState), check: func(*primitive.MessageExt, int) primitive.LocalTransactionState {
		return primitive.CommitMessageState
	}}
	tx := c.transactions(t, name(t, "tx"), l)
	sendTx(t, tx, primitive.NewMessage(topic, []byte("checked")))
	in.await(t, soon, "before", "checked")
	await(t, soon, func() string {
		if n := l.checked("checked"); n < 2 {
			return "the repeated check-back has not come"
		}
		return ""
	})

	m.Broker(0).Crash()
	m.Broker(0).Start()
	sendAll(t, plain, topic, "after")
	in.await(t, patient, "before", "checked", "after")
}
