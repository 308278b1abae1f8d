// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

func testSync(t *testing.T, c *cluster) {
	topic, in := c.topic(t, "topic", 2), &inbox{}
	c.consumer(t, name(t, "group"), topic, in)
	p := c.producer(t)
	next := map[int]int64{} // by queue
	ids := map[string]*primitive.SendResult{}
	for _, body := range numbered("sync", 20) {
		m := primitive.NewMessage(topic, []byte(body))
		m.WithTag("tag-" + body).WithKeys([]string{"key-" + body, "all"})
		m.WithProperty("colour", "grün")
		m.Flag = 7
		r := send(t, p, m)
		if q := r.MessageQueue.QueueId; q < 0 || q > 1 || r.QueueOffset != next[q] || r.MessageQueue.BrokerName != "broker-a" {
			t.Errorf("%s: queue %v, offset %d, want %d", body, r.MessageQueue, r.QueueOffset, next[q])
		}
		next[r.MessageQueue.QueueId]++
		ids[body] = r
	}
	if len(next) != 2 || next[0] != 10 {
		t.Errorf("messages by queue: %v, want 10 in each of two", next)
	}
	in.await(t, soon, numbered("sync", 20)...)
	for _, m := range in.all() {
		r := ids[string(m.Body)]
		if m.MsgId != r.MsgID || m.OffsetMsgId != r.OffsetMsgID || m.QueueOffset != r.QueueOffset || m.Queue.QueueId != r.MessageQueue.QueueId {
			t.Errorf("%s was sent as %v, received with %s, %s, queue %v, offset %d", m.Body, r, m.MsgId, m.OffsetMsgId, m.Queue, m.QueueOffset)
		}
		if m.GetTags() != "tag-"+string(m.Body) || m.GetKeys() != "key-"+string(m.Body)+" all" || m.GetProperty("colour") != "grün" || m.Flag != 7 {
			t.Errorf("%s: tags %q, keys %q, colour %q, flag %d", m.Body, m.GetTags(), m.GetKeys(), m.GetProperty("colour"), m.Flag)
		}
		if m.Topic != topic || m.StoreHost != c.Broker || m.StoreTimestamp < m.BornTimestamp-1000 || m.ReconsumeTimes != 0 || m.SysFlag != 0 {
			t.Errorf("%s: topic %s, stored at %s, %d (born %d), %d retries, sysFlag %d",
				m.Body, m.Topic, m.StoreHost, m.StoreTimestamp, m.BornTimestamp, m.ReconsumeTimes, m.SysFlag)
		}
	}
}

