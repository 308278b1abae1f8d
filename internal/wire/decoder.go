// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/binary"
	"fmt"
)

// FormatError says what is wrong with a frame, and where.
type FormatError struct {
	Offset int    // in bytes from the start of the frame, behind its length
	Reason string // names the part that is wrong
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("wire: frame offset %d: %s", e.Offset, e.Reason)
}

func errorAt(offset int, format string, args ...any) error {
	return &FormatError{Offset: offset, Reason: fmt.Sprintf(format, args...)}
}

// Decoder decodes frames. It keeps the scratch that unescaped strings live in,
// so one Decoder serves one goroutine. The zero value is ready to use.
type Decoder struct {
	scratch []byte
	seen    nameSet
	shapes  shapes
}

// maxScratch is what a Decoder keeps of its scratch in bytes: one frame with an
// exceptional header does not hold its memory for the life of a connection.
const maxScratch = 64 << 10

// Decode reads a frame, which is everything behind the four length bytes, into
// c, whose field slice it uses again. What c then holds aliases the frame and
// the Decoder, until the next Decode.
//
// Every error is a *[FormatError]; c then holds an undefined part of the command.
func (d *Decoder) Decode(frame []byte, c *Command) error {
	*c = Command{Ext: c.Ext[:0]}
	if cap(d.scratch) > maxScratch {
		d.scratch = nil
	}
	d.scratch = d.scratch[:0]
	d.seen = nameSet{}
	if len(frame) < 4 {
		return errorAt(0, "%d bytes are too few for the header mark", len(frame))
	}
	if len(frame) > MaxFrame {
		return errorAt(0, "%d bytes exceed the largest frame of %d", len(frame), MaxFrame)
	}
	mark := binary.BigEndian.Uint32(frame)
	n := int(mark & 0xFFFFFF)
	switch {
	case n > len(frame)-4:
		return errorAt(0, "header length %d exceeds the %d bytes of the frame behind it", n, len(frame)-4)
	case n > MaxHeader:
		return errorAt(0, "header length %d exceeds the largest of %d", n, MaxHeader)
	}
	if len(frame) > 4+n {
		c.Body = frame[4+n : len(frame) : len(frame)]
	}
	header := frame[: 4+n : 4+n]
	switch mark >> 24 {
	case uint32(JSON):
		return d.decodeJSON(header, c)
	case uint32(Binary):
		c.Encoding = Binary
		return d.decodeBinary(header, c)
	}
	return errorAt(0, "encoding %d is neither 0 (JSON) nor 1 (ROCKETMQ)", mark>>24)
}

// addField appends a field; one whose name is there already gets the new value.
// offset is where the field stands.
func (d *Decoder) addField(c *Command, key, value []byte, offset int) error {
	if d.seen.add(key) {
		for i := range c.Ext {
			if string(c.Ext[i].Key) == string(key) {
				c.Ext[i].Value = value
				return nil
			}
		}
	}
	if len(c.Ext) == MaxExtFields {
		return errorAt(offset, "more than %d extFields", MaxExtFields)
	}
	n := len(c.Ext)
	if n < cap(c.Ext) {
		c.Ext = c.Ext[:n+1]
	} else {
		c.Ext = append(c.Ext, Field{})
	}
	// One by one: a whole Field would be put together on the stack and copied.
	f := &c.Ext[n]
	f.Key = key
	f.Value = value
	return nil
}

// nameSet remembers names roughly: it may take a new one for a known one, never
// the other way round. It spares the comparison with all earlier names.
type nameSet [4]uint64

// add says whether the name may have been added before.
func (s *nameSet) add(name []byte) bool {
	var h uint8
	if n := len(name); n > 0 {
		h = name[0] + name[n/2]*31 + name[n-1]*7 + uint8(n)*83 // one value for each one-letter name
	}
	bit := uint64(1) << (h & 63)
	known := s[h>>6]&bit != 0
	s[h>>6] |= bit
	return known
}
