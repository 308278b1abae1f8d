// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// appendAcks writes the acks of what the last pop gave behind out, and tells how
// many requests they are.
func (p *popper) appendAcks(out []byte, opaque int32, h *header.PopResponse) ([]byte, int) {
	if p.load.Batch {
		b := body.BatchAckRequest{BrokerName: p.target.Broker}
		for i := range p.parts {
			of := &p.parts[i]
			a := body.BatchAck{
				ConsumerGroup: p.group, Topic: p.load.Topic, Retry: string(rune(of.Kind)), QueueID: of.Queue, ReviveQueueID: h.ReviveQID,
				PopTime: h.PopTime, InvisibleTime: h.InvisibleTime,
			}
			a.SetOffsets(of.Start, of.Offsets...)
			b.Acks = append(b.Acks, a)
		}
		return wire.AppendRequest(out, &wire.Request{
			Code: wire.ReqBatchAckMessage, Opaque: opaque, Encoding: p.load.Encoding, Language: wire.LanguageJava, Version: wire.Version, Body: body.Marshal(&b),
		}), 1
	}
	requests := 0
	for i := range p.parts {
		of := &p.parts[i]
		topic := p.load.Topic
		switch of.Kind {
		case header.PopRetryV1:
			topic = message.PopRetryTopics(p.group, topic)[0]
		case header.PopRetryV2:
			topic = message.PopRetryTopics(p.group, topic)[1]
		}
		handle := header.PopHandle{
			Start: of.Start, PopTime: h.PopTime, Invisible: h.InvisibleTime, Revive: h.ReviveQID, Kind: of.Kind, Broker: p.target.Broker, Queue: of.Queue,
		}
		for _, handle.Offset = range of.Offsets {
			requests++
			out = wire.AppendRequest(out, &wire.Request{
				Code: wire.ReqAckMessage, Opaque: opaque, Encoding: p.load.Encoding, Language: wire.LanguageJava, Version: wire.Version,
				Header: &header.AckRequest{ConsumerGroup: p.group, Topic: topic, QueueID: of.Queue, Offset: handle.Offset, ExtraInfo: handle.String()},
			})
		}
	}
	return out, requests
}
