// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"encoding/binary"
	"errors"
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

// pullMax is how many messages one pull asks for.
const pullMax = 32

// Consume runs a load of pulls over what the topic holds, each queue from its
// first message to its last and then again. A queue that is found empty is not
// pulled any more; it is an error when all are. Inflight is not looked at: a
// connection has one pull in flight for each of its queues. Every target gets a
// connection at least. The latency is that of a pull, not of a message.
func Consume(ctx context.Context, l Load) (*Result, error) {
	l.Inflight = 1
	l.Size = max(l.Size, 1)
	l.Conns = max(l.Conns, len(l.Targets))
	left := new(atomic.Int64)
	return l.run(ctx, func(i int, c *counters) worker {
		brokers := len(l.Targets)
		t := l.Targets[i%brokers]
		p := &puller{own: c, load: &l, left: left}
		first := i / brokers                                  // this connection's place among those of its broker
		step := (l.Conns - i%brokers + brokers - 1) / brokers // how many share the broker's queues
		for q := first % int(max(t.Queues, 1)); q < int(t.Queues); q += step {
			p.queues = append(p.queues, pulledQueue{id: int32(q)})
		}
		left.Add(int64(len(p.queues)))
		return p
	})
}

type pulledQueue struct {
	id   int32
	next int64
	sent time.Time
	dry  bool // the last pull from the first message on gave nothing
}

type puller struct {
	own    *counters
	load   *Load
	left   *atomic.Int64 // queues of all pullers that are not known to be empty
	queues []pulledQueue
	out    []byte
}

func (p *puller) counters() *counters { return p.own }

func (p *puller) ask(slot int, now time.Time) {
	q := &p.queues[slot]
	q.sent = now
	p.out = wire.AppendRequest(p.out, &wire.Request{
		Code: wire.ReqPullMessage, Opaque: firstOpaque + int32(slot), Encoding: p.load.Encoding,
		Language: wire.LanguageJava, Version: wire.Version,
		Header: &header.PullRequest{
			ConsumerGroup: []byte(ConsumerGroup), Topic: []byte(p.load.Topic), QueueID: q.id, QueueOffset: q.next,
			MaxMsgNums: pullMax, SysFlag: header.PullSubscription, Subscription: []byte("*"),
		},
	})
}

func (p *puller) run(conn net.Conn, stop *atomic.Bool) error {
	if p.left.Load() == 0 {
		return p.nothing()
	}
	now := time.Now()
	for i := range p.queues {
		p.ask(i, now)
	}
	if _, err := conn.Write(p.out); err != nil {
		return err
	}
	outstanding := len(p.queues)
	in := newFrames(conn)
	var dec wire.Decoder
	var cmd wire.Command
	for outstanding > 0 {
		if err := in.fill(); err != nil {
			if stop.Load() {
				return nil
			}
			return fmt.Errorf("bench: reading answers: %w", err)
		}
		now = time.Now()
		p.out = p.out[:0]
		for {
			frame, err := in.next()
			if err != nil {
				return err
			}
			if frame == nil {
				break
			}
			if err := dec.Decode(frame[4:], &cmd); err != nil {
				return fmt.Errorf("bench: %w", err)
			}
			slot := int(cmd.Opaque) - firstOpaque
			if !cmd.IsResponse() || slot < 0 || slot >= len(p.queues) {
				continue
			}
			empty, err := p.take(&cmd, slot, now)
			if err != nil {
				return err
			}
			if empty && p.left.Add(-1) == 0 {
				return p.nothing()
			}
			if empty || stop.Load() {
				outstanding--
				continue
			}
			p.ask(slot, now)
		}
		if len(p.out) > 0 {
			if _, err := conn.Write(p.out); err != nil {
				return fmt.Errorf("bench: pulling: %w", err)
			}
		}
	}
	return nil
}

// nothing is the error of a topic without messages.
func (p *puller) nothing() error {
	return fmt.Errorf("bench: topic %s holds no message: send to it first", p.load.Topic)
}

// take counts what a pull brought and moves its queue on, unless that is empty.
func (p *puller) take(cmd *wire.Command, slot int, now time.Time) (empty bool, err error) {
	q := &p.queues[slot]
	var h header.PullResponse
	switch cmd.Code {
	case wire.Success:
		if err := h.DecodeExt(cmd.Ext); err != nil {
			return false, fmt.Errorf("bench: %w", err)
		}
		n, err := countRecords(cmd.Body)
		if err != nil {
			return false, err
		}
		p.own.record(n, now.Sub(q.sent))
		q.next, q.dry = h.NextBeginOffset, false
	case wire.PullNotFound, wire.PullRetryImmediately, wire.PullOffsetMoved:
		if err := h.DecodeExt(cmd.Ext); err != nil {
			return false, fmt.Errorf("bench: %w", err)
		}
		if q.dry && h.MaxOffset <= h.MinOffset {
			return true, nil
		}
		q.next, q.dry = h.MinOffset, true
	default:
		return false, fmt.Errorf("bench: the broker answered a pull with %d %s: %s", cmd.Code, wire.ResponseName(cmd.Code), cmd.Remark)
	}
	return false, nil
}

// countRecords counts the stored records in the body of a pull's answer.
func countRecords(body []byte) (n int64, err error) {
	for len(body) > 0 {
		if len(body) < 4 {
			return n, errors.New("bench: a pull's answer ends within a record")
		}
		size := int(int32(binary.BigEndian.Uint32(body)))
		if size < 4 || size > len(body) {
			return n, fmt.Errorf("bench: a pull's answer holds a record of %d bytes with %d left", size, len(body))
		}
		body = body[size:]
		n++
	}
	return n, nil
}
