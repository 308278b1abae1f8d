// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package story

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"unicode/utf8"
)

// Kind is what happened.
type Kind uint8

// The kinds, by their number on disk. Others may stand in a file of a later
// version; they are kept.
const (
	Checked   Kind = iota + 1 // a check was handed to Who; Count is its number
	Answered                  // Who answered a check with Outcome
	Refused                   // Outcome was asked for by Who and refused; Note says why
	Operated                  // an operator, Who, decided Outcome
	Resumed                   // an operator, Who, resumed what was parked
	Rechecked                 // an operator, Who, had it checked
	Discarded                 // it was parked; Note says why
)

var kindNames = [...]string{
	Checked: "checked", Answered: "answered", Refused: "refused", Operated: "decided by an operator",
	Resumed: "resumed", Rechecked: "rechecked", Discarded: "discarded",
}

// String returns the words that people read.
func (k Kind) String() string {
	if int(k) < len(kindNames) && k > 0 {
		return kindNames[k]
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// Limits of the texts of an Event, in bytes.
const (
	MaxWho  = 255
	MaxNote = 1024
)

// Event is one thing that happened to a transaction.
type Event struct {
	At      int64 // ms since 1970
	Half    int64 // half queue offset
	Kind    Kind
	Outcome uint8  // a number of the caller's
	Count   int32  // see Kind
	Who     string // an address or a client id, at most MaxWho bytes
	Note    string // at most MaxNote bytes
}

const (
	frameBytes = 8
	bodyBytes  = 25 // without texts
	maxRecord  = frameBytes + bodyBytes + MaxWho + MaxNote
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errRecord says that bytes are no record, or not all of one.
var errRecord = errors.New("no whole record with a right checksum")

// appendRecord appends e as it stands on disk. Texts that are too long are cut.
func appendRecord(b []byte, e Event) []byte {
	who, note := cut(e.Who, MaxWho), cut(e.Note, MaxNote)
	start := len(b)
	b = binary.BigEndian.AppendUint32(b, uint32(bodyBytes+len(who)+len(note)))
	b = append(b, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint64(b, uint64(e.At))
	b = binary.BigEndian.AppendUint64(b, uint64(e.Half))
	b = append(b, byte(e.Kind), e.Outcome)
	b = binary.BigEndian.AppendUint32(b, uint32(e.Count))
	b = append(b, byte(len(who)))
	b = binary.BigEndian.AppendUint16(b, uint16(len(note)))
	b = append(append(b, who...), note...)
	binary.BigEndian.PutUint32(b[start+4:], crc32.Checksum(b[start+frameBytes:], castagnoli))
	return b
}

// cut returns the first most bytes of s, less a rune that would be cut in two.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for n := most; n > most-utf8.UTFMax; n-- {
		if utf8.RuneStart(s[n]) {
			return s[:n]
		}
	}
	return s[:most] // no text
}

// record returns the body of the record that b begins with, and how long the
// record is.
func record(b []byte) (body []byte, size int, err error) {
	if len(b) < frameBytes+bodyBytes {
		return nil, 0, errRecord
	}
	n := binary.BigEndian.Uint32(b)
	if n < bodyBytes || n > maxRecord-frameBytes || int(n) > len(b)-frameBytes {
		return nil, 0, errRecord
	}
	body = b[frameBytes : frameBytes+int(n)]
	if binary.BigEndian.Uint32(b[4:]) != crc32.Checksum(body, castagnoli) {
		return nil, 0, errRecord
	}
	who, note := int(body[22]), int(binary.BigEndian.Uint16(body[23:]))
	if bodyBytes+who+note != len(body) || note > MaxNote {
		return nil, 0, errRecord
	}
	return body, frameBytes + len(body), nil
}

// size returns how long the record is that b begins with, which is whole.
func size(b []byte) int { return frameBytes + int(binary.BigEndian.Uint32(b)) }

func halfOf(body []byte) int64 { return int64(binary.BigEndian.Uint64(body[8:])) }

// event reads the body of a record.
func event(body []byte) Event {
	who := bodyBytes + int(body[22])
	return Event{
		At: int64(binary.BigEndian.Uint64(body)), Half: halfOf(body), Kind: Kind(body[16]), Outcome: body[17],
		Count: int32(binary.BigEndian.Uint32(body[18:])), Who: string(body[bodyBytes:who]), Note: string(body[who:]),
	}
}
