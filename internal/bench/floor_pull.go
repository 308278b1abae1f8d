// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// maxFloorPull bounds what the floor answers one pull with, in bytes.
const maxFloorPull = 16 << 20

// jsonPull begins the JSON header of a pull as package wire writes it.
var jsonPull = fmt.Appendf(nil, `{"code":%d,`, wire.ReqPullMessage)

// isPull says whether a frame, which opaqueOf understood, is a pull.
func isPull(frame []byte) bool {
	if wire.Encoding(frame[4]) == wire.Binary {
		return binary.BigEndian.Uint16(frame[8:]) == uint16(wire.ReqPullMessage)
	}
	return bytes.HasPrefix(frame[8:], jsonPull)
}

// floorPulls answers the pulls of one connection, which all ask for as much as
// its first one did.
type floorPulls struct {
	answer []byte // up to the body, with the opaque firstOpaque
	body   []byte
	heads  []byte
	bufs   net.Buffers
	spare  net.Buffers
}

func (p *floorPulls) add(frame []byte, opaque int32) error {
	if p.answer == nil {
		if err := p.first(frame); err != nil {
			return err
		}
	}
	if len(p.heads)+len(p.answer) > cap(p.heads) {
		p.heads = make([]byte, 0, max(4<<10, 2*cap(p.heads))) // what is in bufs stays in the old one
	}
	at := len(p.heads)
	p.heads = appendFloorAnswer(p.heads, p.answer, opaque)
	p.spare = append(p.spare, p.heads[at:], p.body)
	return nil
}

func (p *floorPulls) flush(c net.Conn) error {
	if len(p.spare) == 0 {
		return nil
	}
	p.bufs = p.spare
	_, err := p.bufs.WriteTo(c)
	p.heads, p.spare = p.heads[:0], p.spare[:0]
	return err
}

// first makes the answer that fits a pull.
func (p *floorPulls) first(frame []byte) error {
	var d wire.Decoder
	var c wire.Command
	var h header.PullRequest
	if err := d.Decode(frame[4:], &c); err != nil {
		return err
	}
	if err := h.DecodeExt(c.Ext); err != nil {
		return err
	}
	count := min(max(int(h.MaxMsgNums), 1), maxFloorPull/8)
	asked := int(h.MaxMsgBytes)
	if asked <= 0 {
		asked = count * RecordSize(string(h.Topic), 1024)
	}
	size := max(min(asked, maxFloorPull)/count, 8)
	p.body = make([]byte, size*count)
	for at := 0; at < len(p.body); at += size {
		binary.BigEndian.PutUint32(p.body[at:], uint32(size))
	}
	next := h.QueueOffset + int64(count)
	p.answer = wire.AppendResponseHead(nil, c.Encoding, firstOpaque, &wire.Response{
		Header: &header.PullResponse{NextBeginOffset: next, MaxOffset: next},
	}, len(p.body))
	return nil
}

// RecordSize is how many bytes of the log a message of [Send] takes.
func RecordSize(topic string, body int) int {
	host := netip.MustParseAddrPort("127.0.0.1:1")
	return len(message.AppendRecord(nil, &message.Record{
		Topic: []byte(topic), Body: make([]byte, body), BornHost: host, StoreHost: host, Properties: []byte(sendProperties),
	}))
}
