// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package sdk

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/test/rig"
)

// checks are the check-backs that a producer was asked.
type checks struct {
	answer func(m *message.Received, times int) client.Outcome

	mu   sync.Mutex
	list []*message.Received
}

func (c *checks) check(_ context.Context, m *message.Received) client.Outcome {
	c.mu.Lock()
	c.list = append(c.list, m)
	c.mu.Unlock()
	return c.answer(m, len(c.of(string(m.Body))))
}

// of are the check-backs for a body.
func (c *checks) of(body string) (list []*message.Received) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.list {
		if string(m.Body) == body {
			list = append(list, m)
		}
	}
	return list
}

func always(o client.Outcome) *checks {
	return &checks{answer: func(*message.Received, int) client.Outcome { return o }}
}

func (c *cluster) transactions(t *testing.T, group string, asked *checks, more ...client.Option) *client.TransactionProducer {
	t.Helper()
	p, err := client.NewTransactionProducer(group, asked.check, c.with(more...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closed(t, p) })
	return p
}

// sendTx sends a half message, whose local transaction ends so.
func sendTx(t *testing.T, p *client.TransactionProducer, m *message.Message, o client.Outcome) *client.TransactionResult {
	t.Helper()
	r, err := p.SendInTransaction(rig.Context(t), m, func(context.Context, *client.Half) client.Outcome { return o })
	if err != nil || r.Status != client.Stored || r.EndError != nil || r.Outcome != o {
		t.Fatalf("sending %.20q in a transaction: %+v, %v", m.Body, r, err)
	}
	return r
}

// testTxCommit holds that nobody sees the message before its commit: what was
// sent after it arrives, it does not.
func testTxCommit(t *testing.T, c *cluster) {
	topic, in := c.topic(t, "topic", 1), &inbox{}
	c.consumer(t, name(t, "group"), topic, in)
	plain := c.producer(t)
	p := c.transactions(t, name(t, "tx"), always(client.Unknown))
	m := message.New(topic, []byte("committed"))
	m.SetTags("tag")
	m.SetKeys("key")
	if err := m.SetProperty("colour", "grün"); err != nil {
		t.Fatal(err)
	}
	r, err := p.SendInTransaction(rig.Context(t), m, func(context.Context, *client.Half) client.Outcome {
		sendAll(t, plain, topic, "after the half message")
		in.await(t, "after the half message")
		return client.Commit
	})
	if err != nil || r.EndError != nil {
		t.Fatal(err, r)
	}
	in.await(t, "after the half message", "committed")
	got := in.all()[1]
	if got.Topic != topic || got.Tags() != "tag" || !slices.Equal(got.Keys(), []string{"key"}) || got.Property("colour") != "grün" ||
		got.ID() != r.MessageID || got.Received.TransactionID() != r.TransactionID || got.QueueOffset != 1 {
		t.Errorf("received %+v, sent as %+v", got.Received, r)
	}
	if got.PreparedOffset <= 0 || got.PreparedOffset >= got.PhysicalOffset {
		t.Errorf("half message at %d, message at %d", got.PreparedOffset, got.PhysicalOffset)
	}
}

// A message that was rolled back is neither delivered nor checked, by the time
// that a younger one is.
func testTxRollback(t *testing.T, c *cluster) {
	topic, in := c.topic(t, "topic", 1), &inbox{}
	c.consumer(t, name(t, "group"), topic, in)
	asked := always(client.Commit)
	p := c.transactions(t, name(t, "tx"), asked)
	sendTx(t, p, message.New(topic, []byte("rolled back")), client.Rollback)
	sendTx(t, p, message.New(topic, []byte("younger")), client.Unknown)
	in.await(t, "younger")
	if n := len(asked.of("rolled back")); n != 0 {
		t.Errorf("the message that was rolled back was checked %d times", n)
	}
}

// A message of unknown outcome is checked until the answer is known. It is a
// large one: it is stored compressed and checked as it was.
func testTxCheckedCommit(t *testing.T, c *cluster) {
	topic, in := c.topic(t, "topic", 1), &inbox{}
	c.consumer(t, name(t, "group"), topic, in)
	asked := &checks{answer: func(_ *message.Received, times int) client.Outcome {
		if times < 2 {
			return client.Unknown
		}
		return client.Commit
	}}
	p := c.transactions(t, name(t, "tx"), asked)
	m := message.New(topic, []byte(strings.Repeat("large ", 2000)))
	m.SetTags("tag")
	r := sendTx(t, p, m, client.Unknown)
	in.await(t, string(m.Body))
	list := asked.of(string(m.Body))
	if len(list) < 2 {
		t.Errorf("checked %d times, want 2 or, on a machine that is slow, more", len(list))
	}
	for _, check := range list {
		if check.Topic != topic || check.TransactionID() != r.TransactionID || check.Tags() != "tag" {
			t.Errorf("checked %+v, want the message as it was sent, %+v", check, r)
		}
	}
}

func testTxCheckedRollback(t *testing.T, c *cluster) {
	topic, in := c.topic(t, "topic", 1), &inbox{}
	c.consumer(t, name(t, "group"), topic, in)
	asked := &checks{answer: func(m *message.Received, times int) client.Outcome {
		switch {
		case string(m.Body) == "rolled back":
			return client.Rollback
		case times < 2:
			return client.Unknown
		}
		return client.Commit
	}}
	p := c.transactions(t, name(t, "tx"), asked)
	sendTx(t, p, message.New(topic, []byte("rolled back")), client.Unknown)
	sendTx(t, p, message.New(topic, []byte("other")), client.Unknown)
	in.await(t, "other")
	if n := len(asked.of("rolled back")); n < 1 {
		t.Error("the message that was rolled back was not checked")
	}
	if have := in.bodies(); !slices.Equal(have, []string{"other"}) {
		t.Errorf("received %q", have)
	}
}

// testTxCheckedByAnother lets the sender go before the check: another producer of
// its group, that has sent nothing, answers.
func testTxCheckedByAnother(t *testing.T, c *cluster) {
	topic, in := c.topic(t, "topic", 1), &inbox{}
	c.consumer(t, name(t, "group"), topic, in)
	others := always(client.Commit)
	sender := c.transactions(t, name(t, "tx"), always(client.Unknown))
	sendTx(t, sender, message.New(topic, []byte("orphan")), client.Unknown)
	if err := sender.Close(); err != nil {
		t.Fatal(err)
	}
	other := c.transactions(t, name(t, "tx"), others)
	if err := other.Start(rig.Context(t), topic); err != nil {
		t.Fatal(err)
	}
	in.await(t, "orphan")
	if n := len(others.of("orphan")); n < 1 {
		t.Error("it was committed, and the other producer was not asked")
	}
}
