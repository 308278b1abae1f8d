// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
)

// PopGroupPrefix begins the names of the groups that loads of pops consume as: a
// group of its own for each run, so that each begins with the first message.
const PopGroupPrefix = "twostage_bench_pop_"

// PopLoad pops what one topic holds and acks it. Each connection has
// Load.Inflight pops in flight, and pops again in the place of one when all that
// it gave is acked. Pull.Count messages are asked for at once; Size, Topics, Rate
// and Fill are not looked at.
type PopLoad struct {
	Load
	Batch     bool          // one BATCH_ACK_MESSAGE for all that a pop gave; false: one ACK_MESSAGE for each message
	Invisible time.Duration // asked for, whole milliseconds, at least one
	Settle    time.Duration // the broker's CPU time is counted for so long after the run, too: of a checkpoint it also looks at the end, after Invisible
}

// PopResult is what a load of pops measured. Result counts messages whose ack was
// answered; its latency is that of pops without their acks, and its CPU times are
// those of the run without Settle.
type PopResult struct {
	Result
	Acked       int64                   // with those of the warm-up
	Redelivered int64                   // messages out of the group's retry topic: given again although they were popped before
	Acks        *hdrhistogram.Histogram // of ack requests, in nanoseconds
	Whole       time.Duration           // CPU time of the broker for all that was acked, from the first pop to the end of Settle; 0: not measured
}

// WholeMicros is the broker's CPU time for one message with all that follows from
// it until the end of Settle, in microseconds; 0: not measured.
func (r *PopResult) WholeMicros() float64 {
	return float64(r.Whole) / float64(time.Microsecond) / float64(max(r.Acked, 1))
}

// Err says what the broker did that it must not do, nil when there is nothing.
func (r *PopResult) Err() error {
	if r.Redelivered > 0 {
		return fmt.Errorf("%d messages were given again while their acks were on their way: --invisible is too short, or an ack did not count", r.Redelivered)
	}
	return nil
}

// Pop runs a load of pops. It ends early when all is popped; a topic that gives
// nothing while it is measured is an error.
func Pop(ctx context.Context, l PopLoad) (*PopResult, error) {
	if l.Invisible < time.Millisecond || l.Settle < 0 {
		return nil, fmt.Errorf("bench: an invisible time of %v and %v to settle: at least 1ms and 0s", l.Invisible, l.Settle)
	}
	l.Size = max(l.Size, 1)
	l.Conns = max(l.Conns, len(l.Targets))
	if l.Pull.Count == 0 {
		l.Pull.Count = defaultCount
	}
	group := fmt.Sprintf("%s%08x", PopGroupPrefix, rand.Uint32())
	before, err := l.cpu()
	if err != nil {
		return nil, err
	}
	var workers []*popper
	res, err := l.run(ctx, func(i int, c *counters) worker {
		p := &popper{
			own: c, load: &l, group: group, target: l.Targets[i%len(l.Targets)], queue: int32(i / len(l.Targets)), acks: newHistogram(),
			slots: make([]popSlot, l.Inflight),
		}
		workers = append(workers, p)
		return p
	})
	if err != nil {
		return nil, err
	}
	if res.Messages == 0 {
		return nil, fmt.Errorf("bench: no message of topic %s was popped and acked in the time of counting: it holds none, or all were popped in the warm-up", l.Topic)
	}
	r := &PopResult{Result: *res}
	acks := newHistogram()
	for _, w := range workers {
		r.Acked += w.own.count.Load()
		r.Redelivered += w.redelivered
		acks.Merge(w.acks)
	}
	r.Acks = acks
	if err := wait(ctx, l.Settle, nil, nil); err != nil {
		return nil, err
	}
	after, err := l.cpu()
	r.Whole = after - before
	return r, err
}

// popSilence is how long all queues give nothing until there is taken to be nothing.
const popSilence = 200 * time.Millisecond

// popSlot is a place in flight: a pop, then its acks.
type popSlot struct {
	sent     time.Time // the pop, then its acks
	dry      int       // how many queues in turn gave nothing
	pending  int       // acks that are not answered; 0: the pop is not
	messages int64     // of the pop
	bytes    int64
	done     bool
}

// popper is one connection of a load of pops. The opaque of a pop is firstOpaque
// and its slot, that of an ack has the number of slots added, once or more.
type popper struct {
	own         *counters
	load        *PopLoad
	group       string
	target      Target
	queue       int32 // popped last
	slots       []popSlot
	out         []byte
	parts       []header.PopPart
	gave        time.Time // when a pop gave something, or the run began
	redelivered int64
	acks        *hdrhistogram.Histogram
}

