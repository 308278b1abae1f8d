// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// pops makes a broker one that pops: the messages of each queue once, in their
// order, and holds pops that find nothing until more is popped.
type pops struct {
	b *broker

	mu      sync.Mutex
	next    map[int32]int64 // by queue
	acked   []string        // queue@offset, in the order of the acks
	hidden  []string        // queue@offset ms
	held    []remoting.Ticket
	share   []byte // the answer to QUERY_ASSIGNMENT; nil: not supported
	deaf    int    // so many acks are not answered
	singles bool   // no batch acks
}

func (w *world) popping(name string, port int) *pops {
	p := &pops{next: map[int32]int64{}}
	p.b = w.broker(name, port, nil)
	p.b.answer = p.handle
	w.t.Cleanup(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, t := range p.held {
			t.Discard()
		}
	})
	return p
}

func (p *pops) handle(r *remoting.Request) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	fail := func(err error) { r.Reply(&wire.Response{Code: wire.SystemError, Remark: err.Error()}) }
	switch r.Code {
	case wire.ReqPopMessage:
		var h header.PopRequest
		if err := h.DecodeExt(r.Ext); err != nil {
			fail(err)
		} else if answer := p.pop(&h); answer != nil {
			r.Reply(answer)
		} else if h.PollTime > 0 {
			p.held = append(p.held, r.Ticket())
		} else {
			r.Reply(&wire.Response{Code: wire.PollingTimeout})
		}
	case wire.ReqQueryAssignment:
		if p.share == nil {
			return false
		}
		r.Reply(&wire.Response{Body: p.share})
	case wire.ReqAckMessage:
		var h header.AckRequest
		if err := h.DecodeExt(r.Ext); err != nil {
			fail(err)
			break
		}
		p.acked = append(p.acked, fmt.Sprintf("%s %d@%d", h.Topic, h.QueueID, h.Offset))
		p.reply(r)
	case wire.ReqBatchAckMessage:
		if p.singles {
			return false
		}
		var b body.BatchAckRequest
		if err := body.Unmarshal(r.Body, &b); err != nil {
			fail(err)
			break
		}
		for i := range b.Acks {
			offsets, _ := b.Acks[i].Offsets()
			for _, o := range offsets {
				p.acked = append(p.acked, fmt.Sprintf("%s#%s %d@%d", b.Acks[i].Topic, b.Acks[i].Retry, b.Acks[i].QueueID, o))
			}
		}
		p.reply(r)
	case wire.ReqChangeMessageInvisibleTime:
		var h header.ChangeInvisibleRequest
		if err := h.DecodeExt(r.Ext); err != nil {
			fail(err)
			break
		}
		p.hidden = append(p.hidden, fmt.Sprintf("%s %d", h.ExtraInfo, h.InvisibleTime))
		r.Reply(&wire.Response{Header: &header.ChangeInvisibleResponse{PopTime: 2000, InvisibleTime: h.InvisibleTime, ReviveQID: 6}})
	default:
		return false
	}
	return true
}

func (p *pops) reply(r *remoting.Request) {
	if p.deaf--; p.deaf < 0 {
		r.Reply(&wire.Response{})
	}
}

// pop gives what a queue, or the first queue with messages, has; nil: nothing.
func (p *pops) pop(h *header.PopRequest) *wire.Response {
	p.b.mu.Lock()
	defer p.b.mu.Unlock()
	for q := range int32(4) {
		if h.QueueID != anyQueue && h.QueueID != q {
			continue
		}
		left := p.b.queues[q][min(p.next[q], int64(len(p.b.queues[q]))):]
		left = left[:min(len(left), int(h.MaxMsgNums))]
		if len(left) == 0 {
			continue
		}
		var offsets, counts []string
		for i := range left {
			at := p.next[q] + int64(i)
			offsets = append(offsets, fmt.Sprint(at))
			counts = append(counts, fmt.Sprintf("0 qo%d%%%d %d", q, at, at))
		}
		res := &header.PopResponse{
			PopTime: 1000, InvisibleTime: h.InvisibleTime, ReviveQID: 5, StartOffsetInfo: fmt.Sprintf("0 %d %d", q, p.next[q]),
			MsgOffsetInfo: fmt.Sprintf("0 %d %s", q, strings.Join(offsets, ",")),
		}
		if h.Order {
			res.OrderCountInfo = strings.Join(counts, ";")
		}
		p.next[q] += int64(len(left))
		return &wire.Response{Header: res, Body: slices.Concat(left...)}
	}
	return nil
}

// put stores messages and answers a held pop with them.
func (p *pops) put(queue int32, tag string, bodies ...string) {
	for _, text := range bodies {
		p.b.put(queue, &message.Record{Topic: []byte("T"), Body: []byte(text), Properties: message.AppendProperty(nil, message.PropertyTags, tag)})
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.held) > 0 {
		p.held[0].Reply(p.pop(&header.PopRequest{QueueID: anyQueue, MaxMsgNums: maxPop, InvisibleTime: 60000}))
		p.held = p.held[1:]
	}
}

func (p *pops) acks() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.acked)
}
