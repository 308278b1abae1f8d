// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
)

// ConsumerGroup is the group that the load program pulls as. It stores no
// offsets.
const ConsumerGroup = "twostage_bench"

// Pull says how a load of pulls pulls. The broker's own limits come before these.
type Pull struct {
	Subscription   string // what is asked for [*]
	ExpressionType string // of Subscription: TAG, SQL92; "": not said, which is TAG
	Count          int    // messages asked for at once [32]
	Bytes          int    // bytes asked for at once, which brokers before 5.x do not look at; 0: not said
	Once           bool   // the run ends when each queue was read to its end
}

// defaultCount is how many messages one pull asks for, as clients do.
const defaultCount = 32

// Consume runs a load of pulls over what the topics hold, each queue from its
// first message to its last and then again. A queue that is found empty is not
// pulled any more; it is an error when all are. A connection has Inflight pulls in
// flight, one at most for each of its queues, which take turns. Every target gets
// a connection at least. The latency is that of a pull, not of a message.
func Consume(ctx context.Context, l Load) (*Result, error) {
	l.Size = max(l.Size, 1)
	l.Conns = max(l.Conns, len(l.Targets))
	if l.Pull.Count == 0 {
		l.Pull.Count = defaultCount
	}
	if l.Pull.Once {
		l.Warmup = 0
	}
	left := new(atomic.Int64)
	names := make([][]byte, max(l.Topics, 1))
	for i := range names {
		names[i] = []byte(l.TopicName(i))
	}
	return l.run(ctx, func(i int, c *counters) worker {
		brokers := len(l.Targets)
		t := l.Targets[i%brokers]
		p := &puller{own: c, load: &l, left: left, names: names, subscription: []byte(cmp.Or(l.Pull.Subscription, "*"))}
		if l.Pull.ExpressionType != "" {
			p.expressionType = []byte(l.Pull.ExpressionType)
		}
		first := i / brokers // this connection's place among those of its broker
		step := l.share(i)   // how many share the broker's queues
		queues := int(max(t.Queues, 0))
		all := queues * len(names)
		if first >= all && !l.Pull.Once { // more connections than queues
			first %= max(all, 1)
		}
		for q := first; q < all; q += step {
			p.queues = append(p.queues, pulledQueue{topic: int32(q / queues), id: int32(q % queues)})
		}
		left.Add(int64(len(p.queues)))
		return p
	})
}

type pulledQueue struct {
	topic, id int32
	next      int64
	sent      time.Time
	dry       bool // the last pull from the first message on gave nothing
}

type puller struct {
	own   *counters
	load  *Load
	left  *atomic.Int64 // queues of all pullers that are not known to be empty
	names [][]byte      // of the topics

	subscription, expressionType []byte

	queues  []pulledQueue
	waiting []int // queues to pull, in this order, from head on
	head    int
	flying  int // pulls that are not answered
	out     []byte
}

func (p *puller) counters() *counters { return p.own }

// ask adds pulls until as many are in flight as may be.
func (p *puller) ask(now time.Time) {
	for p.flying < p.load.Inflight && p.head < len(p.waiting) {
		slot := p.waiting[p.head]
		p.head++
		p.flying++
		q := &p.queues[slot]
		q.sent = now
		p.out = wire.AppendRequest(p.out, &wire.Request{
			Code: wire.ReqPullMessage, Opaque: firstOpaque + int32(slot), Encoding: p.load.Encoding,
			Language: wire.LanguageJava, Version: wire.Version,
			Header: &header.PullRequest{
				ConsumerGroup: []byte(ConsumerGroup), Topic: p.names[q.topic], QueueID: q.id, QueueOffset: q.next,
				MaxMsgNums: int32(p.load.Pull.Count), MaxMsgBytes: int32(p.load.Pull.Bytes),
				SysFlag: header.PullSubscription, Subscription: p.subscription, ExpressionType: p.expressionType,
			},
		})
	}
	if p.head == len(p.waiting) {
		p.waiting, p.head = p.waiting[:0], 0
	} else if p.head > len(p.queues) {
		p.waiting, p.head = p.waiting[:copy(p.waiting, p.waiting[p.head:])], 0
	}
}

func (p *puller) flush(conn net.Conn) error {
	if len(p.out) == 0 {
		return nil
	}
	_, err := conn.Write(p.out)
	p.out = p.out[:0]
	if err != nil {
		return fmt.Errorf("bench: pulling: %w", err)
	}
	return nil
}

func (p *puller) run(conn net.Conn, stop *atomic.Bool) error {
	if p.left.Load() == 0 {
		return p.nothing()
	}
	for i := range p.queues {
		p.waiting = append(p.waiting, i)
	}
	p.ask(time.Now())
	if err := p.flush(conn); err != nil {
		return err
	}
	in := newPulled(conn)
	for p.flying > 0 {
		if err := in.fill(); err != nil {
			if stop.Load() {
				return nil
			}
			return fmt.Errorf("bench: reading answers: %w", err)
		}
		now := time.Now()
		stopping := stop.Load()
		for {
			whole, err := in.next()
			if err != nil {
				return err
			}
			if !whole {
				break
			}
			slot := int(in.opaque) - firstOpaque
			if !in.response || slot < 0 || slot >= len(p.queues) {
				continue
			}
			p.flying--
			again, err := p.take(in, slot, now)
			if err != nil {
				return err
			}
			if again {
				p.waiting = append(p.waiting, slot)
			}
		}
		if stopping {
			continue
		}
		p.ask(now)
		if err := p.flush(conn); err != nil {
			return err
		}
	}
	return nil
}

// nothing is the error of a load without messages.
func (p *puller) nothing() error {
	if p.load.Topics > 1 {
		return fmt.Errorf("bench: topics %s to %s hold no message: send to them first", p.load.TopicName(0), p.load.TopicName(p.load.Topics-1))
	}
	return fmt.Errorf("bench: topic %s holds no message: send to it first", p.load.Topic)
}

// take counts what a pull brought and moves its queue on. It tells whether the
// queue is to be pulled again: not if it is empty, or was to be read once.
func (p *puller) take(in *pulled, slot int, now time.Time) (again bool, err error) {
	q, h := &p.queues[slot], &in.header
	switch in.code {
	case wire.Success:
		p.own.record(in.records.count, int64(in.bytes), now.Sub(q.sent))
		q.next, q.dry = h.NextBeginOffset, false
		return !p.load.Pull.Once || q.next < h.MaxOffset, nil
	case wire.PullNotFound, wire.PullRetryImmediately, wire.PullOffsetMoved:
		empty := h.MaxOffset <= h.MinOffset && (q.dry || p.load.Pull.Once)
		if empty && p.left.Add(-1) == 0 {
			return false, p.nothing()
		}
		atEnd := in.code == wire.PullNotFound && q.next >= h.MaxOffset
		if empty || atEnd && p.load.Pull.Once {
			return false, nil
		}
		if atEnd || in.code == wire.PullOffsetMoved {
			q.next, q.dry = h.MinOffset, true
		} else { // what was there is gone
			q.next = h.NextBeginOffset
		}
		return true, nil
	}
	return false, fmt.Errorf("bench: the broker answered a pull with %d %s: %s", in.code, wire.ResponseName(in.code), in.remark)
}
