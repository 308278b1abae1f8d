// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package push

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/message"
)

func (w *world) popper(group, topic string, f client.Filter, opts ...client.Option) *client.PopConsumer {
	w.t.Helper()
	c, err := client.NewPopConsumer(group, append([]client.Option{client.WithNameServers(w.srv.Namesrv), client.WithStart(client.StartEarliest)}, opts...)...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = c.Close() })
	if err := c.Subscribe(topic, f); err != nil {
		w.t.Fatal(err)
	}
	return c
}

// receive receives until n messages have come, and gives them by their bodies.
func (w *world) receive(c *client.PopConsumer, n int) (all []*client.Popped) {
	w.t.Helper()
	for len(all) < n {
		got, err := c.Receive(w.ctx, n-len(all), 30*time.Second)
		if err != nil {
			w.t.Fatalf("after %d of %d: %v", len(all), n, err)
		}
		all = append(all, got...)
	}
	slices.SortFunc(all, func(a, b *client.Popped) int { return strings.Compare(string(a.Body), string(b.Body)) })
	return all
}

// nothing expects that nothing is received for a while.
func (w *world) nothing(c *client.PopConsumer) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, quiet)
	defer cancel()
	if got, err := c.Receive(ctx, 32, 30*time.Second); !errors.Is(err, context.DeadlineExceeded) {
		w.t.Errorf("received %d messages, %v", len(got), err)
	}
}

// Messages that are acked do not come again, one that is made visible does, with
// the number of times, and can then be acked.
func TestPop(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.topic("mails", 3)
	w.send("mails", 9)
	c := w.popper("senders", "mails", client.All)
	all := w.receive(c, 9)
	if err := errors.Join(c.Ack(w.ctx, all[:5]...), c.Ack(w.ctx, all[5])); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.ChangeInvisible(w.ctx, all[6], 0), c.ChangeInvisible(w.ctx, all[7], time.Hour)); err != nil {
		t.Fatal(err)
	}
	again := w.receive(c, 1)[0]
	if string(again.Body) != "6" || again.ReconsumeTimes != 1 || again.Topic != "mails" {
		t.Errorf("%s came again, for the %dth time, of %s", again.Body, again.ReconsumeTimes+1, again.Topic)
	}
	// The hidden one by its new handle, and another given again together with one that
	// was not.
	if err := c.Ack(w.ctx, again, all[7], all[8]); err != nil {
		t.Fatal(err)
	}
	w.nothing(c)
	if err := c.Ack(w.ctx, all...); err != nil {
		t.Errorf("acked twice: %v", err)
	}
}

// A pop that is held is answered when there is something; several consumers share.
func TestPopHeldAndShared(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.topic("jobs", 2)
	workers := []*client.PopConsumer{w.popper("workers", "jobs", client.Tags("do")), w.popper("workers", "jobs", client.Tags("do"))}
	w.nothing(workers[0])
	texts := make(chan string, 10)
	ctx, cancel := context.WithCancel(w.ctx)
	defer cancel()
	ended := make(chan error, len(workers))
	for _, c := range workers {
		go func() {
			for {
				got, err := c.Receive(ctx, 1, 30*time.Second)
				if err != nil {
					ended <- err
					return
				}
				for _, p := range got {
					texts <- string(p.Body)
				}
				if err := c.Ack(w.ctx, got...); err != nil {
					ended <- err
					return
				}
			}
		}()
	}
	for _, text := range []string{"a", "b", "c", "d", "e"} {
		m := message.New("jobs", []byte(text))
		if m.SetTags("do"); text == "c" {
			m.SetTags("leave")
		}
		if _, err := w.p.Send(w.ctx, m); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for range 4 {
		got = append(got, <-texts)
	}
	cancel()
	for range workers {
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	if slices.Sort(got); strings.Join(got, "") != "abde" {
		t.Errorf("received %q", got)
	}
}

// In order, a queue gives nothing while something of it is not acked.
func TestPopInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.topic("account", 1)
	w.send("account", 4)
	c := w.popper("books", "account", client.All, client.WithOrderly())
	first := w.receive(c, 2)
	w.nothing(c)
	if err := c.ChangeInvisible(w.ctx, first[1], 0); err != nil {
		t.Fatal(err)
	}
	if err := c.Ack(w.ctx, first[0]); err != nil {
		t.Fatal(err)
	}
	again := w.receive(c, 1)
	if string(again[0].Body) != "1" || again[0].ReconsumeTimes != 1 {
		t.Errorf("%s came, for the %dth time", again[0].Body, again[0].ReconsumeTimes+1)
	}
	if err := c.Ack(w.ctx, again...); err != nil {
		t.Fatal(err)
	}
	rest := w.receive(c, 2)
	if string(rest[0].Body) != "2" || c.Ack(w.ctx, rest...) != nil {
		t.Errorf("%s came", rest[0].Body)
	}
	w.nothing(c)
}
