// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package message

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"net/netip"
)

const upperHex = "0123456789ABCDEF"

// ErrID is the class of the errors of ParseOffsetID, ParseUniqueKey and
// ParseRecallHandle.
var ErrID = errors.New("message: bad message id")

// AppendOffsetID writes the id a broker gives a message, 32 or 56 upper case hex
// digits, behind dst. host is the broker's address, offset the record's place in
// its commit log. An IPv6 form of an IPv4 address counts as IPv4, an invalid
// host as 0.0.0.0:0. It does not allocate if dst has room.
//
//	+---------------+------------+--------------+
//	| IP (4 or 16)  | port (4)   | offset (8)   |
//	+---------------+------------+--------------+
//
// Source: MessageDecoder.createMessageId of Apache RocketMQ.
func AppendOffsetID(dst []byte, host netip.AddrPort, offset int64) []byte {
	var raw [maxHostSize + 8]byte
	n := putHost(raw[:], host)
	binary.BigEndian.PutUint64(raw[n:], uint64(offset))
	return appendHex(dst, raw[:n+8])
}

// ParseOffsetID reads an id made by AppendOffsetID. Lower case digits are
// accepted. Errors match ErrID.
func ParseOffsetID(s string) (host netip.AddrPort, offset int64, err error) {
	raw, err := parseHexID(s, 16, 28)
	if err != nil {
		return netip.AddrPort{}, 0, err
	}
	host, ok := readHost(raw[:len(raw)-8])
	if !ok {
		return netip.AddrPort{}, 0, fmt.Errorf("%w: %q names the port %d, the highest is %d", ErrID, s,
			binary.BigEndian.Uint32(raw[len(raw)-12:]), math.MaxUint16)
	}
	offset = int64(binary.BigEndian.Uint64(raw[len(raw)-8:]))
	if offset < 0 {
		return netip.AddrPort{}, 0, fmt.Errorf("%w: %q names the offset %d", ErrID, s, offset)
	}
	return host, offset, nil
}

// parseHexID reads 2*short or 2*long hex digits.
func parseHexID(s string, short, long int) ([]byte, error) {
	if len(s) != 2*short && len(s) != 2*long {
		return nil, fmt.Errorf("%w: %.80q has %d characters, it must be %d or %d", ErrID, s, len(s), 2*short, 2*long)
	}
	raw, err := hex.DecodeString(s)
	if err != nil {
		return nil, fmt.Errorf("%w: %q is not hexadecimal", ErrID, s)
	}
	return raw, nil
}

func appendHex(dst, raw []byte) []byte {
	for _, c := range raw {
		dst = append(dst, upperHex[c>>4], upperHex[c&15])
	}
	return dst
}
