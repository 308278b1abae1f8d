// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package message

import (
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
	return &Received{
		Message: Message{
			Topic:      string(r.Topic),
			Flag:       r.Flag,
			Properties: ParseProperties(r.Properties),
			Body:       slices.Clone(r.Body),
		},
		QueueID:        r.QueueID,
		QueueOffset:    r.QueueOffset,
		PhysicalOffset: r.PhysicalOffset,
		Size:           r.Size,
		SysFlag:        r.SysFlag,
		BodyCRC:        r.BodyCRC,
		BornTime:       time.UnixMilli(r.BornTimestamp),
		BornHost:       r.BornHost,
		StoreTime:      time.UnixMilli(r.StoreTimestamp),
		StoreHost:      r.StoreHost,
		ReconsumeTimes: r.ReconsumeTimes,
		PreparedOffset: r.PreparedOffset,
	}
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
