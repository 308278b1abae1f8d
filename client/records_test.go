// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/message"
)

// damage changes a byte of a record.
func (b *broker) damage(queue int32, offset int64, at int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	record := slices.Clone(b.queues[queue][offset-b.min])
	record[at] ^= 1
	b.queues[queue][offset-b.min] = record
}

// Damaged messages are left out, and hold up none of those around them.
func TestDamagedMessageIsLeftOut(t *testing.T) {
	const crc = 8 // in a record
	for name, opts := range map[string][]Option{"concurrent": nil, "orderly": {WithOrderly()}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				b, g := w.groupBroker("a", 10001)
				w.topic("T", 1, b)
				b.number("T", 0, 10)
				for _, offset := range []int64{0, 5, 6, 9} {
					b.damage(0, offset, crc)
				}
				c := newPush(t, w, append(opts, WithConcurrency(1))...)
				var all took
				startPush(t, c, "T", all.handler)
				eventually(t, "the offset", func() bool { return g.offset("g", "T", 0) == 10 })
				if got := all.list(); !slices.Equal(got, []string{"1", "2", "3", "4", "7", "8"}) {
					t.Errorf("consumed %v", got)
				}
				closePush(t, c)
			})
		})
	}
}

// So are those that are polled, tailed or popped.
func TestDamagedMessageIsNotPolled(t *testing.T) {
	const crc = 8 // in a record
	inBubble(t, func(t *testing.T, w *world, a *keeper) {
		a.fill(0, "m", 0, 5)
		a.damage(0, 0, crc)
		a.damage(0, 3, crc)
		c := newTestPull(t, w)
		if err := c.Assign(Queue{"T", "a", 0}); err != nil {
			t.Fatal(err)
		}
		if got := polled(t, c, 3); got != "m-1 m-2 m-4" {
			t.Errorf("polled %q", got)
		}
		if err := c.Commit(t.Context()); err != nil || a.offset("T/0") != 5 {
			t.Errorf("committed %d, %v", a.offset("T/0"), err)
		}
		closed(t, c)
		tailed := ""
		err := newTestPuller(t, w).Tail(t.Context(), "T", TailOptions{FromStart: true}, func(m *message.Received) error {
			tailed += string(m.Body) + " "
			return nil
		})
		if tailed != "m-1 m-2 m-4 " || err != nil {
			t.Errorf("tailed %q, %v", tailed, err)
		}
	})
	w := newWorld(t)
	a := w.popping("a", 10001)
	w.topic("T", 1, a.b)
	a.put(0, "", "m0", "m1", "m2")
	a.b.damage(0, 1, crc)
	if got, texts := received(t, newTestPopper(t, w, All), 9); texts != "m0 m2" || got[1].handle.Offset != 2 {
		t.Errorf("popped %q", texts)
	}
}

// A damaged message that was popped is acked: it would come again as it is, in order
// with all that is behind it.
func TestDamagedPoppedMessageIsAcked(t *testing.T) {
	const crc = 8 // in a record
	for name, opts := range map[string][]Option{"concurrent": nil, "orderly": {WithOrderly()}} {
		t.Run(name, func(t *testing.T) {
			poppingAlone(t, func(t *testing.T, w *world, a *pops) {
				a.put(0, "", "m0", "m1", "m2", "m3")
				a.b.damage(0, 1, crc)
				a.b.damage(0, 3, crc)
				c := newTestPopper(t, w, All, opts...)
				if got := receivedIn(t, c, time.Second, 9); got != "m0 m2" {
					t.Errorf("received %q", got)
				}
				synctest.Wait()
				if got := a.acks(); !slices.Equal(got, []string{"T#0 0@1", "T#0 0@3"}) {
					t.Errorf("acked %q", got)
				}
			})
		})
	}
}

