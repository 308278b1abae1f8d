// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package output

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"
)

// Tables are cut to the width, the lowest order first, and keep something of each
// column; ids are never cut. Where that is not enough, columns that may go do, then the
// rows are stacked.
func TestTableFits(t *testing.T) {
	table := NewTable(Num("N"), Text("TOPIC").Cut(2), Text("KEY").Cut(1), Text("HOST").Wide())
	table.Row(1, "täglich-orders", "0123456789abcdef", "a")
	table.Row(22, "t", "k", "b")
	for width, want := range map[int]string{
		0:  " N  TOPIC           KEY\n 1  täglich-orders  0123456789abcdef\n22  t               k\n",
		36: " N  TOPIC           KEY\n 1  täglich-orders  0123456789abcdef\n22  t               k\n",
		30: " N  TOPIC           KEY\n 1  täglich-orders  012345678…\n22  t               k\n",
		24: " N  TOPIC       KEY\n 1  täglich-o…  0123456…\n22  t           k\n",
		22: " N  TOPIC     KEY\n 1  täglich…  0123456…\n22  t         k\n",
		21: "N      1\nTOPIC  täglich-orders\nKEY    0123456789abcdef\n\nN      22\nTOPIC  t\nKEY    k\n",
	} {
		var b strings.Builder
		if err := Of(nil, table).Write(&b, FormatTable, width); err != nil || b.String() != want {
			t.Errorf("%d: %v\n%s", width, err, &b)
		}
		for line := range strings.Lines(want) {
			if n := len([]rune(line)) - 1; width >= 22 && n > width {
				t.Errorf("%s is %d wide", line, n)
			}
		}
	}
	var b strings.Builder
	if err := Of(nil, table).Write(&b, FormatWide, 5); err != nil || !strings.Contains(b.String(), " 1  täglich-orders  0123456789abcdef  a\n") {
		t.Errorf("wide: %v\n%s", err, &b)
	}
}

// Columns that may be left out are, one after the other from the right, the lowest
// order first, and only as many as are needed.
func TestTableDrops(t *testing.T) {
	table := NewTable(Text("ID"), Text("HOST").Drop(2), Text("AT").Drop(1), Num("N").Drop(1), Text("BODY").Cut(1))
	table.Row("0123456789", "somewhere", "now", 7, "a long, long text")
	for width, want := range map[int]string{
		40: "ID          HOST       AT   N  BODY\n0123456789  somewhere  now  7  a long, …\n",
		38: "ID          HOST       AT   BODY\n0123456789  somewhere  now  a long, l…\n",
		34: "ID          HOST       BODY\n0123456789  somewhere  a long, lo…\n",
		20: "ID          BODY\n0123456789  a long,…\n",
		19: "ID    0123456789\nHOST  somewhere\nAT    now\nN     7\nBODY  a long, long text\n",
	} {
		var b strings.Builder
		if err := Of(nil, table).Write(&b, FormatTable, width); err != nil || b.String() != want {
			t.Errorf("%d: %v\n%s\nwanted\n%s", width, err, &b, want)
		}
	}
}

func TestViewForPeople(t *testing.T) {
	f := &Fields{}
	f.Add("topic", "orders")
	f.Add("last message", "")
	f.Addf("odd", "%s", "\x1b[2J")
	none := NewTable(Text("A")).IfEmpty("there is none")
	two := NewTable(Text("A"), Text("B"))
	two.Row("x\ny", nil)
	v := Of(1, f, none, two, Lines{"p", "q"}, Line("e\x1bnd\n")).Note("see %s", "there\a")
	var b strings.Builder
	if err := v.Write(&b, FormatTable, 0); err != nil {
		t.Fatal(err)
	}
	want := "topic         orders\nlast message  -\nodd           \"\\x1b[2J\"\n\nA       B\n\"x\\ny\"  -\n\np\nq\n\ne\\x1bnd\n\n"
	if b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
	if notes := v.AllNotes(); len(notes) != 2 || notes[0] != "there is none" || notes[1] != `see there\a` {
		t.Errorf("%q", notes)
	}
}

