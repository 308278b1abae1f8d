// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/binary"
	"strconv"
	"sync"
)

// ExtWriter writes extension fields in the order of its calls, in whichever
// encoding the frame has. It belongs to one goroutine and to the call of
// EncodeExt it is handed to.
//
// Names must be plain ASCII without quotes and at most [MaxFieldName] bytes; a
// name must be written once only.
type ExtWriter struct {
	dst  []byte
	enc  Encoding
	some bool // a field is written
}

var extWriters = sync.Pool{New: func() any { return new(ExtWriter) }}

// begin writes everything of a field that stands before its value.
func (w *ExtWriter) begin(key string) {
	if w.enc == Binary {
		w.dst = binary.BigEndian.AppendUint16(w.dst, uint16(len(key)))
		w.dst = append(w.dst, key...)
		return
	}
	if w.some {
		w.dst = append(w.dst, ',', '"')
	} else {
		w.dst = append(w.dst, '"')
	}
	w.some = true
	w.dst = append(w.dst, key...)
	w.dst = append(w.dst, '"', ':', '"')
}

// Bytes writes a field with a value in UTF-8.
func (w *ExtWriter) Bytes(key string, v []byte) {
	w.begin(key)
	if w.enc == Binary {
		w.dst = binary.BigEndian.AppendUint32(w.dst, uint32(len(v)))
		w.dst = append(w.dst, v...)
		return
	}
	w.dst = append(appendEscaped(w.dst, v), '"')
}

// String writes a field with a value in UTF-8.
func (w *ExtWriter) String(key, v string) {
	w.begin(key)
	if w.enc == Binary {
		w.dst = binary.BigEndian.AppendUint32(w.dst, uint32(len(v)))
		w.dst = append(w.dst, v...)
		return
	}
	w.dst = append(appendEscaped(w.dst, v), '"')
}

// Int writes a field with a number in decimal.
func (w *ExtWriter) Int(key string, v int) { w.Int64(key, int64(v)) }

// Int32 writes a field with a number in decimal.
func (w *ExtWriter) Int32(key string, v int32) { w.Int64(key, int64(v)) }

// Int64 writes a field with a number in decimal.
func (w *ExtWriter) Int64(key string, v int64) {
	w.begin(key)
	if w.enc == Binary {
		at := len(w.dst)
		w.dst = append(w.dst, 0, 0, 0, 0)
		w.dst = strconv.AppendInt(w.dst, v, 10)
		binary.BigEndian.PutUint32(w.dst[at:], uint32(len(w.dst)-at-4))
		return
	}
	w.dst = append(strconv.AppendInt(w.dst, v, 10), '"')
}

// Bool writes a field with the value true or false.
func (w *ExtWriter) Bool(key string, v bool) {
	if v {
		w.String(key, "true")
	} else {
		w.String(key, "false")
	}
}

// ExtConst is fields that are the same in many headers, written beforehand.
type ExtConst struct{ json, binary []byte }

// NewExtConst keeps what write writes.
func NewExtConst(write func(w *ExtWriter)) *ExtConst {
	c := &ExtConst{}
	for enc, dst := range map[Encoding]*[]byte{JSON: &c.json, Binary: &c.binary} {
		w := ExtWriter{enc: enc}
		write(&w)
		*dst = w.dst
	}
	return c
}

// Const writes the fields of c.
func (w *ExtWriter) Const(c *ExtConst) {
	if w.enc == Binary {
		w.dst = append(w.dst, c.binary...)
		return
	}
	if w.some && len(c.json) > 0 {
		w.dst = append(w.dst, ',')
	}
	w.some = w.some || len(c.json) > 0
	w.dst = append(w.dst, c.json...)
}

// field writes a field whose name may be anything.
func (w *ExtWriter) field(f *Field) {
	if w.enc == Binary {
		w.dst = binary.BigEndian.AppendUint16(w.dst, uint16(len(f.Key)))
		w.dst = append(w.dst, f.Key...)
		w.dst = binary.BigEndian.AppendUint32(w.dst, uint32(len(f.Value)))
		w.dst = append(w.dst, f.Value...)
		return
	}
	if w.some {
		w.dst = append(w.dst, ',')
	}
	w.some = true
	w.dst = append(w.dst, '"')
	w.dst = append(appendEscaped(w.dst, f.Key), '"', ':', '"')
	w.dst = append(appendEscaped(w.dst, f.Value), '"')
}

// HeaderFields gives the fields that h writes, which may be nil, with memory of their
// own.
func HeaderFields(h Header) Fields {
	b := appendExt(nil, Binary, h, nil)
	var f Fields
	for len(b) > 0 {
		n := int(binary.BigEndian.Uint16(b))
		key := b[2 : 2+n : 2+n]
		b = b[2+n:]
		n = int(binary.BigEndian.Uint32(b))
		f = append(f, Field{Key: key, Value: b[4 : 4+n : 4+n]})
		b = b[4+n:]
	}
	return f
}

// appendExt writes the fields of h, then further.
func appendExt(dst []byte, enc Encoding, h Header, further Fields) []byte {
	w := extWriters.Get().(*ExtWriter)
	w.dst, w.enc, w.some = dst, enc, false
	if h != nil {
		h.EncodeExt(w)
	}
	for i := range further {
		w.field(&further[i])
	}
	dst = w.dst
	w.dst = nil
	extWriters.Put(w)
	return dst
}
