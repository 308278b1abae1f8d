// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package output

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// columnGap stands between columns, leastColumn is what a cut one keeps.
const (
	columnGap   = 2
	leastColumn = 8
)

// Column is a column of a table.
type Column struct {
	name  string
	right bool
	cut   int
	drop  int
	wide  bool
}

// Text is a column of words.
func Text(name string) Column { return Column{name: name} }

// Num is a column of numbers.
func Num(name string) Column { return Column{name: name, right: true} }

// Cut has the column be cut when the table is too wide: those of a lower order
// first. Ids have no order.
func (c Column) Cut(order int) Column {
	c.cut = order
	return c
}

// Drop has the column be left out when the table is too wide, whatever is cut: those
// of a lower order first. -o wide has it.
func (c Column) Drop(order int) Column {
	c.drop = order
	return c
}

// Wide has the column be shown by -o wide only.
func (c Column) Wide() Column {
	c.wide = true
	return c
}

// Table is rows below a heading. The zero value of a row's cell is "-".
type Table struct {
	columns []Column
	rows    [][]string
	empty   string
}

// NewTable makes a table without rows.
func NewTable(columns ...Column) *Table { return &Table{columns: columns} }

// IfEmpty sets what is said instead of a table without rows; without it the
// heading stands alone.
func (t *Table) IfEmpty(text string) *Table {
	t.empty = text
	return t
}

// Row adds a row: a cell for each column, also for those of -o wide.
func (t *Table) Row(cells ...any) {
	if len(cells) != len(t.columns) {
		panic(fmt.Sprintf("output: %d cells for %d columns", len(cells), len(t.columns)))
	}
	row := make([]string, len(cells))
	for i, c := range cells {
		row[i] = cell(c)
	}
	t.rows = append(t.rows, row)
}

// Len is the number of rows.
func (t *Table) Len() int { return len(t.rows) }

func cell(v any) string {
	if v == nil {
		return "-"
	}
	text := fmt.Sprint(v)
	if text == "" {
		return "-"
	}
	return Printable(text)
}

// Printable is a text on one line: as it is, or quoted where that would not show
// what it is.
func Printable(s string) string {
	if utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return s
	}
	return strconv.Quote(s)
}

// Visible is a text of several lines with what is not printable escaped, so that
// what a server says cannot write to somebody's terminal.
func Visible(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1, r != '\n' && !unicode.IsPrint(r):
			quoted := strconv.Quote(s[:n])
			b.WriteString(quoted[1 : len(quoted)-1])
		default:
			b.WriteString(s[:n])
		}
		s = s[n:]
	}
	return b.String()
}

// render writes the table: all columns and nothing cut when wide, else as many
// characters a line as width says, unless that is 0. What does not fit then is not
// written as rows, but one field a line.
func (t *Table) render(b *strings.Builder, width int, wide bool) {
	if len(t.rows) == 0 && t.empty != "" {
		return
	}
	var all []int
	last := 0
	for i, c := range t.columns {
		if !c.wide || wide {
			all = append(all, i)
			last = max(last, c.drop)
		}
	}
	if wide {
		width = 0
	}
	shown := all
	widths, fits := t.fit(shown, width)
	for order := 1; order <= last && !fits; order++ {
		for i := len(t.columns) - 1; i >= 0 && !fits; i-- {
			if t.columns[i].drop == order {
				shown = slices.DeleteFunc(slices.Clone(shown), func(at int) bool { return at == i })
				widths, fits = t.fit(shown, width)
			}
		}
	}
	if !fits && len(t.rows) > 0 {
		t.stack(b, all)
		return
	}
	heading := make([]string, len(t.columns))
	for i, c := range t.columns {
		heading[i] = c.name
	}
	t.line(b, heading, shown, widths)
	for _, row := range t.rows {
		t.line(b, row, shown, widths)
	}
}

// stack writes each row as fields, an empty line between two.
func (t *Table) stack(b *strings.Builder, shown []int) {
	for n, row := range t.rows {
		if n > 0 {
			b.WriteByte('\n')
		}
		f := &Fields{}
		for _, i := range shown {
			f.names, f.values = append(f.names, t.columns[i].name), append(f.values, row[i])
		}
		f.render(b, 0, false)
	}
}

// fit gives the widths of the columns, and whether they are not too wide together.
func (t *Table) fit(shown []int, width int) (widths []int, fits bool) {
	widths = make([]int, len(t.columns))
	total, last := -columnGap, 0
	for _, i := range shown {
		widths[i] = utf8.RuneCountInString(t.columns[i].name)
		for _, row := range t.rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
		total += widths[i] + columnGap
		last = max(last, t.columns[i].cut)
	}
	for order := 1; order <= last && width > 0; order++ {
		for _, i := range shown {
			if cut := min(total-width, widths[i]-leastColumn); t.columns[i].cut == order && cut > 0 {
				widths[i] -= cut
				total -= cut
			}
		}
	}
	return widths, width <= 0 || total <= width
}

func (t *Table) line(b *strings.Builder, cells []string, shown, widths []int) {
	line := ""
	for _, i := range shown {
		text, n := cells[i], utf8.RuneCountInString(cells[i])
		if n > widths[i] {
			text, n = string([]rune(text)[:widths[i]-1])+"…", widths[i]
		}
		blanks := strings.Repeat(" ", widths[i]-n)
		if t.columns[i].right {
			line += blanks + text
		} else {
			line += text + blanks
		}
		line += strings.Repeat(" ", columnGap)
	}
	b.WriteString(strings.TrimRight(line, " "))
	b.WriteByte('\n')
}

// Fields are names with values, one a line.
type Fields struct {
	names, values []string
}

// Add adds a field.
func (f *Fields) Add(name string, value any) {
	f.names, f.values = append(f.names, name), append(f.values, cell(value))
}

// Addf adds a field, see fmt.Sprintf.
func (f *Fields) Addf(name, format string, args ...any) { f.Add(name, fmt.Sprintf(format, args...)) }

func (f *Fields) render(b *strings.Builder, _ int, _ bool) {
	width := 0
	for _, name := range f.names {
		width = max(width, utf8.RuneCountInString(name))
	}
	for i, name := range f.names {
		b.WriteString(name + strings.Repeat(" ", width+columnGap-utf8.RuneCountInString(name)) + f.values[i] + "\n")
	}
}

// Lines are texts, one a line.
type Lines []string

func (l Lines) render(b *strings.Builder, _ int, _ bool) {
	for _, text := range l {
		b.WriteString(Printable(text) + "\n")
	}
}

// Line is a line of its own, whatever else it has in it made visible.
type Line string

func (l Line) render(b *strings.Builder, _ int, _ bool) { b.WriteString(Visible(string(l)) + "\n") }
