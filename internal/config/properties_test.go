// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestParseProperties(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []Entry
	}{
		{"empty", "", nil},
		{"separators", "a=1\nb:2\nc 3\nd\t=\t4\ne : 5\nf\n", []Entry{{"a", "1", 1}, {"b", "2", 2}, {"c", "3", 3}, {"d", "4", 4}, {"e", "5", 5}, {"f", "", 6}}},
		{"only one separator is taken", "a==1\nb = = 2\nc : = 3\nd  e = f", []Entry{{"a", "=1", 1}, {"b", "= 2", 2}, {"c", "= 3", 3}, {"d", "e = f", 4}}},
		{"comments", "# a=1\n  ! b=2\n\n \t\f\nc=#3 !", []Entry{{"c", "#3 !", 5}}},
		{"a comment does not continue", "# a\\\nb=1", []Entry{{"b", "1", 2}}},
		{"line ends", "a=1\r\nb=2\rc=3\r\n", []Entry{{"a", "1", 1}, {"b", "2", 2}, {"c", "3", 3}}},
		{"leading blanks go, trailing stay", "  a =  1  ", []Entry{{"a", "1  ", 1}}},
		{"continued", "a=1,\\\n   2,\\\r\n\t3\nb=4", []Entry{{"a", "1,2,3", 1}, {"b", "4", 4}}},
		{"continued by a comment sign", "a=1\\\n# 2", []Entry{{"a", "1# 2", 1}}},
		{"continued in the key", "a\\\n b=1", []Entry{{"ab", "1", 1}}},
		{"continued at the end", "a=1\\", []Entry{{"a", "1", 1}}},
		{"continued by nothing", "\\\n\nb=1", []Entry{{"b", "1", 3}}},
		{"even backslashes", "a=1\\\\\nb=2\\\\\\\n3", []Entry{{"a", "1\\", 1}, {"b", "2\\3", 2}}},
		{"escapes", `a\ b\=\:c=\t\n\r\f\q\\`, []Entry{{"a b=:c", "\t\n\r\fq\\", 1}}},
		{"escaped key start", `\#a=1`, []Entry{{"#a", "1", 1}}},
		{"unicode", `a=\u4e2d\u00E9\ud83d\ude00!`, []Entry{{"a", "中é😀!", 1}}},
		{"unicode over a line's end", "a=\\u004\\\n  1", []Entry{{"a", "A", 1}}},
		{"lone surrogates", `a=\ud83dx\ude00\ud83d\u0041`, []Entry{{"a", "\ufffdx\ufffd\ufffdA", 1}}},
		{"UTF-8", "\ufeffa=中", []Entry{{"a", "中", 1}}},
		{"ISO-8859-1", "a=\xe9", []Entry{{"a", "é", 1}}},
		{"no key", "=1", []Entry{{"", "1", 1}}},
		{"repeated", "a=1\na=2", []Entry{{"a", "1", 1}, {"a", "2", 2}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseProperties([]byte(c.text))
			if err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %+v, %v\nwant %+v", got, err, c.want)
			}
		})
	}
	for _, text := range []string{`a=\u12`, `a=\u`, `\u00g0=1`} {
		if _, err := ParseProperties([]byte(text)); !errors.Is(err, ErrProperties) {
			t.Errorf("%q: error %v", text, err)
		}
	}
	if _, err := ParseProperties(make([]byte, MaxFileSize+1)); !errors.Is(err, ErrProperties) {
		t.Errorf("error %v for a huge text", err)
	}
}

// escape writes s so that ParseProperties reads it back.
func escape(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch r {
		case '\n':
			b.WriteString(`\n`)
		case '\r':
			b.WriteString(`\r`)
		case '\t':
			b.WriteString(`\t`)
		case '\f':
			b.WriteString(`\f`)
		case ' ', '=', ':', '#', '!', '\\', '\ufeff':
			b.WriteByte('\\')
			b.WriteRune(r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func FuzzParseProperties(f *testing.F) {
	for _, seed := range []string{goldenConf, "a\\\n b : \\u4e2d\\\\\n!x\r\n#y\rz", "a=\\ud83d\\ude00\\", "\xff=\xfe", "\\", "\ufeff\ufeff="} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		entries, err := ParseProperties(text)
		if err != nil {
			if !errors.Is(err, ErrProperties) {
				t.Fatal(err)
			}
			return
		}
		var again strings.Builder
		lines := strings.Count(strings.ReplaceAll(string(text), "\r", "\n"), "\n") + 1
		last := 0
		for _, e := range entries {
			if e.Line <= last || e.Line > lines {
				t.Fatalf("line %d after %d of %d", e.Line, last, lines)
			}
			last = e.Line
			if !utf8.ValidString(e.Key) || !utf8.ValidString(e.Value) {
				t.Fatalf("%q=%q is not UTF-8", e.Key, e.Value)
			}
			again.WriteString(escape(e.Key) + "=" + escape(e.Value) + "\n")
		}
		back, err := ParseProperties([]byte(again.String()))
		if again.Len() > MaxFileSize {
			return
		}
		if err != nil || len(back) != len(entries) {
			t.Fatalf("%d entries, again %d, %v", len(entries), len(back), err)
		}
		for i := range back {
			if back[i].Key != entries[i].Key || back[i].Value != entries[i].Value {
				t.Fatalf("%+v became %+v", entries[i], back[i])
			}
		}
	})
}

func FuzzLoad(f *testing.F) {
	f.Add(goldenConf, "listenPort=9876", "TWOSTAGE_LISTENPORT=1")
	f.Add("messageDelayLevel=1s 2\nnamesrvAddr=[::1]:9;:\nbrokerIP1=[", "kvConfigPath=", "TWOSTAGE_=")
	f.Fuzz(func(t *testing.T, broker, namesrv, env string) {
		c, err := Load(Sources{BrokerFile: File{Name: "b", Text: []byte(broker)}, NamesrvFile: File{Name: "n", Text: []byte(namesrv)},
			Environment: []string{env}})
		if err != nil {
			return
		}
		b := c.Broker
		if len(b.Delays.Levels) == 0 || b.Identity.Name == "" || b.Store.Dir == "" || b.Store.ConsumeQueueFileSize%20 != 0 ||
			b.Network.ListenPort < 0 || b.Network.ListenPort > 65535 || b.Store.MaxMessageSize < 1 || c.Namesrv.KVConfigPath == "" {
			t.Errorf("accepted: %+v %+v", b, c.Namesrv)
		}
		for _, v := range c.BrokerValues.All() {
			if v.Class == Refused && v.Source.Origin != FromDefault && strings.EqualFold(v.Text, "true") &&
				(v.Key == "enableLmq" || v.Key == "enableControllerMode") {
				t.Errorf("accepted %+v", v)
			}
		}
	})
}

// What is appended is read as it was.
func TestAppendProperty(t *testing.T) {
	for _, kv := range [][2]string{{"a", "b"}, {"#a b", `c:\d`}, {"!=:\t\f\r\n\\", "x = y"}, {"é", "# ü"}, {"empty", ""}, {"blank", "end "}} {
		entries, err := ParseProperties(AppendProperty(nil, kv[0], kv[1]))
		if err != nil || len(entries) != 1 || entries[0].Key != kv[0] || entries[0].Value != kv[1] {
			t.Errorf("%q: %+v, %v", kv, entries, err)
		}
	}
	if got := string(AppendProperty(nil, "a", "b\nc=d")); got != "a=b c=d\n" {
		t.Errorf("a line end: %q", got)
	}
}