func TestVisible(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "plain \"quoted\" täglich": "plain \"quoted\" täglich", "two\nlines": "two\nlines", "\x1b[2J\r\x00": `\x1b[2J\r\x00`, "\xff": `\xff`, "\u202e": `\u202e`, "\ufffd": "\ufffd",
	} {
		if got := Visible(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestActs(t *testing.T) {
	a := Did("sent", "id", "A B", "queue", 3, "note", "<&>\n")
	for f, want := range map[Format]string{
		FormatTable: "sent id=\"A B\" queue=3 note=\"<&>\\n\"\n",
		FormatWide:  "sent id=\"A B\" queue=3 note=\"<&>\\n\"\n",
		FormatJSON:  "{\"done\":\"sent\",\"id\":\"A B\",\"queue\":3,\"note\":\"<&>\\n\"}\n",
		FormatYAML:  "---\ndone: sent\nid: \"A B\"\nqueue: 3\nnote: \"<&>\\n\"\n",
	} {
		var b strings.Builder
		if err := a.Write(&b, f); err != nil || b.String() != want {
			t.Errorf("%v: %v\n%s", f, err, &b)
		}
	}
}

func TestFormats(t *testing.T) {
	for _, name := range FormatNames() {
		var f Format
		if err := f.Set(name); err != nil || f.String() != name {
			t.Errorf("%s: %v, %v", name, f, err)
		}
	}
	f := FormatJSON
	if err := f.Set("xml"); err == nil || f != FormatJSON || !strings.Contains(err.Error(), "accepted are table, wide, json, yaml") {
		t.Error(f, err)
	}
	if !FormatTable.ForPeople() || !FormatWide.ForPeople() || FormatJSON.ForPeople() || FormatYAML.ForPeople() {
		t.Error("which formats are for people")
	}
}

func TestYAML(t *testing.T) {
	type queue struct {
		ID    int      `json:"id"`
		Empty []string `json:"empty"`
		None  any      `json:"none"`
		Tags  []string `json:"tags"`
	}
	for _, c := range []struct {
		value any
		want  string
	}{
		{nil, "null\n"},
		{[]int{}, "[]\n"},
		{map[string]int{}, "{}\n"},
		{"no", "\"no\"\n"},
		{[]any{1, "a", []int{2, 3}, true}, "- 1\n- a\n-\n  - 2\n  - 3\n- true\n"},
		{[]queue{{ID: 9007199254740993, Empty: []string{}, Tags: []string{"x: y", "-1", "1e3", "täglich", "a-b.c/d", "", "#", "Null", "~", "a b", "\x1b", "\x7f", "\u009b2J", "\ufffe", "\U0001F600"}}},
			"-\n  id: 9007199254740993\n  empty: []\n  none: null\n  tags:\n    - \"x: y\"\n    - \"-1\"\n    - \"1e3\"\n    - \"täglich\"\n    - a-b.c/d\n    - \"\"\n    - \"#\"\n    - \"Null\"\n    - \"~\"\n    - \"a b\"\n    - \"\\u001b\"\n    - \"\\u007f\"\n    - \"\\u009b2J\"\n    - \"\\ufffe\"\n    - \"\U0001F600\"\n"},
		{map[string]any{"%RETRY%g": map[string]any{"1": 1.5}}, "\"%RETRY%g\":\n  \"1\": 1.5\n"},
	} {
		var b strings.Builder
		if err := WriteYAML(&b, c.value); err != nil || b.String() != c.want {
			t.Errorf("%v: %v\n%s\nwanted\n%s", c.value, err, &b, c.want)
		}
	}
	if err := WriteYAML(&strings.Builder{}, math.NaN()); err == nil {
		t.Error("a value that JSON does not have is written")
	}
	wrong := errors.New("full")
	if err := WriteYAML(full{wrong}, 1); !errors.Is(err, wrong) {
		t.Error(err)
	}
}

type full struct{ err error }

func (f full) Write([]byte) (int, error) { return 0, f.err }

func TestParseTime(t *testing.T) {
	zone := time.FixedZone("there", 2*3600)
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, zone)
	for text, want := range map[string]time.Time{
		"now": now, "2h ago": now.Add(-2 * time.Hour), "-30m": now.Add(-30 * time.Minute), "1d12h ago": now.Add(-36 * time.Hour), "-1w": now.Add(-168 * time.Hour),
		"2026-01-02T15:04:05Z": time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC), "2026-01-02T15:04:05.250+01:00": time.Date(2026, 1, 2, 14, 4, 5, 250e6, time.UTC),
		"2026-01-02T15:04:05": time.Date(2026, 1, 2, 15, 4, 5, 0, zone), "2026-01-02 15:04": time.Date(2026, 1, 2, 15, 4, 0, 0, zone), " 2026-01-02 ": time.Date(2026, 1, 2, 0, 0, 0, 0, zone),
		"1700000000123": time.UnixMilli(1700000000123), "170000000012": time.UnixMilli(170000000012), "001700000000": time.UnixMilli(1700000000),
	} {
		if got, err := ParseTime(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "yesterday", "2h", "ago", "- 1", "-", "17", "2026", "2026-13-01", "-5", "-1x", "1.5d ago", "2026-01-02T25:00:00Z"} {
		if got, err := ParseTime(text, now); err == nil || !strings.Contains(err.Error(), "2h ago") {
			t.Errorf("%q is %v, %v", text, got, err)
		}
	}
	for text, other := range map[string]string{"1700000000": "1700000000000", "17000000000": "017000000000"} {
		if got, err := ParseTime(text, now); err == nil || !strings.Contains(err.Error(), "may be seconds or milliseconds") || !strings.Contains(err.Error(), other) {
			t.Errorf("seconds or milliseconds: %q is %v, %v", text, got, err)
		}
	}
	if Time(time.Time{}) != "-" || Millis(0) != "-" || Time(now) != "2026-03-04T05:06:07.000+02:00" || Ago(time.Time{}, now) != "-" || Ago(now.Add(-time.Minute), now) != "1m00s" {
		t.Error("times for people")
	}
}

func TestSpans(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0.0s", 99 * time.Millisecond: "0.0s", 9999 * time.Millisecond: "9.9s", 10 * time.Second: "10s", 59999 * time.Millisecond: "59s", time.Minute: "1m00s",
		192 * time.Second: "3m12s", time.Hour: "1h00m", 24*time.Hour - 1: "23h59m", 50 * time.Hour: "2d02h", -90 * time.Second: "-1m30s", -1 << 63: "-106751d23h",
	} {
		if got := Span(d); got != want {
			t.Errorf("%d: %s, want %s", d, got, want)
		}
	}
	for text, want := range map[string]time.Duration{"0": 0, "30s": 30 * time.Second, "7d": 168 * time.Hour, "1w2d3h4m": 219*time.Hour + 4*time.Minute, "2d02h": 50 * time.Hour, "1.5h": 90 * time.Minute} {
		if got, err := ParseSpan(text); err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "5", "d", "-1h", "1d-1h", "-1d", "1h1d", "99999999999w", "15251w", "106751d24h", "x"} {
		if got, err := ParseSpan(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}

func TestSizes(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0B", 1023: "1023B", 1024: "1KiB", 1536: "1.5KiB", 4 << 20: "4MiB", 1<<20 - 1: "1MiB", 1 << 40: "1TiB", math.MaxInt64: "8EiB", -2048: "-2KiB", math.MinInt64: "-8EiB",
	} {
		if got := Size(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
	for text, want := range map[string]int64{
		"0": 0, "4194304": 4 << 20, "4MiB": 4 << 20, "4M": 4 << 20, "4m": 4 << 20, "4 mib": 4 << 20, "4MB": 4e6, "1.5GiB": 3 << 29, "512b": 512, "9007199254740993": 9007199254740993,
		"1.1KiB": 1126,
	} {
		if got, err := ParseSize(text); err != nil || got != want {
			t.Errorf("%q: %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "M", "-1", "-1M", "4Mi", "4bM", "inf", "nan", "0x10", "1e3", "8EiB", "99999999999999999999", "1 2", "4ii"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("%q is %d", text, got)
		}
	}
}
