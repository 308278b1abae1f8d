// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package message

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"
)

// Received is a message as a consumer or a query gets it. It has no lock: once
// it is published it is to be read only.
type Received struct {
	Message
	BrokerName     string // filled in by whoever knows it
	QueueID        int32
	QueueOffset    int64
	PhysicalOffset int64
	Size           int32 // of the record, bytes
	SysFlag        SysFlag
	BodyCRC        uint32 // of the body as stored
	BornTime       time.Time
	BornHost       netip.AddrPort
	StoreTime      time.Time
	StoreHost      netip.AddrPort
	ReconsumeTimes int32
	PreparedOffset int64
}

// NewReceived makes a message of a record. Topic, properties and body are
// copied, the body as it was stored: see Received.Inflate.
func NewReceived(r *Record) *Received {
	m := &Received{Message: Message{
		Topic: string(r.Topic), Properties: ParseProperties(r.Properties), Body: slices.Clone(r.Body),
	}}
	m.fill(r)
	return m
}

// fill sets what has no memory of its own.
func (m *Received) fill(r *Record) {
	m.Flag = r.Flag
	m.QueueID, m.QueueOffset, m.PhysicalOffset, m.Size = r.QueueID, r.QueueOffset, r.PhysicalOffset, r.Size
	m.SysFlag, m.BodyCRC = r.SysFlag, r.BodyCRC
	m.BornTime, m.BornHost = time.UnixMilli(r.BornTimestamp), r.BornHost
	m.StoreTime, m.StoreHost = time.UnixMilli(r.StoreTimestamp), r.StoreHost
	m.ReconsumeTimes, m.PreparedOffset = r.ReconsumeTimes, r.PreparedOffset
}

// DecodeReceived reads the records that b consists of, the body of a pull
// answer, and compares their bodies with their CRC. Errors are those of
// RangeRecords; the messages before the bad one are returned with it.
func DecodeReceived(b []byte) ([]*Received, error) {
	var all []*Received
	err := RangeRecords(b, true, func(r *Record) error {
		all = append(all, NewReceived(r))
		return nil
	})
	return all, err
}

// TakeReceived is DecodeReceived of bytes that the caller gives away: bodies are
// parts of b. The messages share what was allocated for them, so that who keeps one
// keeps the memory of all. It is for consumers of many small messages: two allocations a
// message, for its Properties, and seven in all.
func TakeReceived(b []byte) ([]*Received, error) {
	n := countRecords(b)
	slab, all := make([]Received, 0, n), make([]*Received, 0, n)
	text, ends := make([]byte, 0, len(b)/4), make([]int, 0, n)
	topic := ""
	err := RangeRecords(b, true, func(r *Record) error {
		if string(r.Topic) != topic {
			topic = string(r.Topic)
		}
		text = append(text, r.Properties...)
		ends = append(ends, len(text))
		slab = append(slab, Received{})
		m := &slab[len(slab)-1]
		m.fill(r)
		m.Topic, m.Body = topic, r.Body
		all = append(all, m)
		return nil
	})
	properties, from := string(text), 0
	for i, end := range ends {
		slab[i].Properties = parseProperties(properties[from:end])
		from = end
	}
	return all, err
}

// countRecords goes by their sizes alone: it may count more than can be read, and
// never less.
func countRecords(b []byte) (n int) {
	for len(b) >= MinRecordSize {
		size := int(binary.BigEndian.Uint32(b))
		if size < MinRecordSize || size > len(b) {
			break
		}
		b = b[size:]
		n++
	}
	return n
}

// ID is the producer's id of the message, or the broker's if it has none.
func (m *Received) ID() string {
	if id := m.UniqueKey(); id != "" {
		return id
	}
	return m.OffsetID()
}

// OffsetID is the broker's id of the message.
func (m *Received) OffsetID() string {
	return string(AppendOffsetID(nil, m.StoreHost, m.PhysicalOffset))
}

// Compressed tells whether the body is compressed, and how.
func (m *Received) Compressed() (CompressionType, bool) {
	return m.SysFlag.Compression(), m.SysFlag.Has(FlagCompressed)
}

// Inflate replaces a zlib body by what it holds, at most limit bytes, and clears
// the compression bits of SysFlag. A body that is not compressed stays. Errors
// match ErrCompression for lz4, zstd and unknown types, for which the caller
// needs a codec, and otherwise are those of the function Inflate; the message is
// then unchanged.
func (m *Received) Inflate(limit int) error {
	t, ok := m.Compressed()
	if !ok {
		return nil
	}
	if t != CompressionZlib && t != CompressionOldZlib {
		return unsupported(t)
	}
	body, err := Inflate(m.Body, limit)
	if err != nil {
		return err
	}
	m.Body, m.SysFlag = body, m.SysFlag.WithoutCompression()
	return nil
}
