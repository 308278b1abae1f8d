// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package output

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode"

	yamlv3 "go.yaml.in/yaml/v3"
)

// What is written as YAML reads as what it was, and neither it nor JSON has bytes
// that act on a terminal.
func FuzzWriteYAML(f *testing.F) {
	for _, text := range []string{
		"", "a", "no", "x: y", "- a", "1e3", "0x1f", "~", "\x7f", "\u0080", "\u0085", "\u009b2J", "\u2028", "\ufeff", "\ufffe", "\uffff", "\U0001f600", "\x1b[2J", "\xff",
		"two\nlines\r\n\ttab", "'\"\\", "%RETRY%g", "=", "<<", "2026-01-02", "1:30", "!!str", "a#b", "a #b", "{}", strings.Repeat("k", 2000), strings.Repeat("\u0080", 300),
	} {
		f.Add(text, "key", 1.5)
		f.Add("value", text, -2e21)
	}
	f.Fuzz(func(t *testing.T, text, key string, number float64) {
		value := map[string]any{key: map[string]any{"text": text, key: []any{text, map[string]any{key: nil}, []any{}}}, "list": []any{[]any{text, true}, map[string]any{}, number}}
		asJSON, err := json.Marshal(value)
		if err != nil {
			return // a number that JSON does not have
		}
		var want, got any
		if err := json.Unmarshal(asJSON, &want); err != nil {
			t.Fatal(err)
		}
		var b, j bytes.Buffer
		if err := WriteYAML(&b, value); err != nil {
			t.Fatal(err)
		}
		if err := yamlv3.Unmarshal(b.Bytes(), &got); err != nil {
			t.Fatalf("%v\n%s", err, &b)
		}
		if got = floats(got); !reflect.DeepEqual(got, want) {
			t.Errorf("%q reads as %v, wrote\n%s", want, got, &b)
		}
		if err := WriteJSON(&j, value, "  "); err != nil {
			t.Fatal(err)
		}
		for _, written := range []string{b.String(), j.String()} {
			if strings.ContainsFunc(written, func(r rune) bool { return r != '\n' && unicode.IsControl(r) }) {
				t.Errorf("control characters in %q", written)
			}
		}
	})
}

// floats has all numbers be what encoding/json makes of them.
func floats(v any) any {
	switch v := v.(type) {
	case int:
		return float64(v)
	case int64:
		return float64(v)
	case uint64:
		return float64(v)
	case []any:
		for i := range v {
			v[i] = floats(v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = floats(v[key])
		}
	}
	return v
}
