// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package fastjson

import (
	"cmp"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Marshal writes v in the dialect.
//
// v is a struct, map, slice, string, bool, number or a pointer to one. Struct
// fields are those with a json tag, written under its name; ",omitempty" leaves
// out false, zero, empty strings, maps and slices. Other options, embedded structs
// and methods of encoding/json are not looked at. Nil slices and maps are written
// empty, nil pointers in fields and maps are left out. Map keys are strings,
// integers or structs. Strings are escaped as fastjson does it; what is not UTF-8
// in them becomes U+FFFD. NaN and infinities are null.
//
// A Go type that is none of these is a mistake in the program: Marshal panics.
// Nothing in a value of a supported type makes it panic.
func Marshal(v any) []byte { return marshal(v, false) }

// MarshalStandard is [Marshal] for readers of standard JSON: integer keys are
// strings, object keys are strings that hold the object's text.
func MarshalStandard(v any) []byte { return marshal(v, true) }

// MarshalPretty is [Marshal] in the layout of the config files.
func MarshalPretty(v any) []byte {
	p := parser{
		src:    Marshal(v),
		limits: Limits{Size: math.MaxInt, Depth: MaxDepth, Objects: math.MaxInt},
		pretty: true,
	}
	out, err := p.run()
	if err != nil {
		// The text is our own: only a Go type nested deeper than MaxDepth gets here.
		panic(fmt.Sprintf("fastjson: laying out %T: %v", v, err))
	}
	return out
}

func marshal(v any, standard bool) []byte {
	m := marshaler{standard: standard, types: map[reflect.Type][]field{}}
	m.value(reflect.ValueOf(v))
	return m.out
}

type marshaler struct {
	out      []byte
	standard bool
	types    map[reflect.Type][]field // fields by name, for the length of one call
}

type field struct {
	name      string
	index     int
	omitEmpty bool
}

func (m *marshaler) fields(t reflect.Type) []field {
	if f, ok := m.types[t]; ok {
		return f
	}
	var fields []field
	for i := range t.NumField() {
		name, options, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name != "" && name != "-" {
			fields = append(fields, field{name, i, options == "omitempty"})
		}
	}
	slices.SortFunc(fields, func(a, b field) int { return cmp.Compare(a.name, b.name) })
	m.types[t] = fields
	return fields
}

func (m *marshaler) value(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			m.out = append(m.out, "null"...)
			return
		}
		m.value(v.Elem())
	case reflect.String:
		m.out = AppendString(m.out, v.String())
	case reflect.Bool:
		m.out = strconv.AppendBool(m.out, v.Bool())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		m.out = strconv.AppendInt(m.out, v.Int(), 10)
	case reflect.Float64:
		m.out = appendDouble(m.out, v.Float())
	case reflect.Slice:
		m.out = append(m.out, '[')
		for i := range v.Len() {
			m.comma(i)
			m.value(v.Index(i))
		}
		m.out = append(m.out, ']')
	case reflect.Struct:
		m.object(v)
	case reflect.Map:
		m.table(v)
	default:
		panic(fmt.Sprintf("fastjson: a value of kind %v cannot be written", v.Kind()))
	}
}

func (m *marshaler) comma(i int) {
	if i > 0 {
		m.out = append(m.out, ',')
	}
}

func (m *marshaler) object(v reflect.Value) {
	m.out = append(m.out, '{')
	n := 0
	for _, f := range m.fields(v.Type()) {
		x := v.Field(f.index)
		if f.omitEmpty && isEmpty(x) || x.Kind() == reflect.Pointer && x.IsNil() {
			continue
		}
		m.comma(n)
		n++
		m.out = AppendString(m.out, f.name)
		m.out = append(m.out, ':')
		m.value(x)
	}
	m.out = append(m.out, '}')
}

func isEmpty(v reflect.Value) bool {
	if k := v.Kind(); k == reflect.Map || k == reflect.Slice {
		return v.Len() == 0
	}
	return v.IsZero()
}

func (m *marshaler) table(v reflect.Value) {
	keys := v.MapKeys()
	switch kind := v.Type().Key().Kind(); kind {
	case reflect.String:
		slices.SortFunc(keys, func(a, b reflect.Value) int { return cmp.Compare(a.String(), b.String()) })
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		slices.SortFunc(keys, func(a, b reflect.Value) int { return cmp.Compare(a.Int(), b.Int()) })
	case reflect.Struct:
		slices.SortFunc(keys, compareStructs)
	default:
		panic(fmt.Sprintf("fastjson: a key of type %v cannot be written", v.Type().Key()))
	}
	m.out = append(m.out, '{')
	n := 0
	for _, k := range keys {
		x := v.MapIndex(k)
		if x.Kind() == reflect.Pointer && x.IsNil() {
			continue
		}
		m.comma(n)
		n++
		m.key(k)
		m.out = append(m.out, ':')
		m.value(x)
	}
	m.out = append(m.out, '}')
}

// compareStructs orders object keys by their fields in the order the Go type
// has them, strings by bytes and integers by value.
func compareStructs(a, b reflect.Value) int {
	for i := range a.NumField() {
		x, y := a.Field(i), b.Field(i)
		c := 0
		switch {
		case x.Kind() == reflect.String:
			c = cmp.Compare(x.String(), y.String())
		case x.CanInt():
			c = cmp.Compare(x.Int(), y.Int())
		default:
			panic(fmt.Sprintf("fastjson: a key of type %v cannot be ordered", a.Type()))
		}
		if c != 0 {
			return c
		}
	}
	return 0
}

func (m *marshaler) key(k reflect.Value) {
	switch {
	case k.Kind() == reflect.String:
		m.out = AppendString(m.out, k.String())
	case !m.standard:
		m.value(k)
	case k.Kind() == reflect.Struct:
		start := len(m.out)
		m.value(k)
		text := slices.Clone(m.out[start:])
		m.out = appendQuotedText(m.out[:start], text)
	default:
		m.out = append(m.out, '"')
		m.value(k)
		m.out = append(m.out, '"')
	}
}
