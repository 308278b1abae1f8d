// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package wire

import "bytes"

// A shape is a JSON header that was read, cut at the values that change from one
// header of a connection to the next. A client writes the headers of one kind of
// request alike, but for a few values, so most of the next header can be compared
// instead of read:
//
//	{"code":310,"extFields":{"a":"group","b":"topic",..,"e":"|3|",..,"i":"|UNIQ..|"},..,"opaque":|17|,"version":317}
//	 text: the same                                          hole        hole                    hole
//
// What is between the holes is equal byte for byte to what was read before, and
// the holes are read by the same scanner, so a header that fits is read as it
// would be without its shape. One that does not fit is read in full.
type shape struct {
	text   []byte // the header it was made from, from its first byte on
	holes  []hole // in order
	fields []place
	used   uint64 // when it fitted last

	code, version, flag int32
	language            Language
	hasExt              bool
}

// hole is a value that changes: that of opaque, or of a field, whose quotes belong to
// the text around it.
type hole struct {
	start, end int32 // in text
	field      int32 // number of the field, opaqueHole for opaque
}

const opaqueHole = -1

// place says where a field stands in text. The value is that in a hole where
// there is one with the field's number.
type place struct {
	key, value span
}

type span struct{ start, end int32 }

const (
	maxShapes     = 4    // of one Decoder: kinds of requests that take turns on a connection
	maxShapeText  = 4096 // bytes; a longer header has no shape
	maxShapeHoles = 16
)

// shapes are what a Decoder knows of earlier headers.
type shapes struct {
	list   []*shape
	clock  uint64
	misses uint32 // headers since one fitted
	notes  notes
}

// notes are what the scanner writes down about a header while it reads it in full.
type notes struct {
	on     bool // somebody reads them
	plain  bool // the header can have a shape
	opaque span
	fields []place
	escape []bool // of each field: the value has escapes, so it must be read each time
}

func (n *notes) reset(on bool) {
	n.on, n.plain, n.opaque = on, true, span{}
	n.fields, n.escape = n.fields[:0], n.escape[:0]
}

// add writes down a field, whose name begins at at with its quote; value is where
// its value stands in b, with the quotes if it has some.
func (n *notes) add(at, nameLen int, nameEscaped bool, value span, valueEscaped bool, b []byte) {
	if len(n.fields) >= MaxExtFields { // some are there twice
		n.plain = false
		return
	}
	if nameEscaped {
		n.plain = false
		return
	}
	if b[value.start] == '"' {
		value = span{value.start + 1, value.end - 1}
	}
	key := int32(at) + 1 - 4
	n.fields = append(n.fields, place{key: span{key, key + int32(nameLen)}, value: span{value.start - 4, value.end - 4}})
	n.escape = append(n.escape, valueEscaped)
}

// repeated reads a header that has a known shape. It tells whether it was one;
// if not, c and scratch are as before, but for c.Ext.
func (d *Decoder) repeated(b []byte, c *Command) bool {
	for _, s := range d.shapes.list {
		if s.fits(d, b, c) {
			d.shapes.clock++
			s.used = d.shapes.clock
			d.shapes.misses = 0
			return true
		}
	}
	d.shapes.misses++
	return false
}

// fits reads the header b[4:] if it differs from s only in the holes.
func (s *shape) fits(d *Decoder, b []byte, c *Command) bool {
	if len(s.text) == 0 {
		return false
	}
	sc := scanner{b: b, i: 4, scratch: d.scratch}
	var shift [maxShapeHoles + 1]int32 // from text to b, of the text before each hole and behind the last
	var values [maxShapeHoles][]byte
	var opaque int32
	last := int32(0)
	for i := range s.holes {
		h := &s.holes[i]
		if !sc.same(s.text[last:h.start]) {
			return false
		}
		shift[i] = int32(sc.i) - h.start
		if h.field == opaqueHole {
			v, err := sc.int32("opaque")
			if err != nil {
				return false
			}
			opaque = v
		} else {
			sc.i-- // the quote before it
			v, err := sc.str("")
			if err != nil {
				return false
			}
			sc.i-- // and that behind it
			values[i] = v
		}
		last = h.end
	}
	if !sc.same(s.text[last:]) || sc.i != len(b) {
		return false
	}
	shift[len(s.holes)] = int32(len(b) - len(s.text))

	d.scratch = sc.scratch
	c.Code, c.Version, c.Flag, c.Language, c.HasExt, c.Opaque = s.code, s.version, s.flag, s.language, s.hasExt, opaque
	if cap(c.Ext) < len(s.fields) {
		c.Ext = make(Fields, len(s.fields))
	}
	c.Ext = c.Ext[:len(s.fields)]
	at := 0 // the hole behind what has been given
	for i := range s.fields {
		p, f := &s.fields[i], &c.Ext[i]
		for at < len(s.holes) && s.holes[at].end < p.key.start {
			at++
		}
		f.Key = p.key.in(b, shift[at])
		if at < len(s.holes) && s.holes[at].field == int32(i) {
			f.Value = values[at]
		} else {
			f.Value = p.value.in(b, shift[at])
		}
	}
	return true
}

