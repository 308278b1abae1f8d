// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package wire

import "bytes"

// Limits of what is decoded.
const (
	// MaxFrame is the largest frame in bytes, without its four length bytes
	// (RocketMQ's com.rocketmq.remoting.frameMaxLength).
	MaxFrame = 16 << 20
	// MaxHeader is the largest header in bytes.
	MaxHeader = 1 << 20
	// MaxExtFields is the largest number of extension fields.
	MaxExtFields = 256
	// MaxFieldName is the longest name of an extension field in bytes: the
	// binary header gives its length 15 bits.
	MaxFieldName = 1<<15 - 1
)

// Version is the protocol version that Twostage states in what it sends: the
// number of RocketMQ 5.3.0 in MQVersion. Java clients ask it for one thing only,
// whether a broker filters by more than tags; name servers of 5.x read by it
// whether a deflated registration ends with static topics.
const Version int32 = 473

// Versions that servers tell clients apart by.
const (
	VersionV349 int32 = 121 // V3_4_9: sends maxReconsumeTimes with a returned message
	VersionV493 int32 = 399 // V4_9_3: the last whose signature leaves out _UNIQUE_KEY_QUERY
	VersionV494 int32 = 401 // V4_9_4: the first that takes a route in standard JSON
	VersionV500 int32 = 413 // V5_0_0
)

// The bits of Command.Flag.
const (
	FlagResponse int32 = 1
	FlagOneWay   int32 = 2
)

// Encoding is how a header is written.
type Encoding uint8

// The encodings.
const (
	JSON   Encoding = 0
	Binary Encoding = 1 // RocketMQ's name for it is ROCKETMQ
)

// String gives RocketMQ's name of the encoding.
func (e Encoding) String() string {
	switch e {
	case JSON:
		return "JSON"
	case Binary:
		return "ROCKETMQ"
	}
	return "unknown"
}

// Field is one extension field.
type Field struct{ Key, Value []byte }

// Fields are the extension fields of a header, in the header's order.
type Fields []Field

// Get gives the value of a field, and whether there is one. The value aliases
// what the Fields alias.
func (f Fields) Get(key string) ([]byte, bool) {
	for i := range f {
		if string(f[i].Key) == key {
			return f[i].Value, true
		}
	}
	return nil, false
}

// Command is one decoded frame: a request or an answer.
//
// Its slices alias the frame and the scratch of the [Decoder] and are valid
// until the next Decode, or until the frame's memory is used again; [Command.Clone]
// makes a copy that lasts. Two goroutines may read a Command at once.
type Command struct {
	Code     int32
	Version  int32
	Opaque   int32 // the number that ties an answer to its request
	Flag     int32
	Language Language
	Encoding Encoding
	HasExt   bool   // the header has extension fields, maybe none but said so
	Remark   []byte // nil when absent or empty
	Ext      Fields
	Body     []byte // nil when there is none
}

// IsResponse says whether the command answers a request.
func (c *Command) IsResponse() bool { return c.Flag&FlagResponse != 0 }

// IsOneWay says whether the sender wants no answer. The official Go client
// never sets the flag.
func (c *Command) IsOneWay() bool { return c.Flag&FlagOneWay != 0 }

// Clone makes a copy that owns its memory.
func (c *Command) Clone() *Command {
	n := len(c.Remark) + len(c.Body)
	for i := range c.Ext {
		n += len(c.Ext[i].Key) + len(c.Ext[i].Value)
	}
	buf := make([]byte, 0, n)
	keep := func(b []byte) []byte {
		if b == nil {
			return nil
		}
		start := len(buf)
		buf = append(buf, b...)
		return buf[start:len(buf):len(buf)]
	}
	d := *c
	d.Remark = keep(c.Remark)
	d.Ext = nil
	if c.Ext != nil {
		d.Ext = make(Fields, len(c.Ext))
		for i := range c.Ext {
			d.Ext[i] = Field{Key: keep(c.Ext[i].Key), Value: keep(c.Ext[i].Value)}
		}
	}
	d.Body = keep(c.Body)
	return &d
}

// Equal says whether two commands mean the same: all parts alike, whatever the
// order of the fields and the encoding.
func (c *Command) Equal(d *Command) bool {
	if c.Code != d.Code || c.Version != d.Version || c.Opaque != d.Opaque || c.Flag != d.Flag ||
		c.Language != d.Language || !bytes.Equal(c.Remark, d.Remark) ||
		!bytes.Equal(c.Body, d.Body) || len(c.Ext) != len(d.Ext) {
		return false
	}
	for i := range c.Ext {
		v, ok := d.Ext.Get(string(c.Ext[i].Key))
		if !ok || !bytes.Equal(c.Ext[i].Value, v) {
			return false
		}
	}
	return true
}

// Header is the typed header of one kind of request or answer. It writes its
// extension fields in a fixed order; an absent optional field is left out.
// EncodeExt must not keep w.
type Header interface{ EncodeExt(w *ExtWriter) }

// Request is a request to be written.
type Request struct {
	Code     int32
	Opaque   int32
	OneWay   bool
	Header   Header // may be nil
	Fields   Fields // further fields, written after the header's: signatures, or a relayed request's own
	Body     []byte
	Encoding Encoding
	// Language and Version are the sender's. A Version of 0 stands for this
	// program's own language and version.
	Language Language
	Version  int32
}

// Response is an answer to be written. It goes out with this program's language
// and version, in the encoding of the request it answers.
type Response struct {
	Code   int32
	Remark string // left out when empty
	Header Header // nil: no extFields at all; empty: an empty extFields, as Java does
	Body   []byte
}
