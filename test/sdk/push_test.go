// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package sdk

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/test/rig"
)

// consumer runs a push consumer of everything in a topic, from its first message on.
func (c *cluster) consumer(t *testing.T, group, topic string, in *inbox, more ...client.Option) *client.PushConsumer {
	t.Helper()
	return c.selecting(t, group, topic, client.All, in, more...)
}

func (c *cluster) selecting(t *testing.T, group, topic string, f client.Filter, in *inbox, more ...client.Option) *client.PushConsumer {
	t.Helper()
	p, err := client.NewPushConsumer(group, c.with(append([]client.Option{client.WithStart(client.StartEarliest)}, more...)...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closed(t, p) })
	if err := p.Subscribe(topic, f, in.handle); err != nil {
		t.Fatal(err)
	}
	if err := p.Start(rig.Context(t)); err != nil {
		t.Fatalf("starting a consumer of %s: %v", topic, err)
	}
	return p
}

// What the handler does not take comes again, later, and ends with the dead
// letters; what it gives up goes there at once, and it may say when it wants it again.
func testRetry(t *testing.T, c *cluster) {
	topic, group := c.topic(t, "topic", 1), name(t, "group")
	in := &inbox{answer: func(m *message.Received) error {
		switch body := string(m.Body); {
		case body == "hopeless":
			return errors.New("never")
		case body == "given up":
			return client.GiveUp(errors.New("not for us"))
		case body == "second chance" && m.ReconsumeTimes == 0:
			return errors.New("not now")
		case body == "in two seconds" && m.ReconsumeTimes == 0:
			return client.RetryLater(errors.New("not now"), 2)
		}
		return nil
	}}
	c.consumer(t, group, topic, in, client.WithMaxAttempts(3))
	p := c.producer(t)
	m := message.New(topic, []byte("hopeless"))
	m.SetTags("tag")
	m.SetKeys("key")
	sent := send(t, p, m)
	sendAll(t, p, topic, "given up", "second chance", "in two seconds", "fine")
	in.await(t, "hopeless", "hopeless", "hopeless", "given up", "second chance", "second chance", "in two seconds", "in two seconds", "fine")
	times := map[string][]received{}
	for _, r := range in.all() {
		times[string(r.Body)] = append(times[string(r.Body)], r)
	}
	for body, list := range times {
		for i, r := range list {
			if int(r.ReconsumeTimes) != i || r.Topic != topic {
				t.Errorf("%s, time %d: %d retries, topic %s", body, i, r.ReconsumeTimes, r.Topic)
			}
			if i == 0 {
				continue
			}
			if r.ID() != list[0].ID() {
				t.Errorf("%s, time %d has the id %s, had %s", body, i, r.ID(), list[0].ID())
			}
			least := time.Second
			if body == "in two seconds" {
				least = 2 * time.Second
			}
			if took := r.at.Sub(list[i-1].at); took < least-20*time.Millisecond {
				t.Errorf("%s, time %d came after %v", body, i, took)
			}
		}
	}
	dead := &inbox{}
	c.consumer(t, name(t, "undertaker"), message.DLQTopic(group), dead)
	dead.await(t, "hopeless", "given up")
	for _, d := range dead.all() {
		if string(d.Body) != "hopeless" {
			continue
		}
		if d.Tags() != "tag" || !slices.Equal(d.Keys(), []string{"key"}) || d.Property(message.PropertyRetryTopic) != topic {
			t.Errorf("dead letter: properties %v; sent as %v", d.Properties, sent)
		}
	}
}

