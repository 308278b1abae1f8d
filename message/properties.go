// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package message

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// The text of properties, in records, batch members and send headers:
//
//	+------+------+-------+------+------+------+-------+
//	| name | 0x01 | value | 0x02 | name | 0x01 | value | ...
//	+------+------+-------+------+------+------+-------+
//
// Java writes no 0x02 at the end, the Go client does. A piece without 0x01, or
// with nothing before or after it, is skipped. Of equal names the last counts.
// Source: MessageDecoder.string2messageProperties of Apache RocketMQ.
const (
	valueMark    = 0x01
	propertyMark = 0x02
)

// MaxPropertiesLength is the most bytes of properties text a record can hold.
const MaxPropertiesLength = 1<<15 - 1

// ErrProperty is the class of errors about the name or value of one property.
var ErrProperty = errors.New("message: bad property")

// Properties are the named values of a message. The nil map can be read.
type Properties map[string]string

// ParseProperties reads properties text. Pieces that are no property are
// skipped, as RocketMQ does; the result is never nil. b is copied.
func ParseProperties(b []byte) Properties { return parseProperties(string(b)) }

// parseProperties is ParseProperties; names and values are parts of text.
func parseProperties(text string) Properties {
	p := make(Properties, strings.Count(text, "\x01"))
	for text != "" {
		piece := text
		if i := strings.IndexByte(text, propertyMark); i >= 0 {
			piece, text = text[:i], text[i+1:]
		} else {
			text = ""
		}
		if i := strings.IndexByte(piece, valueMark); i > 0 && i < len(piece)-1 {
			p[piece[:i]] = piece[i+1:]
		}
	}
	return p
}

// Append writes the text of the properties in the order of their names, without
// 0x02 at the end, behind dst. If dst is not empty it must be properties text:
// the separator is added. Properties without name or value are left out, since
// no reader would see them. Names and values must pass Check.
func (p Properties) Append(dst []byte) []byte {
	var few [16]string // more are rare, and allocate
	names := few[:0]
	for name := range p {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if value := p[name]; name != "" && value != "" {
			dst = AppendProperty(dst, name, value)
		}
	}
	return dst
}

// Check tests that the properties can be written and read back: no name or value
// holds 0x01 or 0x02, and the text is not longer than MaxPropertiesLength.
// Errors match ErrProperty, for the length ErrProperties.
func (p Properties) Check() error {
	size := 0
	for name, value := range p {
		if err := CheckProperty(name, value); err != nil {
			return err
		}
		size += len(name) + len(value) + 2
	}
	if size-1 > MaxPropertiesLength {
		return fmt.Errorf("%w: %d bytes, at most %d fit", ErrProperties, size-1, MaxPropertiesLength)
	}
	return nil
}

// CheckProperty tests that a property can be written and read back: it has a
// name, and neither name nor value holds 0x01 or 0x02. Errors match ErrProperty.
func CheckProperty(name, value string) error {
	switch {
	case name == "":
		return fmt.Errorf("%w: it has no name (value %q)", ErrProperty, value)
	case strings.ContainsAny(name, "\x01\x02"):
		return fmt.Errorf("%w: its name %q holds a separator (0x01 or 0x02)", ErrProperty, name)
	case strings.ContainsAny(value, "\x01\x02"):
		return fmt.Errorf("%w: the value of %q holds a separator (0x01 or 0x02)", ErrProperty, name)
	}
	return nil
}

// Property finds a property in properties text. value is a part of props. It
// does not allocate.
func Property(props []byte, name string) (value []byte, ok bool) {
	if name == "" || strings.IndexByte(name, valueMark) >= 0 || strings.IndexByte(name, propertyMark) >= 0 {
		return nil, false
	}
	want := []byte(name)
	n := len(want)
	for at := 0; ; at++ {
		i := bytes.Index(props[at:], want)
		if i < 0 {
			return value, ok
		}
		at += i
		end := at + n // of the name, if this is one
		if at > 0 && props[at-1] != propertyMark || end >= len(props) || props[end] != valueMark {
			continue
		}
		v := props[end+1:]
		if i := bytes.IndexByte(v, propertyMark); i >= 0 {
			v = v[:i:i]
		}
		if len(v) > 0 {
			value, ok = v, true // the last of several counts
		}
	}
}

// RangeProperties calls fn for the properties of a properties text in their
// order, repeated names included, until fn returns false. name and value are
// parts of props. It does not allocate.
func RangeProperties(props []byte, fn func(name, value []byte) bool) {
	for len(props) > 0 {
		piece := props
		if i := bytes.IndexByte(props, propertyMark); i >= 0 {
			piece, props = props[:i:i], props[i+1:]
		} else {
			props = nil
		}
		name, value, ok := splitProperty(piece)
		if ok && !fn(name, value) {
			return
		}
	}
}

func splitProperty(piece []byte) (name, value []byte, ok bool) {
	i := bytes.IndexByte(piece, valueMark)
	if i <= 0 || i == len(piece)-1 {
		return nil, nil, false
	}
	return piece[:i:i], piece[i+1:], true
}

// AppendProperty writes a property behind props, which is properties text or
// empty, with the separator between them where there is none. A former property
// of that name stays where it is and no longer counts. Name and value must pass
// CheckProperty.
func AppendProperty(props []byte, name, value string) []byte {
	if n := len(props); n > 0 && props[n-1] != propertyMark {
		props = append(props, propertyMark)
	}
	props = append(props, name...)
	props = append(props, valueMark)
	return append(props, value...)
}

// DeleteProperty writes behind dst what props holds except the properties of
// that name. What is left keeps its bytes and order; empty pieces and the 0x02
// at the end go. dst is not looked at, so it need not be properties text, and
// may be props[:0].
func DeleteProperty(dst, props []byte, name string) []byte {
	first := true
	for len(props) > 0 {
		piece := props
		if i := bytes.IndexByte(props, propertyMark); i >= 0 {
			piece, props = props[:i], props[i+1:]
		} else {
			props = nil
		}
		if len(piece) == 0 {
			continue
		}
		if have, _, ok := splitProperty(piece); ok && string(have) == name {
			continue
		}
		if !first {
			dst = append(dst, propertyMark)
		}
		first = false
		dst = append(dst, piece...)
	}
	return dst
}

// RangeKeys calls fn for each index key in the value of PropertyKeys until fn
// returns false. It does not allocate.
func RangeKeys(keys []byte, fn func(key []byte) bool) {
	for len(keys) > 0 {
		key := keys
		if i := bytes.IndexByte(keys, KeySeparator[0]); i >= 0 {
			key, keys = keys[:i:i], keys[i+1:]
		} else {
			keys = nil
		}
		if len(key) > 0 && !fn(key) {
			return
		}
	}
}
