// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/wire"
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
