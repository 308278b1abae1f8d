// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package sdk

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/test/rig"
)

func testSync(t *testing.T, c *cluster) {
	topic, in := c.topic(t, "topic", 2), &inbox{}
	c.consumer(t, name(t, "group"), topic, in)
	p := c.producer(t)
	next := map[int32]int64{} // by queue
	results := map[string]*client.SendResult{}
	bodies := numbered("sync", 20)
	for _, body := range bodies {
		m := message.New(topic, []byte(body))
		m.Flag = 7
		m.SetTags("tag-" + body)
		m.SetKeys("key-"+body, "all")
		if err := m.SetProperty("colour", "grün"); err != nil {
			t.Fatal(err)
		}
		r := send(t, p, m)
		if q := r.Queue; q.Topic != topic || q.ID < 0 || q.ID > 1 || r.QueueOffset != next[q.ID] {
			t.Errorf("%s: queue %v, offset %d, want %d", body, q, r.QueueOffset, next[q.ID])
		}
		next[r.Queue.ID]++
		results[body] = r
	}
	if len(next) != 2 || next[0] != 10 {
		t.Errorf("messages by queue: %v, want 10 in each of two", next)
	}
	in.await(t, bodies...)
	for _, m := range in.all() {
		body := string(m.Body)
		r := results[body]
		if m.ID() != r.MessageID || m.OffsetID() != r.OffsetID || m.QueueOffset != r.QueueOffset || m.QueueID != r.Queue.ID || m.BrokerName != r.Queue.Broker {
			t.Errorf("%s was sent as %+v, received with %s, %s, queue %s/%d, offset %d", body, r, m.ID(), m.OffsetID(), m.BrokerName, m.QueueID, m.QueueOffset)
		}
		if m.Tags() != "tag-"+body || !slices.Equal(m.Keys(), []string{"key-" + body, "all"}) || m.Property("colour") != "grün" || m.Flag != 7 {
			t.Errorf("%s: properties %v, flag %d", body, m.Properties, m.Flag)
		}
		if m.Topic != topic || m.StoreTime.Before(m.BornTime.Add(-time.Second)) || m.ReconsumeTimes != 0 {
			t.Errorf("%s: topic %s, born %v, stored %v, %d retries", body, m.Topic, m.BornTime, m.StoreTime, m.ReconsumeTimes)
		}
	}
}

func testAsync(t *testing.T, c *cluster) {
	topic, in := c.topic(t, "topic", 4), &inbox{}
	c.consumer(t, name(t, "group"), topic, in)
	p := c.producer(t)
	bodies := numbered("async", 100)
	results := make(chan error, len(bodies))
	for _, body := range bodies {
		p.SendAsync(rig.Context(t), message.New(topic, []byte(body)), func(r *client.SendResult, err error) {
			if err == nil && r.Status != client.Stored {
				err = errors.New(r.Status.String())
			}
			results <- err
		})
	}
	for range bodies {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	in.await(t, bodies...)
}

func testOneway(t *testing.T, c *cluster) {
	topic, in := c.topic(t, "topic", 4), &inbox{}
	c.consumer(t, name(t, "group"), topic, in)
	p := c.producer(t)
	bodies := numbered("oneway", 50)
	for _, body := range bodies {
		if err := p.SendOneway(rig.Context(t), message.New(topic, []byte(body))); err != nil {
			t.Fatal(err)
		}
	}
	in.await(t, bodies...)
}

func testBatch(t *testing.T, c *cluster) {
	topic, in := c.topic(t, "topic", 2), &inbox{}
	c.consumer(t, name(t, "group"), topic, in)
	p := c.producer(t)
	var batch []*message.Message
	bodies := numbered("batch", 17)
	for i, body := range bodies {
		m := message.New(topic, []byte(body))
		m.Flag = int32(i)
		m.SetTags(fmt.Sprint("tag", i))
		batch = append(batch, m)
	}
	r, err := p.SendBatch(rig.Context(t), batch)
	if err != nil || r.Status != client.Stored {
		t.Fatalf("%+v, %v", r, err)
	}
	in.await(t, bodies...)
	for _, m := range in.all() {
		i := int64(m.Flag)
		if string(m.Body) != bodies[i] || m.Tags() != fmt.Sprint("tag", i) || m.QueueOffset != r.QueueOffset+i || m.QueueID != r.Queue.ID {
			t.Errorf("member %d: %s, tag %s, offset %d of a batch at %d, queue %d", i, m.Body, m.Tags(), m.QueueOffset, r.QueueOffset, m.QueueID)
		}
	}
	other := message.New(topic+"_other", []byte("x"))
	if _, err := p.SendBatch(rig.Context(t), []*message.Message{batch[0], other}); !errors.Is(err, message.ErrBatch) {
		t.Errorf("a batch of two topics: %v", err)
	}
}

// Bodies above the limit travel compressed; consumers get what was sent.
func testCompressed(t *testing.T, c *cluster) {
	for _, kind := range []message.CompressionType{message.CompressionZlib, message.CompressionLZ4, message.CompressionZstd} {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			topic, in := c.topic(t, "topic", 1), &inbox{}
			c.consumer(t, name(t, "group"), topic, in)
			p := c.producer(t, client.WithCompression(kind, 1000))
			noise := make([]byte, 3000)
			_, _ = rand.NewChaCha8([32]byte{1}).Read(noise)
			bodies := [][]byte{bytes.Repeat([]byte("compressible "), 20000), noise, []byte("below the limit")}
			for _, b := range bodies {
				send(t, p, message.New(topic, b))
			}
			await(t, func() string {
				if n := len(in.all()); n < len(bodies) {
					return fmt.Sprintf("%d of %d have come", n, len(bodies))
				}
				return ""
			})
			for _, m := range in.all() {
				if !bytes.Equal(m.Body, bodies[m.QueueOffset]) {
					t.Errorf("message %d has %d bytes, sent were %d", m.QueueOffset, len(m.Body), len(bodies[m.QueueOffset]))
				}
				if m.QueueOffset == 0 && m.Size > 30_000 {
					t.Errorf("the compressible body of 260000 bytes takes %d in the store", m.Size)
				}
			}
		})
	}
}