// The selecting consumers get a message of no tag of theirs last, so that what they
// did not get by then they will never get.
func testTags(t *testing.T, c *cluster) {
	topic := c.topic(t, "topic", 1)
	all, some := &inbox{}, &inbox{}
	c.consumer(t, name(t, "all"), topic, all)
	c.selecting(t, name(t, "some"), topic, client.Tags("red || Aa"), some)
	p := c.producer(t)
	var bodies []string
	// BB has the hash of Aa: the broker cannot tell them apart.
	for i, tag := range []string{"red", "green", "Aa", "BB", "", "red"} {
		m := message.New(topic, fmt.Append(nil, i, tag))
		m.SetTags(tag)
		send(t, p, m)
		bodies = append(bodies, string(m.Body))
	}
	all.await(t, bodies...)
	some.await(t, bodies[0], bodies[2], bodies[5])
}

func testSQL(t *testing.T, c *cluster) {
	topic, in := c.topic(t, "topic", 1), &inbox{}
	c.selecting(t, name(t, "group"), topic, client.SQL("price BETWEEN 10 AND 20 AND TAGS <> 'green'"), in)
	p := c.producer(t)
	var want []string
	for i := range 30 {
		m := message.New(topic, fmt.Append(nil, i))
		m.SetTags([]string{"red", "green"}[i%2])
		if err := m.SetProperty("price", strconv.Itoa(i)); err != nil {
			t.Fatal(err)
		}
		send(t, p, m)
		if i >= 10 && i <= 20 && i%2 == 0 {
			want = append(want, string(m.Body))
		}
	}
	in.await(t, want...)
}