func testAsync(t *testing.T, c *cluster) {
	topic, in := c.topic(t, "topic", 4), &inbox{}
	c.consumer(t, name(t, "group"), topic, in)
	p := c.producer(t)
	const n = 100
	results := make(chan error, n)
	for _, body := range numbered("async", n) {
		err := p.SendAsync(t.Context(), func(_ context.Context, r *primitive.SendResult, err error) {
			if err == nil && r.Status != primitive.SendOK {
				err = fmt.Errorf("status %d", r.Status)
			}
			results <- err
		}, primitive.NewMessage(topic, []byte(body)))
		if err != nil {
			t.Fatal(err)
		}
	}
	await(t, soon, func() string {
		if len(results) < n {
			return fmt.Sprintf("%d of %d are answered", len(results), n)
		}
		return ""
	})
	for range n {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	in.await(t, soon, numbered("async", n)...)
}

func testOneWay(t *testing.T, c *cluster) {
	topic, in := c.topic(t, "topic", 4), &inbox{}
	c.consumer(t, name(t, "group"), topic, in)
	p := c.producer(t)
	for _, body := range numbered("oneway", 50) {
		if err := p.SendOneWay(t.Context(), primitive.NewMessage(topic, []byte(body))); err != nil {
			t.Fatal(err)
		}
	}
	in.await(t, soon, numbered("oneway", 50)...)
}

func testBatch(t *testing.T, c *cluster) {
	topic, in := c.topic(t, "topic", 2), &inbox{}
	c.consumer(t, name(t, "group"), topic, in)
	p := c.producer(t)
	var batch []*primitive.Message
	for i, body := range numbered("batch", 17) {
		m := primitive.NewMessage(topic, []byte(body))
		m.WithTag(fmt.Sprint("tag", i)).WithProperty("number", fmt.Sprint(i))
		m.Flag = int32(i)
		batch = append(batch, m)
	}
	r, err := p.SendSync(t.Context(), batch...)
	if err != nil || r.Status != primitive.SendOK {
		t.Fatalf("%v, %v", r, err)
	}
	if ids := strings.Split(r.OffsetMsgID, ","); len(ids) != 17 {
		t.Errorf("the answer has %d ids, want 17: %s", len(ids), r.OffsetMsgID)
	}
	in.await(t, soon, numbered("batch", 17)...)
	for _, m := range in.all() {
		i := m.GetProperty("number")
		if m.GetTags() != "tag"+i || fmt.Sprint(m.Flag) != i || fmt.Sprint(m.QueueOffset-r.QueueOffset) != i || m.Queue.QueueId != r.MessageQueue.QueueId {
			t.Errorf("member %s: tag %s, flag %d, offset %d of a batch at %d, queue %v", i, m.GetTags(), m.Flag, m.QueueOffset, r.QueueOffset, m.Queue)
		}
	}
}

// A body above the client's limit travels and is stored deflated; the consumer
// gets what was sent.
func testCompressed(t *testing.T, c *cluster) {
	topic, in := c.topic(t, "topic", 1), &inbox{}
	c.consumer(t, name(t, "group"), topic, in)
	p := c.producer(t, producer.WithCompressMsgBodyOverHowmuch(1000))
	noise := make([]byte, 3000)
	source := rand.NewChaCha8([32]byte{1})
	_, _ = source.Read(noise)
	bodies := [][]byte{bytes.Repeat([]byte("compressible "), 20000), noise, []byte("below the limit")}
	for _, b := range bodies {
		send(t, p, primitive.NewMessage(topic, b))
	}
	await(t, soon, func() string {
		if n := len(in.all()); n < 3 {
			return fmt.Sprintf("%d of 3 have come", n)
		}
		return ""
	})
	for _, m := range in.all() {
		i := m.QueueOffset
		if !bytes.Equal(m.Body, bodies[i]) {
			t.Errorf("message %d has %d bytes, sent were %d", i, len(m.Body), len(bodies[i]))
		}
		if deflated := m.SysFlag&1 != 0; deflated != (i < 2) {
			t.Errorf("message %d: sysFlag %#x", i, m.SysFlag)
		}
	}
	if size := in.all()[0].StoreSize; size > 20000 {
		t.Errorf("the compressible body of 260000 bytes takes %d in the store", size)
	}
}

// A topic that nobody created takes the default topic's shape.
func testAutoCreate(t *testing.T, c *cluster) {
	topic, in := name(t, "unheard_of"), &inbox{}
	p := c.producer(t)
	sendAll(t, p, topic, numbered("auto", 6)...)
	queues, err := c.admin(t).FetchPublishMessageQueues(t.Context(), topic)
	if err != nil || len(queues) != 4 {
		t.Errorf("%d queues, %v; want the 4 that the client always asks for", len(queues), err)
	}
	c.consumer(t, name(t, "group"), topic, in)
	in.await(t, soon, numbered("auto", 6)...)
}

func testTooLarge(t *testing.T, c *cluster) {
	topic := c.topic(t, "topic", 1)
	p := c.producer(t, producer.WithCompressMsgBodyOverHowmuch(8<<20), producer.WithRetry(0))
	_, err := p.SendSync(t.Context(), primitive.NewMessage(topic, make([]byte, 4<<20+1)))
	if err == nil || !strings.Contains(err.Error(), "CODE: 13") {
		t.Errorf("a body above maxMessageSize is answered %v, want code 13", err)
	}
	send(t, p, primitive.NewMessage(topic, make([]byte, 4<<20)))
}
