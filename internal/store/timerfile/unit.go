// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package timerfile

import (
	"encoding/binary"
	"errors"
	"fmt"
)

var be = binary.BigEndian

// ErrDamaged: a file cannot be what was written. It is to be built again.
var ErrDamaged = errors.New("damaged")

// Kind are the bits of a unit's magic.
type Kind int32

// The bits. A unit without further ones is KindMessage.
const (
	KindMessage Kind = 1 << 0 // set in all units
	KindRoll    Kind = 1 << 1 // not delivered but put into the wheel again when its slot comes
	KindDelete  Kind = 1 << 2 // takes away another message of its slot

	knownKinds = 0xF
)

const (
	// UnitSize is the size of a unit in bytes.
	UnitSize = 52

	blankSize = 4 + 8 + 4
	// blankMagic marks the end of a file that has no room for another unit.
	blankMagic uint32 = 0xCBD43194
)

// Unit is one message in the wheel.
//
//	 0  int32  52
//	 4  int64  position of the previous unit of the slot, -1 for none
//	12  int32  magic: Kind
//	16  int64  when it was put in, ms
//	24  int32  ms from then to its time, which lies in its slot
//	28  int64  offset of its record in the commit log
//	36  int32  size of that record
//	40  int32  hash code of the topic it is meant for
//	44  int64  of a recall: position of the recall before + 1; else, and of RocketMQ, 0
//
// RocketMQ has whole seconds (its precision) as time. Here it is the time of
// delivery less 1 ms, which lies in the same slot.
//
// Source: TimerLog and TimerMessageStore.doEnqueue of Apache RocketMQ 5.3.3.
type Unit struct {
	Prev   int64
	Kind   Kind
	Put    int64 // ms
	Delay  int32 // ms
	Offset int64
	Size   int32
	Topic  int32
	Recall int64
}

// Time is when the unit is due to RocketMQ, in ms: in its slot.
func (u *Unit) Time() int64 { return u.Put + int64(u.Delay) }

// AppendUnit appends the 52 bytes of u.
func AppendUnit(dst []byte, u *Unit) []byte {
	dst = be.AppendUint32(dst, UnitSize)
	dst = be.AppendUint64(dst, uint64(u.Prev))
	dst = be.AppendUint32(dst, uint32(u.Kind))
	dst = be.AppendUint64(dst, uint64(u.Put))
	dst = be.AppendUint32(dst, uint32(u.Delay))
	dst = be.AppendUint64(dst, uint64(u.Offset))
	dst = be.AppendUint32(dst, uint32(u.Size))
	dst = be.AppendUint32(dst, uint32(u.Topic))
	return be.AppendUint64(dst, uint64(u.Recall))
}

// DecodeUnit reads the unit at the begin of b, which stands at position at.
// Errors are ErrDamaged.
func DecodeUnit(b []byte, at int64) (Unit, error) {
	if len(b) < UnitSize {
		return Unit{}, fmt.Errorf("timerlog at %d: %d bytes are less than a unit: %w", at, len(b), ErrDamaged)
	}
	u := Unit{
		Prev: int64(be.Uint64(b[4:])), Kind: Kind(be.Uint32(b[12:])), Put: int64(be.Uint64(b[16:])), Delay: int32(be.Uint32(b[24:])),
		Offset: int64(be.Uint64(b[28:])), Size: int32(be.Uint32(b[36:])), Topic: int32(be.Uint32(b[40:])), Recall: int64(be.Uint64(b[44:])),
	}
	if size := be.Uint32(b); size != UnitSize || u.Kind|knownKinds != knownKinds || u.Prev < -1 || u.Prev >= at ||
		u.Offset < 0 || u.Size <= 0 || u.Put < 0 || u.Recall < 0 || u.Recall > at {
		return Unit{}, fmt.Errorf("timerlog at %d: no unit (size %d, magic %d, previous %d): %w", at, int32(size), u.Kind, u.Prev, ErrDamaged)
	}
	return u, nil
}

// isBlank tells whether b begins with the mark of a file's end.
func isBlank(b []byte) bool { return len(b) >= blankSize && be.Uint32(b[12:]) == blankMagic }

func appendBlank(dst []byte, rest int64) []byte {
	dst = be.AppendUint32(dst, uint32(rest))
	dst = be.AppendUint64(dst, 0)
	return be.AppendUint32(dst, blankMagic)
}
