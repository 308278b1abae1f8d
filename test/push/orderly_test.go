// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package push

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/test/rig"
)

// sendTo sends messages from, from+1, ... to one queue.
func (w *world) sendTo(topic string, queue int32, from, n int) {
	w.t.Helper()
	for i := range n {
		q := client.Queue{Topic: topic, Broker: "broker-a", ID: queue}
		if _, err := w.p.SendTo(w.ctx, q, message.New(topic, []byte(strconv.Itoa(from+i)))); err != nil {
			w.t.Fatal(err)
		}
	}
}

// order checks that the messages of each queue come in their order, one at a time,
// whoever consumes them: a message may come again, but none before its turn.
type order struct {
	mu      sync.Mutex
	next    map[int32]int
	running map[int32]bool
	by      map[string]bool // members that were given something
	bad     []string
	total   int
}

func (o *order) handler(member string) client.Handler {
	return func(_ context.Context, m *message.Received) error {
		n, _ := strconv.Atoi(string(m.Body))
		o.mu.Lock()
		if o.running[m.QueueID] {
			o.bad = append(o.bad, fmt.Sprintf("%s: queue %d has two handlers at %d", member, m.QueueID, n))
		}
		if want := o.next[m.QueueID]; n > want {
			o.bad = append(o.bad, fmt.Sprintf("%s: queue %d: %d before %d", member, m.QueueID, n, want))
		}
		o.running[m.QueueID], o.by[member] = true, true
		o.mu.Unlock()
		time.Sleep(time.Millisecond)
		o.mu.Lock()
		defer o.mu.Unlock()
		o.running[m.QueueID] = false
		if n == o.next[m.QueueID] {
			o.next[m.QueueID]++
			o.total++
		}
		return nil
	}
}

// The order holds while queues change their owners; what a member gives up another
// one has at once, without the lock having to expire.
func TestOrderOverMembers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.topic("ledger", 4)
	o := &order{next: map[int32]int{}, running: map[int32]bool{}, by: map[string]bool{}}
	a := w.consumer("books", client.WithOrderly())
	if err := a.Subscribe("ledger", client.All, o.handler("a")); err != nil {
		t.Fatal(err)
	}
	w.start(a)
	sent := 0
	more := func() {
		for q := range int32(4) {
			w.sendTo("ledger", q, sent, 10)
		}
		sent += 10
	}
	all := func() {
		t.Helper()
		rig.Poll(t, "every message", func() error {
			o.mu.Lock()
			defer o.mu.Unlock()
			if o.total < 4*sent {
				return fmt.Errorf("%d of %d", o.total, 4*sent)
			}
			return nil
		})
	}
	more()
	b := w.consumer("books", client.WithOrderly())
	if err := b.Subscribe("ledger", client.All, o.handler("b")); err != nil {
		t.Fatal(err)
	}
	w.start(b)
	rig.Poll(t, "both have queues", func() error {
		more()
		o.mu.Lock()
		defer o.mu.Unlock()
		if len(o.by) < 2 {
			return errors.New("only one has")
		}
		return nil
	})
	all()
	begun := time.Now()
	w.close(b)
	more()
	all()
	if took := time.Since(begun); took > 20*time.Second {
		t.Errorf("the queues of a member that closed came back after %v", took)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, bad := range o.bad {
		t.Error(bad)
	}
}

// A message that fails holds its queue up until it is consumed or a dead letter;
// other queues go on.
func TestFailureHoldsTheQueueUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.topic("ledger", 2)
	w.sendTo("ledger", 0, 0, 3)
	w.sendTo("ledger", 1, 10, 3)
	var all seen
	c := w.consumer("books", client.WithOrderly(), client.WithMaxAttempts(2))
	err := c.Subscribe("ledger", client.All, func(_ context.Context, m *message.Received) error {
		all.add(m)
		if string(m.Body) == "0" {
			return errors.New("on purpose")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	w.start(c)
	all.waitFor(t, 7)
	var queue0 []string
	for _, m := range all.all {
		if m.QueueID == 0 {
			queue0 = append(queue0, string(m.Body))
		}
	}
	if got := fmt.Sprint(queue0); got != "[0 0 1 2]" {
		t.Errorf("queue 0 gave %s", got)
	}
	var dead seen
	d := w.consumer("undertaker")
	if err := d.Subscribe(message.DLQTopic("books"), client.All, dead.handler); err != nil {
		t.Fatal(err)
	}
	w.start(d)
	dead.waitFor(t, 1)
	w.close(c)
	if got := w.offset("books", "ledger", 0); got != 3 {
		t.Errorf("offset %d, want 3", got)
	}
}
