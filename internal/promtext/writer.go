// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package promtext

import (
	"math"
	"strconv"
	"strings"
)

// Family is what the lines of one metric have in common.
type Family struct {
	Name string
	Help string
	Kind string // Counter, Gauge or Histogram
	// Unit is what the Prometheus exporter of OpenTelemetry ends the name with
	// (Writer.Units): "milliseconds", "bytes"; "": nothing.
	Unit string
}

// Kinds of families.
const (
	Counter   = "counter"
	Gauge     = "gauge"
	Histogram = "histogram"
)

// Writer appends metrics to Buf. The zero Writer is ready. It is for one goroutine.
type Writer struct {
	Buf []byte
	// Units ends the names of families with their unit, unless they end with it.
	Units bool

	name   string
	series int
}

// Series is how many samples were written; a histogram counts as one.
func (w *Writer) Series() int { return w.series }

// Begin begins a family: the samples that follow are its.
func (w *Writer) Begin(f Family) {
	w.name = f.Name
	if w.Units && f.Unit != "" && !strings.HasSuffix(f.Name, "_"+f.Unit) {
		w.name += "_" + f.Unit
	}
	w.Buf = append(append(append(append(w.Buf, "# HELP "...), w.name...), ' '), helpEscapes.Replace(f.Help)...)
	w.Buf = append(append(append(append(w.Buf, "\n# TYPE "...), w.name...), ' '), f.Kind...)
	w.Buf = append(w.Buf, '\n')
}

var helpEscapes = strings.NewReplacer("\\", `\\`, "\n", `\n`)

// Sample writes a value with labels that AppendLabel has made.
func (w *Writer) Sample(labels []byte, v float64) {
	w.line("", labels)
	w.number(v)
	w.series++
}

// Int is Sample for a whole number.
func (w *Writer) Int(labels []byte, v int64) {
	w.line("", labels)
	w.Buf = append(strconv.AppendInt(w.Buf, v, 10), '\n')
	w.series++
}

// Distribution writes a histogram: counts[i] are the observations above bounds[i-1]
// and not above bounds[i], and the last one those above all bounds. sum is theirs.
func (w *Writer) Distribution(labels []byte, bounds []float64, counts []int64, sum float64) {
	total := int64(0)
	for i, n := range counts {
		total += n
		w.Buf = append(append(append(w.Buf, w.name...), "_bucket{"...), labels...)
		if len(labels) > 0 {
			w.Buf = append(w.Buf, ',')
		}
		w.Buf = append(w.Buf, `le="`...)
		if i < len(bounds) {
			w.Buf = strconv.AppendFloat(w.Buf, bounds[i], 'g', -1, 64)
		} else {
			w.Buf = append(w.Buf, "+Inf"...)
		}
		w.Buf = append(strconv.AppendInt(append(w.Buf, `"} `...), total, 10), '\n')
	}
	w.line("_sum", labels)
	w.number(sum)
	w.line("_count", labels)
	w.Buf = append(strconv.AppendInt(w.Buf, total, 10), '\n')
	w.series++
}

// line begins a line, up to its value.
func (w *Writer) line(suffix string, labels []byte) {
	w.Buf = append(append(w.Buf, w.name...), suffix...)
	if len(labels) > 0 {
		w.Buf = append(append(append(w.Buf, '{'), labels...), '}')
	}
	w.Buf = append(w.Buf, ' ')
}

// number ends a line.
func (w *Writer) number(v float64) {
	if n := int64(v); float64(n) == v && n > -1<<53 && n < 1<<53 {
		w.Buf = strconv.AppendInt(w.Buf, n, 10)
	} else {
		w.Buf = append(w.Buf, formatFloat(v)...)
	}
	w.Buf = append(w.Buf, '\n')
}

func formatFloat(v float64) string {
	switch {
	case math.IsInf(v, 1):
		return "+Inf"
	case math.IsInf(v, -1):
		return "-Inf"
	case math.IsNaN(v):
		return "NaN"
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

// AppendLabel appends a label to others. name must be a label name; value may be
// any text: what is no UTF-8 is replaced.
func AppendLabel(labels []byte, name, value string) []byte {
	if len(labels) > 0 {
		labels = append(labels, ',')
	}
	labels = append(append(labels, name...), `="`...)
	if plain(value) {
		labels = append(labels, value...)
	} else {
		labels = append(labels, labelEscapes.Replace(strings.ToValidUTF8(value, "\uFFFD"))...)
	}
	return append(labels, '"')
}

// plain tells whether a value needs no escapes.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c == '"' || c == '\\' || c == '\n' || c >= 0x80 {
			return false
		}
	}
	return true
}

var labelEscapes = strings.NewReplacer("\\", `\\`, "\n", `\n`, `"`, `\"`)
