// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/message"
)

// ours gives a producer of package client.
func (c *cluster) ours(t *testing.T) *client.Producer {
	t.Helper()
	p, err := client.NewProducer(name(t, "ours"), client.WithNameServers(c.Namesrv))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// reader runs a push consumer of package client.
func (c *cluster) reader(t *testing.T, group, topic string, h client.Handler, more ...client.Option) *client.PushConsumer {
	t.Helper()
	p, err := client.NewPushConsumer(group, append([]client.Option{client.WithNameServers(c.Namesrv), client.WithStart(client.StartEarliest)}, more...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	if err := p.Subscribe(topic, client.All, h); err != nil {
		t.Fatal(err)
	}
	if err := p.Start(within(t, soon)); err != nil {
		t.Fatal(err)
	}
	return p
}

// testSDKAsks has requests of package client answered by the official one.
func testSDKAsks(t *testing.T, c *cluster) {
	topic := c.topic(t, "topic", 2)
	answers := c.producer(t, producer.WithGroupName(name(t, "answers")))
	in := &inbox{answer: func(m *primitive.MessageExt) consumer.ConsumeResult {
		body := append([]byte("answer to "), m.Body...)
		reply, err := consumer.CreateReplyMessage(m, body)
		if err == nil {
			reply.Body = body // the call of this version takes it for properties
			_, err = answers.SendSync(context.Background(), reply)
		}
		if err != nil {
			t.Log("a reply:", err) // this client takes the answer to a reply for an error
		}
		return consumer.ConsumeSuccess
	}}
	c.consumer(t, name(t, "group"), topic, in)
	asks := c.ours(t)
	var wg sync.WaitGroup
	for _, text := range numbered("question", 20) {
		wg.Go(func() {
			got, err := asks.Request(within(t, patient), message.New(topic, []byte(text)))
			if err != nil || string(got.Body) != "answer to "+text {
				t.Errorf("%s is answered %v, %v", text, got, err)
			}
		})
	}
	wg.Wait()
}

// testSDKAnswers has requests of the official client answered by package client,
// with replies that are long enough to be compressed.
func testSDKAnswers(t *testing.T, c *cluster) {
	topic, answers := c.topic(t, "topic", 2), c.ours(t)
	long := strings.Repeat(" and so on", 1000)
	c.reader(t, name(t, "group"), topic, func(ctx context.Context, m *message.Received) error {
		return answers.Reply(ctx, m, []byte("answer to "+string(m.Body)+long))
	})
	// This client sends a heartbeat at its start only where it knows a broker by then,
	// so it shares its connection with a consumer.
	shared := instance()
	asks := c.producer(t, producer.WithGroupName(name(t, "asks")), producer.WithInstanceName(shared))
	c.consumer(t, name(t, "known"), c.topic(t, "known", 1), &inbox{}, consumer.WithInstance(shared))
	ask := func(text string) error {
		got, err := asks.Request(t.Context(), 10*time.Second, primitive.NewMessage(topic, []byte(text)))
		if err == nil && string(got.Body) != "answer to "+text+long {
			err = fmt.Errorf("%s is answered %.40q, %d bytes", text, got.Body, len(got.Body))
		}
		return err
	}
	await(t, patient, func() string {
		if err := ask("first"); err != nil {
			return err.Error()
		}
		return ""
	})
	var wg sync.WaitGroup
	for _, text := range numbered("question", 20) {
		wg.Go(func() {
			if err := ask(text); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// testSDKShares has a member of each client in one group: they agree about their
// shares, and what one leaves the other takes over where it stopped.
func testSDKShares(t *testing.T, c *cluster) {
	topic, group := c.topic(t, "topic", 4), name(t, "group")
	p := c.ours(t)
	theirs, ours := &inbox{}, &sdkInbox{}
	c.consumer(t, group, topic, theirs)
	leaving := c.reader(t, group, topic, ours.handle)
	sent, queues := 0, map[bool]map[int32]bool{}
	shared := func(wantTheirs, wantOurs int) {
		t.Helper()
		await(t, patient, func() string {
			bodies := numbered(fmt.Sprint("m", sent), 8)
			sent++
			for _, b := range bodies {
				if _, err := p.Send(within(t, soon), message.New(topic, []byte(b))); err != nil {
					t.Fatal(err)
				}
			}
			await(t, patient, func() string {
				queues[true], queues[false] = map[int32]bool{}, map[int32]bool{}
				seen := map[string]bool{}
				for _, m := range theirs.all() {
					if slices.Contains(bodies, string(m.Body)) {
						queues[true][int32(m.Queue.QueueId)], seen[string(m.Body)] = true, true
					}
				}
				for _, m := range ours.all() {
					if slices.Contains(bodies, string(m.Body)) {
						queues[false][m.QueueID], seen[string(m.Body)] = true, true
					}
				}
				if len(seen) < len(bodies) {
					return fmt.Sprintf("%d of %d have come", len(seen), len(bodies))
				}
				return ""
			})
			if n, m := len(queues[true]), len(queues[false]); n != wantTheirs || m != wantOurs {
				return fmt.Sprintf("%d queues are the official client's and %d ours, want %d and %d", n, m, wantTheirs, wantOurs)
			}
			return ""
		})
	}
	shared(2, 2)
	if err := leaving.Close(); err != nil {
		t.Fatal(err)
	}
	shared(4, 0)
}

type sdkInbox struct {
	mu   sync.Mutex
	list []*message.Received
}

func (in *sdkInbox) handle(_ context.Context, m *message.Received) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.list = append(in.list, m)
	return nil
}

func (in *sdkInbox) all() []*message.Received {
	in.mu.Lock()
	defer in.mu.Unlock()
	return slices.Clone(in.list)
}

// testSDKChecks has package client answer for a half message of the official
// client, whose sender is gone.
func testSDKChecks(t *testing.T, c *cluster) {
	topic, group, in := c.topic(t, "topic", 1), name(t, "tx"), &inbox{}
	c.consumer(t, name(t, "group"), topic, in)
	unknown := func(*primitive.MessageExt, int) primitive.LocalTransactionState { return primitive.UnknowState }
	theirs := c.transactions(t, group, &local{execute: always(primitive.UnknowState), check: unknown})
	sent := sendTx(t, theirs, primitive.NewMessage(topic, []byte("orphan")))
	if err := theirs.Shutdown(); err != nil {
		t.Fatal(err)
	}
	asked := make(chan *message.Received, 100)
	ours, err := client.NewTransactionProducer(group, func(_ context.Context, m *message.Received) client.Outcome {
		asked <- m
		return client.Commit
	}, client.WithNameServers(c.Namesrv))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ours.Close() })
	if err := ours.Start(within(t, soon), topic); err != nil {
		t.Fatal(err)
	}
	in.await(t, patient, "orphan")
	if m := <-asked; m.ID() != sent.MsgID || m.TransactionID() != sent.MsgID {
		t.Errorf("asked about %s (%s), sent was %s", m.ID(), m.TransactionID(), sent.MsgID)
	}
}
