// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package fastjson

import (
	"errors"
	"fmt"
)

// What a zero field of [Limits] stands for.
const (
	MaxSize    = 256 << 20 // bytes of input
	MaxDepth   = 64        // nested objects and arrays
	MaxObjects = 1 << 22   // objects and arrays in all
)

// Limits bounds what a text may cost its reader. A field that is zero or less
// means the constant of that name ([MaxSize], [MaxDepth], [MaxObjects]).
type Limits struct {
	Size    int // bytes of input
	Depth   int // nested objects and arrays; 1 is an object without any
	Objects int // objects and arrays in the whole text: each costs its reader far more than its two bytes
}

func (l Limits) orMax() Limits {
	if l.Size <= 0 {
		l.Size = MaxSize
	}
	if l.Depth <= 0 || l.Depth > MaxDepth {
		l.Depth = MaxDepth
	}
	if l.Objects <= 0 {
		l.Objects = MaxObjects
	}
	return l
}

// ErrLimit is what a text that exceeds its [Limits] is refused with.
var ErrLimit = errors.New("limit exceeded")

// A SyntaxError says where a text stops being JSON of the dialect.
type SyntaxError struct {
	Offset  int // of the first byte that does not fit
	Problem string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("byte %d: %s", e.Offset, e.Problem)
}

// A TypeError says that a value is valid JSON but not of its field's type.
type TypeError struct {
	Field string // path of names, "a.b"; empty for the text as a whole. Map keys and indexes are not part of it.
	Have  string // what the text has: "string", "number 1.5", "object", "array", "bool"
	Want  string // Go type of the field
}

func (e *TypeError) Error() string {
	if e.Field == "" {
		return fmt.Sprintf("have %s, want %s", e.Have, e.Want)
	}
	return fmt.Sprintf("field %s: have %s, want %s", e.Field, e.Have, e.Want)
}
