// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"slices"
	"strings"
	"sync"
	"testing"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

// local is a local transaction.
type local struct {
	execute func(*primitive.Message) primitive.LocalTransactionState
	check   func(m *primitive.MessageExt, times int) primitive.LocalTransactionState

	mu     sync.Mutex
	checks []*primitive.MessageExt
}

func (l *local) ExecuteLocalTransaction(m *primitive.Message) primitive.LocalTransactionState {
	return l.execute(m)
}

func (l *local) CheckLocalTransaction(m *primitive.MessageExt) primitive.LocalTransactionState {
	l.mu.Lock()
	l.checks = append(l.checks, m)
	l.mu.Unlock()
	return l.check(m, l.checked(string(m.Body)))
}

// checked counts the check-backs for a body.
func (l *local) checked(body string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, m := range l.checks {
		if string(m.Body) == body {
			n++
		}
	}
	return n
}

func always(s primitive.LocalTransactionState) func(*primitive.Message) primitive.LocalTransactionState {
	return func(*primitive.Message) primitive.LocalTransactionState { return s }
}

func (c *cluster) transactions(t *testing.T, group string, l *local, more ...producer.Option) rocketmq.TransactionProducer {
	t.Helper()
	p, err := rocketmq.NewTransactionProducer(l, append(more, producer.WithNsResolver(c.resolver()),
		producer.WithInstanceName(instance()), producer.WithGroupName(group), producer.WithRetry(0))...)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Shutdown() })
	return p
}

func sendTx(t *testing.T, p rocketmq.TransactionProducer, m *primitive.Message) *primitive.TransactionSendResult {
	t.Helper()
	r, err := p.SendMessageInTransaction(t.Context(), m)
	if err != nil || r.Status != primitive.SendOK {
		t.Fatalf("sending %.20q in a transaction: %v, %v", m.Body, r, err)
	}
	return r
}

// testTxCommit holds that nobody sees the message before its commit: what was
// sent after it arrives, it does not.
func testTxCommit(t *testing.T, c *cluster) {
	topic, in := c.topic(t, "topic", 1), &inbox{}
	c.consumer(t, name(t, "group"), topic, in)
	plain := c.producer(t)
	l := &local{execute: func(*primitive.Message) primitive.LocalTransactionState {
		sendAll(t, plain, topic, "after the half message")
		in.await(t, soon, "after the half message")
		return primitive.CommitMessageState
	}}
	p := c.transactions(t, name(t, "tx"), l)
	m := primitive.NewMessage(topic, []byte("committed"))
	m.WithTag("tag").WithKeys([]string{"key"})
	m.WithProperty("colour", "grün")
	r := sendTx(t, p, m)
	in.await(t, soon, "after the half message", "committed")
	got := in.all()[1]
	if got.Topic != topic || got.GetTags() != "tag" || got.GetKeys() != "key" || got.GetProperty("colour") != "grün" ||
		got.MsgId != r.MsgID || got.TransactionId != r.MsgID || got.QueueOffset != 1 || got.SysFlag != 8 {
		t.Errorf("received %v (sysFlag %#x), sent as %v", got, got.SysFlag, r.SendResult)
	}
	if got.PreparedTransactionOffset <= 0 || got.PreparedTransactionOffset >= got.CommitLogOffset {
		t.Errorf("half message at %d, message at %d", got.PreparedTransactionOffset, got.CommitLogOffset)
	}
}

// A message that was rolled back is neither delivered nor checked, by the time
// that a younger one is.
func testTxRollback(t *testing.T, c *cluster) {
	topic, in := c.topic(t, "topic", 1), &inbox{}
	c.consumer(t, name(t, "group"), topic, in)
	l := &local{
		execute: func(m *primitive.Message) primitive.LocalTransactionState {
			if string(m.Body) == "rolled back" {
				return primitive.RollbackMessageState
			}
			return primitive.UnknowState
		},
		check: func(*primitive.MessageExt, int) primitive.LocalTransactionState { return primitive.CommitMessageState },
	}
	p := c.transactions(t, name(t, "tx"), l)
	sendTx(t, p, primitive.NewMessage(topic, []byte("rolled back")))
	sendTx(t, p, primitive.NewMessage(topic, []byte("younger")))
	in.await(t, patient, "younger")
	if n := l.checked("rolled back"); n != 0 {
		t.Errorf("the message that was rolled back was checked %d times", n)
	}
}

// A message of unknown outcome is checked until the answer is known. It is a
// large one: it is stored deflated and checked inflated.
func testTxCheckedCommit(t *testing.T, c *cluster) {
	topic, in := c.topic(t, "topic", 1), &inbox{}
	c.consumer(t, name(t, "group"), topic, in)
	body := strings.Repeat("large ", 2000)
	l := &local{execute: always(primitive.UnknowState), check: func(_ *primitive.MessageExt, times int) primitive.LocalTransactionState {
		if times < 3 {
			return primitive.UnknowState
		}
		return primitive.CommitMessageState
	}}
	p := c.transactions(t, name(t, "tx"), l)
	m := primitive.NewMessage(topic, []byte(body))
	m.WithTag("tag")
	r := sendTx(t, p, m)
	in.await(t, patient, body)
	if n := l.checked(body); n != 3 {
		t.Errorf("checked %d times, want 3", n)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, check := range l.checks {
		if check.Topic != topic || check.TransactionId != r.MsgID || check.GetTags() != "tag" {
			t.Errorf("checked %v, want the message as it was sent, %v", check, r)
		}
	}
}

func testTxCheckedRollback(t *testing.T, c *cluster) {
	topic, in := c.topic(t, "topic", 1), &inbox{}
	c.consumer(t, name(t, "group"), topic, in)
	l := &local{execute: always(primitive.UnknowState), check: func(m *primitive.MessageExt, times int) primitive.LocalTransactionState {
		switch {
		case string(m.Body) == "rolled back":
			return primitive.RollbackMessageState
		case times < 3:
			return primitive.UnknowState
		}
		return primitive.CommitMessageState
	}}
	p := c.transactions(t, name(t, "tx"), l)
	sendTx(t, p, primitive.NewMessage(topic, []byte("rolled back")))
	sendTx(t, p, primitive.NewMessage(topic, []byte("other")))
	in.await(t, patient, "other")
	if n := l.checked("rolled back"); n != 1 {
		t.Errorf("the message that was rolled back was checked %d times, want once", n)
	}
	if have := in.bodies(); !slices.Equal(have, []string{"other"}) {
		t.Errorf("received %q", have)
	}
}
