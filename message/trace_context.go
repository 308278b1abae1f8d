// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package message

import "encoding/hex"

// Properties of W3C Trace Context, under the names that OpenTelemetry's
// propagators give them. The broker stores them as they are.
const (
	PropertyTraceparent = "traceparent"
	PropertyTracestate  = "tracestate"
)

// TraceContext is what a traceparent says: which span of which trace a message
// belongs to. Its layout is that of W3C Trace Context, version 00:
//
//	00-<trace id, 32 hex digits>-<span id, 16>-<flags, 2>
type TraceContext struct {
	TraceID [16]byte // not all zero
	SpanID  [8]byte  // not all zero
	Sampled bool     // flag 01: who made it records its spans
}

const (
	traceparentSize = 2 + 1 + 32 + 1 + 16 + 1 + 2
	flagSampled     = 1
)

// ParseTraceparent reads a traceparent. ok is false for one that the standard
// tells to ignore. Of versions above 00 it reads what it knows. It does not
// allocate.
func ParseTraceparent(b []byte) (c TraceContext, ok bool) {
	if len(b) < traceparentSize || b[2] != '-' || b[35] != '-' || b[52] != '-' {
		return TraceContext{}, false
	}
	var version, flags [1]byte
	for _, f := range []struct{ to, from []byte }{{version[:], b[:2]}, {c.TraceID[:], b[3:35]}, {c.SpanID[:], b[36:52]}, {flags[:], b[53:55]}} {
		if !lowerHex(f.to, f.from) {
			return TraceContext{}, false
		}
	}
	switch {
	case version[0] == 0xFF, version[0] == 0 && len(b) != traceparentSize, len(b) > traceparentSize && b[traceparentSize] != '-':
		return TraceContext{}, false
	case c.TraceID == [16]byte{} || c.SpanID == [8]byte{}:
		return TraceContext{}, false
	}
	c.Sampled = flags[0]&flagSampled != 0
	return c, true
}

// lowerHex decodes hex digits, of which the standard allows lower case only.
func lowerHex(to, from []byte) bool {
	for _, d := range from {
		if d >= 'A' && d <= 'F' {
			return false
		}
	}
	_, err := hex.Decode(to, from)
	return err == nil
}

// Append appends the traceparent of c to dst.
func (c TraceContext) Append(dst []byte) []byte {
	dst = append(dst, "00-"...)
	dst = hex.AppendEncode(dst, c.TraceID[:])
	dst = append(dst, '-')
	dst = hex.AppendEncode(dst, c.SpanID[:])
	if c.Sampled {
		return append(dst, "-01"...)
	}
	return append(dst, "-00"...)
}

// String is the traceparent of c.
func (c TraceContext) String() string { return string(c.Append(make([]byte, 0, traceparentSize))) }
