// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package handler

import (
	"strings"
	"sync"
	"time"

	"github.com/twostage/twostage/internal/broker/inflow"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/trace"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// EndOfBatch stores what the last read brought in and answers it.
func (s *Send) EndOfBatch(rc *remoting.Conn) {
	if c, ok := rc.State().(*Conn); ok && len(c.pending) > 0 {
		s.flush(c)
	}
}

func (s *Send) flush(c *Conn) {
	flush, every := s.Settings().Flush, s.Every()
	c.batch.Wait = flush.SendWait
	if s.Tracer != nil {
		appending(c)
	}
	err := s.Log.Append(&c.batch)
	written := c.batch.Written()
	s.count(c, written)
	s.takeIn(c, written)
	syncs, syncsHalves := s.Log.SyncFlush(), s.Log.SyncFlush() || s.Halves.Sync()
	var later *flushWait
	for i := range c.pending {
		p := &c.pending[i]
		if p.first+p.count > written {
			s.unstored(p, err)
			continue
		}
		at := c.batch.Result(p.first)
		if p.isHalf {
			s.Halves.Stored(at, c.batch.Encoded(p.first), &p.half)
		}
		if p.traced != nil {
			p.traced.Stored(p.queue, at.QueueOffset, at.PhysicalOffset)
		}
		if (syncs || syncsHalves && p.isHalf) && !p.noWait {
			if later == nil {
				later = &flushWait{every: every}
			}
			last := c.batch.Result(p.first + p.count - 1)
			later.add(p, s.ids(nil, c, p), at.QueueOffset, last.PhysicalOffset+int64(last.Size))
			continue
		}
		c.ids = s.ids(c.ids[:0], c, p)
		c.answer = header.SendResponse{MsgID: c.ids, QueueID: p.queue, QueueOffset: at.QueueOffset, RecallHandle: p.recall, Every: every}
		p.ticket.Reply(&wire.Response{Code: wire.Success, Header: &c.answer})
		if p.traced != nil {
			p.traced.Answered(wire.Success, "")
		}
	}
	clear(c.pending)
	c.pending = c.pending[:0]
	c.batch.Reset()
	if later != nil {
		later.wait(s.Log, flush.SyncTimeout)
	}
}

// count counts the sends whose records were all written, those of one topic that
// follow each other together.
func (s *Send) count(c *Conn, written int) {
	took := c.batch.Took()
	requests, messages, size := 0, 0, 0
	for i := range c.pending {
		p := &c.pending[i]
		if p.first+p.count > written {
			continue
		}
		requests, messages = requests+1, messages+p.count
		for i := range p.count {
			size += int(c.batch.Result(p.first + i).Size)
		}
		if i+1 == len(c.pending) || c.pending[i+1].came != p.came {
			s.Stats.Sent(p.came, requests, messages, size, took)
			requests, messages, size = 0, 0, 0
		}
	}
}

// takeIn counts what consumers can see from now on, of the sends whose records were
// all written.
func (s *Send) takeIn(c *Conn, written int) {
	var run struct {
		topic string
		kind  inflow.Kind
		inflow.Tally
	}
	for i := range c.pending {
		p := &c.pending[i]
		if p.first+p.count > written || p.visible == "" {
			continue
		}
		if run.topic != "" && (p.visible != run.topic || p.kind != run.kind) {
			s.Inflow.Add(run.topic, run.kind, &run.Tally)
			run.Tally = inflow.Tally{}
		}
		run.topic, run.kind = p.visible, p.kind
		for i := range p.count {
			run.Add(1, int64(c.batch.Result(p.first+i).Size))
		}
		if p.givenUp != "" {
			s.Inflow.DeadLetter(strings.TrimPrefix(p.visible, message.DLQPrefix), p.givenUp)
		}
	}
	if run.topic != "" {
		s.Inflow.Add(run.topic, run.kind, &run.Tally)
	}
}

// ids appends the offset ids of a send's records, joined by commas.
func (s *Send) ids(dst []byte, c *Conn, p *pendingSend) []byte {
	for i := range p.count {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = message.AppendOffsetID(dst, s.Host, c.batch.Result(p.first+i).PhysicalOffset)
	}
	return dst
}

// flushWait is the sends of one batch that are answered when they are on disk.
type flushWait struct {
	sends []flushedSend
	end   int64 // of the last one in the log
	every *wire.ExtConst
	once  sync.Once
}

type flushedSend struct {
	ticket remoting.Ticket
	ids    []byte
	queue  int32
	offset int64
	recall []byte
	traced *trace.Sending
}

func (w *flushWait) add(p *pendingSend, ids []byte, offset, end int64) {
	w.sends = append(w.sends, flushedSend{ticket: p.ticket, ids: ids, queue: p.queue, offset: offset, recall: p.recall, traced: p.traced})
	w.end = max(w.end, end)
}

// wait answers when the log is on disk up to the last send, or with
// FLUSH_DISK_TIMEOUT after the timeout. The message is stored in either case.
func (w *flushWait) wait(log Log, timeout time.Duration) {
	timer := time.AfterFunc(timeout, func() {
		w.answer(wire.FlushDiskTimeout, "the message is stored, but was not on disk after "+timeout.String()+" (syncFlushTimeout)")
	})
	log.WhenFlushed(w.end, func(err error) {
		timer.Stop()
		if err != nil {
			w.answer(storeFailure(err))
			return
		}
		w.answer(wire.Success, "")
	})
}

func (w *flushWait) answer(code int32, remark string) {
	w.once.Do(func() {
		for i := range w.sends {
			s := &w.sends[i]
			s.ticket.Reply(&wire.Response{Code: code, Remark: remark, Header: &header.SendResponse{
				MsgID: s.ids, QueueID: s.queue, QueueOffset: s.offset, RecallHandle: s.recall, Every: w.every,
			}})
			s.traced.Answered(code, remark)
		}
	})
}