// A topic that nobody created takes the default topic's shape.
func testAutoCreate(t *testing.T, c *cluster) {
	topic, in := name(t, "unheard_of"), &inbox{}
	p := c.producer(t)
	bodies := numbered("auto", 6)
	sendAll(t, p, topic, bodies...)
	c.consumer(t, name(t, "group"), topic, in)
	in.await(t, bodies...)
}

// What no broker would take is refused before it is sent, by an error that says
// what and how much.
func testLimits(t *testing.T, c *cluster) {
	topic := c.topic(t, "topic", 1)
	p := c.producer(t, client.WithCompression(message.CompressionZlib, 64<<20))
	large := message.New(topic, make([]byte, 4<<20+1))
	if _, err := p.Send(rig.Context(t), large); !errors.Is(err, message.ErrBody) && !errors.Is(err, message.ErrTooLarge) {
		t.Errorf("a body above 4 MiB: %v", err)
	}
	if r := send(t, p, message.New(topic, make([]byte, 4<<20))); r.QueueOffset != 0 {
		t.Errorf("the first message that was sent has the offset %d", r.QueueOffset)
	}
	full := message.New(topic, []byte("x"))
	if err := full.SetProperty("large", string(bytes.Repeat([]byte("x"), 1<<15))); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Send(rig.Context(t), full); !errors.Is(err, message.ErrProperties) {
		t.Errorf("properties above 32 KiB: %v", err)
	}
	for _, bad := range []*message.Message{message.New("", []byte("x")), message.New("a b", []byte("x"))} {
		if _, err := p.Send(rig.Context(t), bad); !errors.Is(err, message.ErrName) {
			t.Errorf("topic %q: %v", bad.Topic, err)
		}
	}
}

func testDelay(t *testing.T, c *cluster) {
	topic, in := c.topic(t, "topic", 2), &inbox{}
	c.consumer(t, name(t, "group"), topic, in)
	p := c.producer(t)
	sent := map[string]time.Time{}
	for level := range 3 {
		m := message.New(topic, []byte(strconv.Itoa(level)))
		m.SetDelayLevel(level)
		sent[string(m.Body)] = time.Now()
		send(t, p, m)
	}
	in.await(t, "0", "1", "2")
	for i, m := range in.all() {
		level, _ := strconv.Atoi(string(m.Body))
		// The server counts from its store timestamp, in whole milliseconds.
		if took := m.at.Sub(sent[string(m.Body)]); took < time.Duration(level)*time.Second-2*time.Millisecond {
			t.Errorf("level %d came after %v", level, took)
		}
		if level != i || m.Topic != topic {
			t.Errorf("level %d came as number %d from topic %s", level, i, m.Topic)
		}
	}
}

// Timed messages come at their times, to the millisecond, and not at all when they
// were recalled.
func testTimed(t *testing.T, c *cluster) {
	topic, in := c.topic(t, "topic", 1), &inbox{}
	c.consumer(t, name(t, "group"), topic, in)
	p := c.producer(t)
	at := time.Now().Add(1500 * time.Millisecond).Truncate(time.Millisecond)
	timed := func(body string, at time.Time) *client.SendResult {
		m := message.New(topic, []byte(body))
		m.SetDeliverTime(at)
		return send(t, p, m)
	}
	timed("second", at.Add(700*time.Millisecond))
	timed("first", at)
	recalled := timed("recalled", at.Add(500*time.Millisecond).Add(2*time.Second))
	if recalled.RecallHandle == "" {
		t.Fatal("a timed message has no handle to recall it by")
	}
	if id, err := p.Recall(rig.Context(t), recalled.RecallHandle); err != nil || id != recalled.MessageID {
		t.Fatalf("recalling %s: %s, %v", recalled.MessageID, id, err)
	}
	timed("last", at.Add(3*time.Second))
	in.await(t, "first", "second", "last")
	due := map[string]time.Time{"first": at, "second": at.Add(700 * time.Millisecond), "last": at.Add(3 * time.Second)}
	for i, m := range in.all() {
		if body := string(m.Body); body != []string{"first", "second", "last"}[i] || m.at.Before(due[body].Add(-2*time.Millisecond)) {
			t.Errorf("%s came as number %d, %v after its time", body, i, m.at.Sub(due[body]))
		}
	}
}
