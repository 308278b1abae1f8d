// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package output

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
)

// Format is what -o says. Its zero value is Table.
type Format int

// The formats.
const (
	FormatTable Format = iota
	FormatWide         // a table with all columns, and nothing cut
	FormatJSON
	FormatYAML
)

// formats are the names of the formats.
var formats = []string{"table", "wide", "json", "yaml"}

// FormatNames gives the names that -o takes.
func FormatNames() []string { return slices.Clone(formats) }

// String is the name of the format.
func (f Format) String() string { return formats[f] }

// Type is for the help of flags.
func (f Format) Type() string { return "format" }

// Set takes the name of a format.
func (f *Format) Set(name string) error {
	i := slices.Index(formats, name)
	if i < 0 {
		return fmt.Errorf("accepted are %s", strings.Join(formats, ", "))
	}
	*f = Format(i)
	return nil
}

// ForPeople tells tables from what programs read.
func (f Format) ForPeople() bool { return f == FormatTable || f == FormatWide }

// Part is a part of a view for people: a *[Table], *[Fields], [Lines] or a [Line].
type Part interface {
	render(b *strings.Builder, width int, wide bool)
}

// View is a result.
type View struct {
	Value any      // what JSON and YAML show, as encoding/json writes it
	Parts []Part   // what tables show, an empty line between two
	Notes []string // what is said beside a table, to standard error
}

// Of makes a view.
func Of(value any, parts ...Part) *View { return &View{Value: value, Parts: parts} }

// Note adds a note, see fmt.Sprintf; what is not printable is made visible.
func (v *View) Note(format string, args ...any) *View {
	v.Notes = append(v.Notes, Visible(fmt.Sprintf(format, args...)))
	return v
}

// AllNotes are the notes, and what is said of empty tables.
func (v *View) AllNotes() []string {
	var all []string
	for _, p := range v.Parts {
		if t, ok := p.(*Table); ok && len(t.rows) == 0 && t.empty != "" {
			all = append(all, t.empty)
		}
	}
	return append(all, v.Notes...)
}

// Write writes the view, for people in lines of at most width characters where
// that is above 0.
func (v *View) Write(w io.Writer, f Format, width int) error {
	switch f {
	case FormatJSON:
		return WriteJSON(w, v.Value, "  ")
	case FormatYAML:
		return WriteYAML(w, v.Value)
	}
	var all []string
	for _, p := range v.Parts {
		var b strings.Builder
		p.render(&b, width, f == FormatWide)
		if b.Len() > 0 {
			all = append(all, b.String())
		}
	}
	_, err := io.WriteString(w, strings.Join(all, "\n"))
	return err
}

// WriteJSON writes a value as JSON and a line feed; on one line when indent is
// empty. Characters that act on terminals, or that YAML does not allow, are escaped.
func WriteJSON(w io.Writer, v any, indent string) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	if err := e.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(escape(b.Bytes()))
	return err
}

// escape escapes in JSON what encoding/json leaves as it is: above '~', which only
// texts have, what has no shape. Those above U+FFFF stay: YAML knows no pairs.
func escape(text []byte) []byte {
	hidden := func(r rune) bool { return r > '~' && r <= 0xffff && !unicode.IsGraphic(r) }
	if !bytes.ContainsFunc(text, hidden) {
		return text
	}
	var b bytes.Buffer
	for _, r := range string(text) {
		if hidden(r) {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.Bytes()
}

// Act is something that was done: a word, and what it was done to.
type Act struct {
	Done   string
	fields []any // name, value
}

// Did makes an act of names and their values, in turn.
func Did(done string, fields ...any) Act {
	if len(fields)%2 != 0 {
		panic("output: an act's name without a value")
	}
	return Act{done, fields}
}

// MarshalJSON gives one object: done, then the fields in their order.
func (a Act) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	for i, v := range append([]any{"done", a.Done}, a.fields...) {
		if err := WriteJSON(&b, v, ""); err != nil {
			return nil, err
		}
		b.Truncate(b.Len() - 1) // the line feed
		b.WriteByte(":,"[i%2])
	}
	b.Truncate(b.Len() - 1)
	return append(append([]byte{'{'}, b.Bytes()...), '}'), nil
}

// String is the act on one line: done name=value ...
func (a Act) String() string {
	var b strings.Builder
	b.WriteString(a.Done)
	for i := 0; i < len(a.fields); i += 2 {
		fmt.Fprintf(&b, " %v=%s", a.fields[i], word(fmt.Sprint(a.fields[i+1])))
	}
	return b.String()
}

// word is a text that stays one word.
func word(s string) string {
	if p := Printable(s); p != s || !strings.ContainsAny(s, " \"") {
		return p
	}
	return fmt.Sprintf("%q", s)
}

// Write writes the act: a line for people, else as WriteItem does.
func (a Act) Write(w io.Writer, f Format) error {
	if !f.ForPeople() {
		return WriteItem(w, f, a)
	}
	_, err := io.WriteString(w, a.String()+"\n")
	return err
}

// WriteItem writes one value of several: one line as JSON, a document as YAML.
func WriteItem(w io.Writer, f Format, v any) error {
	if f == FormatYAML {
		if _, err := io.WriteString(w, "---\n"); err != nil {
			return err
		}
		return WriteYAML(w, v)
	}
	return WriteJSON(w, v, "")
}