// One whose own place is damaged too, so that it seems to be another's, acks nothing.
func TestDamagedPlaceAcksNothing(t *testing.T) {
	const crc, offset = 8, 27 // in a record; the last byte of the queue offset
	poppingAlone(t, func(t *testing.T, w *world, a *pops) {
		a.put(0, "", "m0", "m1")
		a.b.damage(0, 1, crc)
		a.b.damage(0, 1, offset)
		c := newTestPopper(t, w, All, WithOrderly())
		if got := receivedIn(t, c, time.Second, 9); got != "m0" {
			t.Errorf("received %q", got)
		}
		synctest.Wait()
		if got := a.acks(); len(got) != 0 {
			t.Errorf("acked %q", got)
		}
	})
}

// What is no record is pulled again and again, and what comes before it is consumed.
func TestMessagesBeforeWhatIsNoRecord(t *testing.T) {
	const magic = 4 // in a record
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		b, g := w.groupBroker("a", 10001)
		w.topic("T", 1, b)
		b.number("T", 0, 10)
		b.damage(0, 5, magic)
		c := newPush(t, w, WithConcurrency(1))
		var all took
		startPush(t, c, "T", all.handler)
		time.Sleep(time.Minute)
		if got := g.offset("g", "T", 0); got != 5 || len(all.list()) != 5 {
			t.Errorf("offset %d, consumed %v", got, all.list())
		}
		b.damage(0, 5, magic) // as it was
		eventually(t, "the rest", func() bool { return len(all.list()) == 10 })
		closePush(t, c)
	})
}

// What comes before what is no record is polled, or popped.
func TestMessagesBeforeWhatIsNoRecordArePolled(t *testing.T) {
	const magic = 4 // in a record
	inBubble(t, func(t *testing.T, w *world, a *keeper) {
		a.fill(0, "m", 0, 5)
		a.damage(0, 2, magic)
		c := newTestPull(t, w)
		if err := c.Assign(Queue{"T", "a", 0}); err != nil {
			t.Fatal(err)
		}
		polled(t, c, 2)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if got, err := c.Poll(ctx, 1); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "no message can be read in T") {
			t.Errorf("%v, %v", got, err)
		}
		a.damage(0, 2, magic) // as it was
		if got := polled(t, c, 3); got != "m-2 m-3 m-4" {
			t.Errorf("polled %q", got)
		}
		closed(t, c)
		a.stop()
	})
	w := newWorld(t)
	a := w.popping("a", 10001)
	w.topic("T", 1, a.b)
	a.put(0, "", "m0", "m1", "m2")
	a.b.damage(0, 1, magic)
	if _, texts := received(t, newTestPopper(t, w, All), 9); texts != "m0" {
		t.Errorf("popped %q", texts)
	}
}

// A pull that is about to begin when its queue goes on elsewhere is not sent: it would
// store how far the group was before.
func TestNoPullForAnEarlierWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		b, _ := w.groupBroker("a", 10001)
		w.topic("T", 1, b)
		b.number("T", 0, 5)
		c := newPush(t, w)
		startPush(t, c, "T", (&took{}).handler)
		c.Pause()
		time.Sleep(time.Second)
		a := c.assignments()[0]
		before := a.current()
		a.restart(2)
		pulls := len(b.got(wire.ReqPullMessage))
		if _, _, err := c.pull(t.Context(), a, before, 0); err == nil {
			t.Error("pulled")
		}
		if n := len(b.got(wire.ReqPullMessage)); n != pulls {
			t.Errorf("%d pulls were sent", n-pulls)
		}
		closePush(t, c)
	})
}

// Messages that are consumed directly, which may take long, hold up nothing else that
// brokers ask.
func TestConsumingDirectlyHasItsOwnLane(t *testing.T) {
	c, err := NewPushConsumer("g", WithNameServers(nameServer))
	if err != nil {
		t.Fatal(err)
	}
	closing(t, c)
	routes := c.routes()
	direct, _ := routes(wire.ReqConsumeMessageDirectly)
	for _, code := range []int32{wire.ReqResetConsumerClientOffset, wire.ReqGetConsumerStatusFromClient, wire.ReqGetConsumerRunningInfo} {
		if r, ok := routes(code); !ok || r.Lane == direct.Lane {
			t.Errorf("code %d: known %v, in the lane of handlers", code, ok)
		}
	}
}
