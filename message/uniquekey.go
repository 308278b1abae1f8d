// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package message

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
	"time"
)

// A UNIQ_KEY is the upper case hex of
//
//	+--------------+---------+-----------------+--------------------------+-------------+
//	| IP (4 or 16) | pid (2) | process mark (4)| ms since month began (4) | counter (2) |
//	+--------------+---------+-----------------+--------------------------+-------------+
//
// 32 or 56 digits. Source: MessageClientIDSetter of Apache RocketMQ.

// IDGenerator makes the ids of new messages. All methods may be called from any
// number of goroutines.
type IDGenerator struct {
	now     func() time.Time
	prefix  []byte // hex of IP, pid and process mark
	month   atomic.Pointer[month]
	counter atomic.Uint32
}

// month is the calendar month that contains some moment.
type month struct{ begin, end time.Time }

// NewIDGenerator makes a generator for one process. Only the low 16 bits of pid
// are used. The process mark is random, so that two processes with one IP and
// pid do not meet. With an invalid ip four random bytes stand for it. The month
// is that of the time zone of the times that now returns: tools look for it in
// local time.
func NewIDGenerator(ip netip.Addr, pid int, now func() time.Time) *IDGenerator {
	var raw []byte
	switch ip = ip.Unmap(); {
	case ip.IsValid():
		raw = ip.AsSlice()
	default:
		raw = binary.BigEndian.AppendUint32(raw, rand.Uint32())
	}
	raw = binary.BigEndian.AppendUint16(raw, uint16(pid))
	raw = binary.BigEndian.AppendUint32(raw, rand.Uint32())
	return &IDGenerator{now: now, prefix: appendHex(nil, raw)}
}

// Next returns a new id. Two calls return the same id only if the counter went
// all the way around (65536 calls) in one millisecond, or the clock was put back
// by exactly as much.
func (g *IDGenerator) Next() string {
	var id [2 * (16 + 12)]byte
	return string(g.Append(id[:0], g.now()))
}

// Append writes a new id behind dst, made now; see Next.
func (g *IDGenerator) Append(dst []byte, now time.Time) []byte {
	m := g.month.Load()
	if m == nil || now.Before(m.begin) || !now.Before(m.end) {
		m = monthOf(now)
		g.month.Store(m)
	}
	var tail [6]byte
	binary.BigEndian.PutUint32(tail[:], uint32(now.Sub(m.begin).Milliseconds()))
	binary.BigEndian.PutUint16(tail[4:], uint16(g.counter.Add(1)-1))
	return appendHex(append(dst, g.prefix...), tail[:])
}

func monthOf(t time.Time) *month {
	begin := time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, t.Location())
	return &month{begin: begin, end: begin.AddDate(0, 1, 0)}
}

// UniqueKey is what a UNIQ_KEY says.
type UniqueKey struct {
	IP         netip.Addr
	PID        uint16
	Process    uint32 // class loader hash of a Java producer
	SinceMonth time.Duration
	Counter    uint16
}

// ParseUniqueKey reads a UNIQ_KEY of 32 or 56 hex digits. Messages may well have
// others, for an application can set the property, and gRPC clients make ids of
// another form. Errors match ErrID.
func ParseUniqueKey(s string) (UniqueKey, error) {
	raw, err := parseHexID(s, 16, 28)
	if err != nil {
		return UniqueKey{}, err
	}
	ip, _ := netip.AddrFromSlice(raw[:len(raw)-12])
	rest := raw[len(raw)-12:]
	return UniqueKey{
		IP:         ip.Unmap(),
		PID:        binary.BigEndian.Uint16(rest),
		Process:    binary.BigEndian.Uint32(rest[2:]),
		SinceMonth: time.Duration(binary.BigEndian.Uint32(rest[6:])) * time.Millisecond,
		Counter:    binary.BigEndian.Uint16(rest[10:]),
	}, nil
}

// Time returns when the id was made, supposing that this was less than a month
// before now and in the time zone of now.
func (k UniqueKey) Time(now time.Time) time.Time {
	begin := monthOf(now).begin
	if t := begin.Add(k.SinceMonth); !t.After(now) {
		return t
	}
	return begin.AddDate(0, -1, 0).Add(k.SinceMonth)
}