// A group goes on where its last consumer stopped.
func testConsumerRestart(t *testing.T, c *cluster) {
	topic, group := c.topic(t, "topic", 2), name(t, "group")
	p := c.producer(t)
	for round := range 3 {
		bodies := numbered(fmt.Sprint("round-", round), 10)
		sendAll(t, p, topic, bodies...)
		in := &inbox{}
		running := c.consumer(t, group, topic, in)
		in.await(t, bodies...)
		if err := running.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Close waits for the handler that runs, and what it has handled does not come
// again.
func testGracefulClose(t *testing.T, c *cluster) {
	topic, group := c.topic(t, "topic", 1), name(t, "group")
	begun, finish := make(chan struct{}), make(chan struct{})
	in := &inbox{answer: func(m *message.Received) error {
		if string(m.Body) == "slow" {
			close(begun)
			<-finish
		}
		return nil
	}}
	running := c.consumer(t, group, topic, in)
	p := c.producer(t)
	sendAll(t, p, topic, "slow")
	<-begun
	ended := make(chan error)
	go func() { ended <- running.Close() }()
	select {
	case <-ended:
		t.Error("Close did not wait for the handler")
	case <-time.After(100 * time.Millisecond):
	}
	close(finish)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	sendAll(t, p, topic, "next")
	again := &inbox{}
	c.consumer(t, group, topic, again)
	again.await(t, "next")
}

// Members that come get their share, and those that stay get back what one that
// goes had: every message comes, though one of a queue that moves may come twice.
func testJoinAndLeave(t *testing.T, c *cluster) {
	const queues = 4
	topic, group := c.topic(t, "topic", queues), name(t, "group")
	p := c.producer(t)
	var sent []string
	var ins []*inbox
	// shared sends until the members have their shares, by queues.
	shared := func(want ...int) {
		t.Helper()
		await(t, func() string {
			have := make([]map[int32]bool, len(ins))
			bodies := numbered(fmt.Sprint("m", len(sent)), 2*queues)
			sendAll(t, p, topic, bodies...)
			sent = append(sent, bodies...)
			await(t, func() string {
				n := 0
				for i, in := range ins {
					have[i] = map[int32]bool{}
					for _, m := range in.all() {
						if slices.Contains(bodies, string(m.Body)) {
							have[i][m.QueueID] = true
							n++
						}
					}
				}
				if n < len(bodies) {
					return fmt.Sprintf("%d of %d have come", n, len(bodies))
				}
				return ""
			})
			for i := range ins {
				if len(have[i]) != want[i] {
					return fmt.Sprintf("member %d has %d queues, want %v", i, len(have[i]), want)
				}
			}
			return ""
		})
	}
	join := func() *client.PushConsumer {
		in := &inbox{}
		ins = append(ins, in)
		return c.consumer(t, group, topic, in)
	}
	join()
	shared(queues)
	second := join()
	shared(queues/2, queues/2)
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	shared(queues, 0)
	var have []string
	for _, in := range ins {
		have = append(have, in.bodies()...)
	}
	slices.Sort(have)
	slices.Sort(sent)
	if !slices.Equal(slices.Compact(have), sent) {
		t.Errorf("%d messages sent, %d different ones came", len(sent), len(slices.Compact(have)))
	}
}

// Every consumer of a broadcast group gets everything, and goes on where it
// stopped: the offsets are in its file.
func testBroadcast(t *testing.T, c *cluster) {
	topic, group := c.topic(t, "topic", 3), name(t, "group")
	p := c.producer(t)
	a, b, dir := &inbox{}, &inbox{}, t.TempDir()
	c.consumer(t, group, topic, a, client.WithBroadcast(t.TempDir()))
	stopped := c.consumer(t, group, topic, b, client.WithBroadcast(dir))
	first, second := numbered("first", 9), numbered("second", 9)
	sendAll(t, p, topic, first...)
	a.await(t, first...)
	b.await(t, first...)
	if err := stopped.Close(); err != nil {
		t.Fatal(err)
	}
	sendAll(t, p, topic, second...)
	a.await(t, slices.Concat(first, second)...)
	again := &inbox{}
	c.consumer(t, group, topic, again, client.WithBroadcast(dir))
	again.await(t, second...)
}

// A group that is new begins at the first message, at a time, or at the end. A
// queue whose first message is still there has for brokers no end: a new group
// begins at 0, as in RocketMQ, unless it broadcasts.
func testStart(t *testing.T, c *cluster) {
	topic := c.topic(t, "topic", 1)
	p := c.producer(t)
	old, middle := numbered("old", 5), numbered("middle", 5)
	sendAll(t, p, topic, old...)
	// Times of consumers are in whole seconds on the wire.
	border := time.Now().Truncate(time.Second).Add(time.Second)
	<-time.After(time.Until(border.Add(10 * time.Millisecond)))
	sendAll(t, p, topic, middle...)
	first, last, timed := &inbox{}, &inbox{}, &inbox{}
	c.consumer(t, name(t, "first"), topic, first)
	c.consumer(t, name(t, "timed"), topic, timed, client.WithStart(client.StartAt(border)), client.WithBroadcast(t.TempDir()))
	c.consumer(t, name(t, "last"), topic, last, client.WithStart(client.StartLatest), client.WithBroadcast(t.TempDir()))
	first.await(t, slices.Concat(old, middle)...)
	timed.await(t, middle...)
	// It begins at the end at its start, or soon after: of what is sent from now on it
	// may miss the first.
	for n := 0; len(last.all()) == 0; n++ {
		sendAll(t, p, topic, fmt.Sprint("new-", n))
		<-time.After(20 * time.Millisecond)
	}
	for _, body := range last.bodies() {
		if body[:4] != "new-" {
			t.Errorf("the group that begins at the end got %s", body)
		}
	}
}

// A consumer that pauses gets nothing but what it had fetched; one that resumes
// goes on.
func testPause(t *testing.T, c *cluster) {
	topic, in := c.topic(t, "topic", 1), &inbox{}
	var paused atomic.Bool
	in.answer = func(*message.Received) error {
		if paused.Load() {
			t.Error("a message came to a consumer that pauses")
		}
		return nil
	}
	consumer := c.consumer(t, name(t, "group"), topic, in)
	p := c.producer(t)
	sendAll(t, p, topic, "before")
	in.await(t, "before")
	consumer.Pause()
	paused.Store(true)
	sendAll(t, p, topic, "meanwhile")
	<-time.After(300 * time.Millisecond)
	paused.Store(false)
	consumer.Resume()
	in.await(t, "before", "meanwhile")
}
