// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"sync/atomic"
	"time"

	"github.com/twostage/twostage/internal/wire"
)

// Send runs a load of sends. Messages go round the topics, and on each round to
// the next queue.
//
// Without a rate every connection keeps its requests in flight: a closed loop,
// which shows throughput. With one, messages are due at fixed times whatever the
// server does, and the latency counts from when a message was due, so that a
// stall shows in all the messages that it held up (no coordinated omission). One
// that is due while Inflight others are unanswered waits for a place.
func Send(ctx context.Context, l Load) (*Result, error) {
	if l.Rate < 0 || math.IsNaN(l.Rate) || math.IsInf(l.Rate, 0) {
		return nil, fmt.Errorf("bench: a rate of %g messages a second", l.Rate)
	}
	if l.Fill && l.Warmup == 0 {
		return nil, errors.New("bench: filling queues is a part of the warm-up: there must be one")
	}
	born := time.Now().UnixMilli()
	var keys atomic.Uint64
	keys.Store(uint64(time.Now().UnixNano()))
	if l.Rate > 0 {
		defer moreProcs(l.Conns)()
	}
	return l.run(ctx, func(i int, c *counters) worker {
		s := &sender{
			own: c, size: int64(l.Size), sent: make([]time.Time, l.Inflight), keys: &keys,
			out: newBatch(newTemplate(&l, l.Targets[i%len(l.Targets)], i, born), l.Inflight),
		}
		if l.Rate == 0 {
			return s
		}
		interval := float64(l.Conns) / l.Rate * float64(time.Second)
		return &pacedSender{sender: s, interval: interval, phase: interval * float64(i) / float64(l.Conns)}
	})
}

// sender keeps its places in flight.
type sender struct {
	own  *counters
	size int64
	out  *batch
	sent []time.Time // by place: when its request was sent, or was due
	keys *atomic.Uint64
	key  uint64
}

func (s *sender) counters() *counters { return s.own }

// ask adds the request of a place, which counts from at.
func (s *sender) ask(place int, at time.Time) {
	s.sent[place] = at
	s.key++
	s.out.add(firstOpaque+int32(place), s.key)
}

func (s *sender) run(conn net.Conn, stop *atomic.Bool) error {
	now := time.Now()
	s.key = s.keys.Add(1 << 32)
	for i := range s.sent {
		s.ask(i, now)
	}
	if err := s.out.flush(conn); err != nil {
		return err
	}
	outstanding := len(s.sent)
	in := newFrames(conn)
	for outstanding > 0 {
		if err := in.fill(); err != nil {
			if stop.Load() {
				return nil
			}
			return fmt.Errorf("bench: reading answers: %w", err)
		}
		now = time.Now()
		stopping := stop.Load()
		for {
			place, err := s.answered(in)
			if err != nil {
				return err
			}
			if place < 0 {
				break
			}
			s.own.record(1, s.size, now.Sub(s.sent[place]))
			if stopping {
				outstanding--
				continue
			}
			s.ask(place, now)
		}
		if err := s.out.flush(conn); err != nil {
			return err
		}
	}
	return nil
}

// answered is the place of the next answer that has arrived, -1 if there is none.
func (s *sender) answered(in *frames) (place int, err error) {
	for {
		frame, err := in.next()
		if err != nil || frame == nil {
			return -1, err
		}
		opaque, ok := opaqueOf(frame)
		place := int(opaque) - firstOpaque
		switch {
		case !ok || place < 0 || place >= len(s.sent): // a request of the broker's own
		case !succeeded(frame):
			return -1, refusal(frame)
		default:
			return place, nil
		}
	}
}

// refusal is the error that an answer is.
func refusal(frame []byte) error {
	var d wire.Decoder
	var c wire.Command
	if err := d.Decode(frame[4:], &c); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	return fmt.Errorf("bench: the broker answered %d %s: %s", c.Code, wire.ResponseName(c.Code), c.Remark)
}

// frames reads whole frames from a connection.
type frames struct {
	conn     net.Conn
	buf      []byte
	at, have int
}

func newFrames(conn net.Conn) *frames { return &frames{conn: conn, buf: make([]byte, 256<<10)} }

// fill reads once, more only until at least one byte has come.
func (f *frames) fill() error {
	n, err := f.conn.Read(f.room())
	f.have += n
	if n > 0 {
		return nil
	}
	return err
}

// room is where what comes next belongs. It is never empty.
func (f *frames) room() []byte {
	if f.at > 0 {
		f.have = copy(f.buf, f.buf[f.at:f.have])
		f.at = 0
	}
	if f.have == len(f.buf) {
		f.buf = append(f.buf, make([]byte, len(f.buf))...)
	}
	return f.buf[f.have:]
}

// next is the next whole frame that has arrived, nil if there is none. It is
// valid until fill.
func (f *frames) next() ([]byte, error) {
	n, err := frameAt(f.buf[f.at:f.have])
	if n == 0 || err != nil {
		return nil, err
	}
	frame := f.buf[f.at : f.at+n]
	f.at += n
	return frame, nil
}

var errNotTCP = errors.New("bench: an open loop needs TCP")
