// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package body

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"

	"github.com/twostage/twostage/internal/wire/fastjson"
)

// A Body is a pointer to one of this package's types that travel alone.
type Body interface {
	// about names the body in errors and says what one may cost.
	about() (name string, limits fastjson.Limits)
}

// checker is a Body with rules beyond the types of its fields.
type checker interface {
	check() error // may also fill in what the text left out
}

// clientLimits bounds what any client may send.
func clientLimits() fastjson.Limits {
	return fastjson.Limits{Size: 4 << 20, Depth: 16, Objects: 1 << 16}
}

// answerLimits bounds what comes as an answer, or from a tool.
func answerLimits() fastjson.Limits {
	return fastjson.Limits{Size: 16 << 20, Depth: 16, Objects: 1 << 19}
}

// tableLimits bounds whole tables, from another broker or from a config file: a
// million topics with attributes fit.
func tableLimits() fastjson.Limits {
	return fastjson.Limits{Size: 256 << 20, Depth: 16, Objects: 1 << 22}
}

var (
	errEmpty     = errors.New("empty")
	errNotObject = errors.New("not a JSON object")
	errNullEntry = errors.New("null entry in a table")
)

// Unmarshal sets b to what text, of either dialect, holds; what b held before is
// gone. Errors name the body and the field, and are or wrap those of
// [fastjson.Unmarshal]; after one b is not to be used.
//
// A body may nest 16 deep. What clients send of themselves (heartbeats, locks,
// client checks) is bounded by 4 MiB and 65,536 objects, whole tables of topics,
// groups and offsets by 256 MiB and 4 million objects, all else by 16 MiB and
// 524,288 objects.
func Unmarshal(text []byte, b Body) error {
	name, limits := b.about()
	if err := unmarshal(text, b, limits); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func unmarshal(text []byte, b Body, limits fastjson.Limits) error {
	if err := wantObject(text); err != nil {
		return err
	}
	reflect.ValueOf(b).Elem().SetZero()
	if err := limits.Unmarshal(text, b); err != nil {
		return err
	}
	if c, ok := b.(checker); ok {
		return c.check()
	}
	return nil
}

func wantObject(text []byte) error {
	switch rest := bytes.TrimLeft(text, " \t\r\n"); {
	case len(rest) == 0:
		return errEmpty
	case rest[0] != '{':
		return errNotObject
	}
	return nil
}

// Marshal writes b as a 4.9 server writes its bodies: in fastjson's dialect.
func Marshal(b Body) []byte {
	if w, ok := b.(writer); ok {
		return w.write(make([]byte, 0, 256))
	}
	return fastjson.Marshal(b)
}

// writer is a Body that is written for each message, and so without reflection: as
// fastjson.Marshal would.
type writer interface {
	Body
	write(dst []byte) []byte
}

// MarshalStandard writes b as standard JSON, with string keys. Routes are
// answered so when the client's version is 401 (4.9.4) or more, or its request
// has acceptStandardJsonOnly=true.
func MarshalStandard(b Body) []byte { return fastjson.MarshalStandard(b) }

// MarshalConfig writes b in the layout of the files under config/.
func MarshalConfig(b Body) []byte { return fastjson.MarshalPretty(b) }
