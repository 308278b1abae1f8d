// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package output

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// WriteYAML writes a value, as encoding/json sees it, as a YAML document: block
// style, the order of JSON, texts quoted as JSON does wherever YAML could read a
// plain one as something else.
func WriteYAML(w io.Writer, v any) error {
	var text bytes.Buffer
	if err := WriteJSON(&text, v, ""); err != nil {
		return err
	}
	d := json.NewDecoder(&text)
	d.UseNumber()
	y := &yaml{d: d}
	if err := y.value(0, false); err != nil {
		return fmt.Errorf("writing YAML: %w", err)
	}
	_, err := w.Write(y.b.Bytes())
	return err
}

// longestKey is how many bytes a key has at most that stands before its colon on one
// line: YAML allows 1024 characters; longer ones have a line and a mark of their own.
const longestKey = 1000

type yaml struct {
	d *json.Decoder
	b bytes.Buffer
}

// value writes the next value and ends its line. below says that a key or a dash
// stands before it on the line.
func (y *yaml) value(depth int, below bool) error {
	t, err := y.d.Token()
	if err != nil {
		return err
	}
	switch t {
	case json.Delim('{'):
		return y.block(depth, below, "{}", func() error {
			key, err := y.d.Token()
			if err != nil {
				return err
			}
			name := plain(key.(string))
			if len(name) > longestKey {
				name = "? " + name + "\n" + strings.Repeat("  ", depth)
			}
			y.b.WriteString(name + ":")
			return y.value(depth+1, true)
		})
	case json.Delim('['):
		return y.block(depth, below, "[]", func() error {
			y.b.WriteString("-")
			return y.value(depth+1, true)
		})
	}
	if below {
		y.b.WriteByte(' ')
	}
	switch t := t.(type) {
	case string:
		y.b.WriteString(plain(t))
	case nil:
		y.b.WriteString("null")
	default:
		fmt.Fprint(&y.b, t)
	}
	y.b.WriteByte('\n')
	return nil
}

// block writes the elements of an object or array and takes its end.
func (y *yaml) block(depth int, below bool, empty string, element func() error) error {
	if !y.d.More() {
		if below {
			y.b.WriteByte(' ')
		}
		y.b.WriteString(empty + "\n")
	} else if below {
		y.b.WriteByte('\n')
	}
	for y.d.More() {
		y.b.WriteString(strings.Repeat("  ", depth))
		if err := element(); err != nil {
			return err
		}
	}
	_, err := y.d.Token()
	return err
}

// plain is a text as it is where YAML 1.1 and 1.2 both read it as just that, and
// quoted otherwise.
func plain(s string) string {
	if s != "" && letter(s[0]) && !strings.ContainsFunc(s, func(r rune) bool {
		return r > 127 || !letter(byte(r)) && !strings.ContainsRune("0123456789-./@%", r)
	}) {
		switch strings.ToLower(s) {
		case "true", "false", "yes", "no", "on", "off", "y", "n", "null":
		default:
			return s
		}
	}
	var b bytes.Buffer
	_ = WriteJSON(&b, s, "") // a text always can be
	return strings.TrimSuffix(b.String(), "\n")
}

func letter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' }