func (p span) in(b []byte, shift int32) []byte {
	start, end := p.start+shift, p.end+shift
	return b[start:end:end]
}

// same moves over text if that is what follows.
func (s *scanner) same(text []byte) bool {
	if len(s.b)-s.i < len(text) || !bytes.Equal(s.b[s.i:s.i+len(text)], text) {
		return false
	}
	s.i += len(text)
	return true
}

// worthNoting tells whether a header that fits no shape should become one. Where
// nothing repeats, only now and then one is tried.
func (s *shapes) worthNoting() bool { return s.misses <= 64 || s.misses%64 == 0 }

// learn makes a shape of a header that was read in full, or changes the one of
// its kind.
func (s *shapes) learn(b []byte, c *Command) {
	n := &s.notes
	if !n.plain || n.opaque.end == 0 || len(b) > maxShapeText || len(n.fields) != len(c.Ext) || len(c.Remark) > 0 {
		return
	}
	text := b[4:]
	k := s.of(c)
	old := k.text
	holes := k.holes
	if len(k.fields) != len(n.fields) {
		holes = holes[:0]
	}
	varies := func(i int) bool { // the value is another one than before, or must be read
		if n.escape[i] {
			return true
		}
		for _, h := range holes {
			if h.field == int32(i) {
				return true
			}
		}
		return len(old) > 0 && len(k.fields) == len(n.fields) &&
			!bytes.Equal(text[n.fields[i].value.start:n.fields[i].value.end], old[k.fields[i].value.start:k.fields[i].value.end])
	}
	var fresh [maxShapeHoles]hole
	count := 0
	opaque := hole{n.opaque.start, n.opaque.end, opaqueHole}
	add := func(h hole) {
		if count < len(fresh) {
			fresh[count] = h
		}
		count++
	}
	done := false
	for i := range n.fields {
		if !varies(i) {
			continue
		}
		p := n.fields[i].value
		if !done && opaque.start < p.start {
			add(opaque)
			done = true
		}
		if p.start == 0 || text[p.start-1] != '"' { // not a string
			count = maxShapeHoles + 1
			break
		}
		add(hole{p.start, p.end, int32(i)})
	}
	if !done {
		add(opaque)
	}
	k.text, k.fields, k.holes = k.text[:0], k.fields[:0], k.holes[:0]
	if count > maxShapeHoles {
		return // it fits nothing
	}
	k.text = append(k.text, text...)
	k.fields = append(k.fields, n.fields...)
	k.holes = append(k.holes, fresh[:count]...)
	k.code, k.version, k.flag, k.language, k.hasExt = c.Code, c.Version, c.Flag, c.Language, c.HasExt
	s.clock++
	k.used = s.clock
}

// of is the shape of the kind of command that c is: the one with its code, else one
// that is free or was not used for longest.
func (s *shapes) of(c *Command) *shape {
	var oldest *shape
	for _, k := range s.list {
		if k.code == c.Code {
			return k
		}
		if oldest == nil || k.used < oldest.used {
			oldest = k
		}
	}
	if len(s.list) < maxShapes {
		k := &shape{code: c.Code}
		s.list = append(s.list, k)
		return k
	}
	*oldest = shape{text: oldest.text[:0], holes: oldest.holes[:0], fields: oldest.fields[:0], code: c.Code}
	return oldest
}
