// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
)

// firstOpaque gives every opaque the same width, so that a frame can be patched
// in place.
const firstOpaque = 1_000_000_000

// slotFrame is the send request of one place in flight, made once. Only its
// UNIQ_KEY changes from one use to the next.
type slotFrame struct {
	bytes []byte
	key   int // where the 16 digits of the UNIQ_KEY's counter begin
}

const keyPrefix = "7F00000100000000" // 16 of a UNIQ_KEY's 32 hex digits

func newSlotFrame(enc wire.Encoding, slot int, topic, broker string, queue int32, bornMillis int64, bodySize int) slotFrame {
	props := "UNIQ_KEY\x01" + keyPrefix + "0000000000000000" + "\x02WAIT\x01true"
	h := &header.SendRequest{
		ProducerGroup: []byte("twostage_bench"), Topic: []byte(topic), DefaultTopic: []byte("TBW102"),
		DefaultTopicQueueNums: 4, QueueID: queue, BornTimestamp: bornMillis,
		Properties: []byte(props), BrokerName: []byte(broker),
	}
	body := bytes.Repeat([]byte("0123456789abcdef"), bodySize/16+1)[:bodySize]
	f := wire.AppendRequest(nil, &wire.Request{
		Code: wire.ReqSendMessageV2, Opaque: firstOpaque + int32(slot), Header: h, Body: body,
		Encoding: enc, Language: wire.LanguageJava, Version: wire.Version,
	})
	return slotFrame{bytes: f, key: bytes.Index(f, []byte(keyPrefix)) + len(keyPrefix)}
}

// next gives the frame a key that was not used before.
func (s *slotFrame) next(n uint64) []byte {
	const digits = "0123456789ABCDEF"
	for i := 15; i >= 0; i-- {
		s.bytes[s.key+i] = digits[n&15]
		n >>= 4
	}
	return s.bytes
}

// frameAt tells the length of the whole frame at the start of b, 0 if it has
// not arrived completely.
func frameAt(b []byte) (int, error) {
	if len(b) < 4 {
		return 0, nil
	}
	n := int(int32(binary.BigEndian.Uint32(b)))
	if n < 4 || n > wire.MaxFrame {
		return 0, fmt.Errorf("the peer sent a frame of %d bytes", n)
	}
	if len(b) < 4+n {
		return 0, nil
	}
	return 4 + n, nil
}

// opaqueOf reads the opaque of a whole frame without decoding the rest.
func opaqueOf(frame []byte) (int32, bool) {
	mark := binary.BigEndian.Uint32(frame[4:])
	n := int(mark & 0xFFFFFF)
	if n > len(frame)-8 {
		return 0, false
	}
	h := frame[8 : 8+n]
	if wire.Encoding(mark>>24) == wire.Binary {
		if n < 9 {
			return 0, false
		}
		return int32(binary.BigEndian.Uint32(h[5:])), true
	}
	return intAfter(h, `"opaque":`)
}

// succeeded says whether a response frame is a plain success.
func succeeded(frame []byte) bool {
	mark := binary.BigEndian.Uint32(frame[4:])
	n := int(mark & 0xFFFFFF)
	if n > len(frame)-8 || n < 2 {
		return false
	}
	h := frame[8 : 8+n]
	if wire.Encoding(mark>>24) == wire.Binary {
		return h[0] == 0 && h[1] == 0
	}
	code, ok := intAfter(h, `"code":`)
	return ok && code == 0
}

func intAfter(h []byte, name string) (int32, bool) {
	i := bytes.Index(h, []byte(name))
	if i < 0 {
		return 0, false
	}
	var v int32
	digits := 0
	for _, c := range h[i+len(name):] {
		if c < '0' || c > '9' {
			break
		}
		v = v*10 + int32(c-'0')
		digits++
	}
	return v, digits > 0
}
