// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package crash

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

const (
	connections = 4
	inflight    = 16
	queues      = 4
)

// shared is what the loads of one round share.
type shared struct {
	clock  atomic.Int64
	ending atomic.Bool // the broker is being stopped: a refusal is no fault

	mu    sync.Mutex
	first error
}

// fail keeps the first fault, which fails the round.
func (s *shared) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.first == nil {
		s.first = err
	}
}

// call takes the error of a call that ended a load: that the broker is gone is
// no fault, that it refused is one unless it is being stopped.
func (s *shared) call(what string, err error) {
	if _, answered := rpc.CodeOf(err); answered && !s.ending.Load() {
		s.fail(fmt.Errorf("%s: %w", what, err))
	}
}

// busy tells whether a call was refused because the disk was too slow.
func busy(err error) bool {
	code, answered := rpc.CodeOf(err)
	return answered && code == wire.SystemBusy
}

// fault is the first fault, nil when there was none.
func (s *shared) fault() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.first
}

// load sends to a broker over connections of its own until they break.
type load struct {
	addr   string
	topic  string // exists, with queues queues
	auto   string // does not exist before the first send
	prefix string // of the keys
	acks   atomic.Int64

	*shared
	wg      sync.WaitGroup
	senders []*sender
}

// start connects and begins to send.
func (l *load) start(seed uint64) error {
	for i := range connections {
		conn, err := net.Dial("tcp", l.addr)
		if err != nil {
			return err
		}
		s := &sender{load: l, conn: conn, id: i, rng: rand.New(rand.NewPCG(seed, uint64(i)))}
		l.senders = append(l.senders, s)
		l.wg.Go(func() { l.fail(s.run()) })
	}
	return nil
}

// wait waits until the broker ended all connections, and gives what was sent by
// topic.
func (l *load) wait() map[string][]sent {
	l.wg.Wait()
	all := make(map[string][]sent)
	for _, s := range l.senders {
		for _, m := range s.log {
			all[m.topic] = append(all[m.topic], m)
		}
	}
	return all
}

// sender is one connection. A request's opaque is its place in flight.
type sender struct {
	load *load
	conn net.Conn
	id   int
	rng  *rand.Rand
	log  []sent
	out  []byte

	// flight has the first and number of the messages of each request in flight.
	flight [inflight]struct{ first, count int }
	free   []int
}

// run sends and reads answers until the connection ends, which is no error.
func (s *sender) run() error {
	defer s.conn.Close()
	for i := range inflight {
		s.free = append(s.free, i)
	}
	in := bufio.NewReaderSize(s.conn, 64<<10)
	var frame []byte
	var dec wire.Decoder
	for {
		for _, slot := range s.free {
			s.request(slot)
		}
		s.free = s.free[:0]
		if _, err := s.conn.Write(s.out); err != nil {
			return nil
		}
		s.out = s.out[:0]
		for { // at least one answer, and all that came with it
			var size [4]byte
			if _, err := io.ReadFull(in, size[:]); err != nil {
				return nil
			}
			n := binary.BigEndian.Uint32(size[:])
			if n > 1<<20 {
				return fmt.Errorf("an answer of %d bytes", n)
			}
			if cap(frame) < int(n) {
				frame = make([]byte, n)
			}
			frame = frame[:n]
			if _, err := io.ReadFull(in, frame); err != nil {
				return nil
			}
			var c wire.Command
			if err := dec.Decode(frame, &c); err != nil {
				return err
			}
			if err := s.answer(&c); err != nil {
				return err
			}
			if in.Buffered() < 4 {
				break
			}
		}
	}
}

// request puts a new send in flight.
func (s *sender) request(slot int) {
	topic, queue := s.load.topic, int32(s.rng.IntN(queues))
	if s.id == 0 {
		topic = s.load.auto
	}
	count := 1
	if s.rng.IntN(8) == 0 {
		count = 2 + s.rng.IntN(7) // a batch
	}
	s.flight[slot] = struct{ first, count int }{len(s.log), count}
	h := &header.SendRequest{
		ProducerGroup: []byte("crash_sender"), Topic: []byte(topic), DefaultTopic: []byte(message.TopicAutoCreate),
		DefaultTopicQueueNums: queues, QueueID: queue, BornTimestamp: 1_800_000_000_000, Batch: count > 1,
	}
	req := &wire.Request{
		Code: wire.ReqSendMessageV2, Opaque: int32(slot), Header: h, Language: wire.LanguageJava, Version: wire.Version,
		Encoding: wire.Encoding(s.id % 2),
	}
	begun := s.load.clock.Add(1)
	for range count {
		key := fmt.Sprintf("%s-%d-%07d", s.load.prefix, s.id, len(s.log))
		body := text(s.rng, key, count > 1)
		props := message.AppendProperty(nil, message.PropertyUniqueKey, key)
		props = message.AppendProperty(props, message.PropertyWait, "true")
		s.log = append(s.log, sent{key: key, topic: topic, queue: queue, crc: crc32.ChecksumIEEE(body), begun: begun})
		if count > 1 {
			req.Body = message.AppendBatch(req.Body, 0, body, props)
			req.Code = wire.ReqSendBatchMessage
			continue
		}
		req.Body, h.Properties = body, props
	}
	s.out = wire.AppendRequest(s.out, req)
}

// text is the body of a message: its key and random letters, mostly short, now
// and then many pages.
func text(rng *rand.Rand, key string, short bool) []byte {
	n := rng.IntN(600)
	if !short && rng.IntN(100) == 0 {
		n = rng.IntN(60_000)
	}
	b := append(make([]byte, 0, len(key)+n), key...)
	for range n {
		b = append(b, byte('a'+rng.IntN(26)))
	}
	return b
}

// answer takes what the broker says to a request in flight.
func (s *sender) answer(c *wire.Command) error {
	if !c.IsResponse() || c.Opaque < 0 || int(c.Opaque) >= inflight || s.flight[c.Opaque].count == 0 {
		return fmt.Errorf("an answer to nothing in flight: code %d opaque %d", c.Code, c.Opaque)
	}
	f := s.flight[c.Opaque]
	s.flight[c.Opaque].count = 0
	s.free = append(s.free, int(c.Opaque))
	if c.Code != wire.Success {
		if s.load.ending.Load() {
			return nil // perhaps stored, perhaps not
		}
		if c.Code == wire.SystemBusy {
			for i := range f.count {
				s.log[f.first+i].busy = true
			}
			return nil
		}
		return fmt.Errorf("the send of %s is answered %d %s: %s", s.log[f.first].key, c.Code, wire.ResponseName(c.Code), c.Remark)
	}
	var h header.SendResponse
	if err := h.DecodeExt(c.Ext); err != nil {
		return err
	}
	if want := s.log[f.first].queue; h.QueueID != want {
		return fmt.Errorf("%s was sent to queue %d and is answered with queue %d", s.log[f.first].key, want, h.QueueID)
	}
	now := s.load.clock.Add(1)
	for i := range f.count {
		m := &s.log[f.first+i]
		m.answered, m.offset = now, h.QueueOffset+int64(i)
	}
	s.load.acks.Add(int64(f.count))
	return nil
}