func (p *popper) counters() *counters { return p.own }

// pop asks for messages of the next queue: queues in turn rather than all at once,
// as clients do.
func (p *popper) pop(slot int, now time.Time) {
	s := &p.slots[slot]
	s.sent = now
	p.queue = (p.queue + 1) % max(p.target.Queues, 1)
	p.out = wire.AppendRequest(p.out, &wire.Request{
		Code: wire.ReqPopMessage, Opaque: firstOpaque + int32(slot), Encoding: p.load.Encoding, Language: wire.LanguageJava, Version: wire.Version,
		Header: &header.PopRequest{
			ConsumerGroup: p.group, Topic: p.load.Topic, QueueID: p.queue, MaxMsgNums: int32(p.load.Pull.Count),
			InvisibleTime: p.load.Invisible.Milliseconds(), BornTime: now.UnixMilli(), InitMode: header.PopInitMin,
		},
	})
}

func (p *popper) run(conn net.Conn, stop *atomic.Bool) error {
	now := time.Now()
	p.gave = now
	for slot := range p.slots {
		p.pop(slot, now)
	}
	in := newFrames(conn)
	var dec wire.Decoder
	var cmd wire.Command
	for left := len(p.slots); left > 0; {
		if len(p.out) > 0 {
			if _, err := conn.Write(p.out); err != nil {
				return fmt.Errorf("bench: popping: %w", err)
			}
			p.out = p.out[:0]
		}
		if err := in.fill(); err != nil {
			if stop.Load() {
				return nil
			}
			return fmt.Errorf("bench: reading answers: %w", err)
		}
		now, stopping := time.Now(), stop.Load()
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
			n := int(cmd.Opaque) - firstOpaque
			if !cmd.IsResponse() || n < 0 {
				continue // a request of the broker's own
			}
			slot := n % len(p.slots)
			if n < len(p.slots) {
				err = p.popped(slot, &cmd, len(frame)-4, now)
			} else {
				err = p.acked(slot, &cmd, now)
			}
			if err != nil {
				return err
			}
			switch s := &p.slots[slot]; {
			case s.pending > 0:
			case stopping || s.done:
				left--
			default:
				p.pop(slot, now)
			}
		}
	}
	return nil
}

// popped takes the answer to a pop, and acks what it gave.
func (p *popper) popped(slot int, cmd *wire.Command, size int, now time.Time) error {
	s := &p.slots[slot]
	switch cmd.Code {
	case wire.Success:
	case wire.PollingTimeout, wire.PullNotFound, wire.PollingFull:
		s.dry++
		// Nothing may also mean that another pop was at the queue.
		s.done = s.dry > 2*int(max(p.target.Queues, 1)) && now.Sub(p.gave) > popSilence
		return nil
	default:
		return fmt.Errorf("bench: the broker answered a pop with %d %s: %s", cmd.Code, wire.ResponseName(cmd.Code), cmd.Remark)
	}
	var h header.PopResponse
	if err := h.DecodeExt(cmd.Ext); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	var err error
	if p.parts, err = h.AppendParts(p.parts[:0]); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	p.gave = now
	s.dry, s.messages, s.bytes = 0, 0, int64(len(cmd.Body))
	for i := range p.parts {
		n := int64(len(p.parts[i].Offsets))
		s.messages += n
		if p.parts[i].Kind != header.PopNormal {
			p.redelivered += n
		}
	}
	if s.messages == 0 {
		return errors.New("bench: the broker answered a pop with success and no message")
	}
	if p.own.measuring.Load() {
		_ = p.own.latency.RecordValue(int64(min(max(now.Sub(s.sent), 0), longest))) // in range
	}
	s.sent = now
	opaque := firstOpaque + int32(len(p.slots)+slot)
	p.out, s.pending = p.appendAcks(p.out, opaque, &h)
	return nil
}

// acked takes the answer to an ack. Messages count when all of their pop's acks
// are answered.
func (p *popper) acked(slot int, cmd *wire.Command, now time.Time) error {
	if cmd.Code != wire.Success {
		return fmt.Errorf("bench: the broker answered an ack with %d %s: %s", cmd.Code, wire.ResponseName(cmd.Code), cmd.Remark)
	}
	s := &p.slots[slot]
	if s.pending == 0 {
		return errors.New("bench: the broker answered an ack twice")
	}
	if p.own.measuring.Load() {
		_ = p.acks.RecordValue(int64(min(max(now.Sub(s.sent), 0), longest))) // in range
	}
	if s.pending--; s.pending == 0 {
		p.own.bytes.Add(s.bytes) // first, as record does
		p.own.count.Add(s.messages)
	}
	return nil
}
