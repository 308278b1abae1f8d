// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package fastjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestToStandard(t *testing.T) {
	tests := []struct{ text, want string }{
		{`{}`, `{}`},
		{" [ ]\n", `[]`},
		{`{"a":null,"b":[true,false,-1.5e+3]}`, `{"a":null,"b":[true,false,-1.5e+3]}`},
		{`{0:"127.0.0.1:20911"}`, `{"0":"127.0.0.1:20911"}`},
		{`{ -1 : 2 , 10:3}`, `{"-1":2,"10":3}`},
		{`{"offsetTable":{"t@g":{0:10,1:6}}}`, `{"offsetTable":{"t@g":{"0":10,"1":6}}}`},
		{`{{"queueId":0}:{"max":7}}`, `{"{\"queueId\":0}":{"max":7}}`},
		{`{{"a\"\\":{1:"x"}}:1,{"b":[{}]}:2}`, `{"{\"a\\\"\\\\\":{\"1\":\"x\"}}":1,"{\"b\":[{}]}":2}`},
		{`{"\u00e9\/\b":"é"}`, `{"\u00e9\/\b":"é"}`},
		{`{"$ref":1}`, `{"$ref":1}`},
		{`{"$ref":"$","a":1}`, `{"$ref":"$","a":1}`},
		{`{"a":1,"$ref":"$"}`, `{"a":1,"$ref":"$"}`},
		{`{"$ref":"plain text"}`, `{"$ref":"plain text"}`},
	}
	for _, test := range tests {
		got, err := ToStandard([]byte(test.text))
		if err != nil || string(got) != test.want {
			t.Errorf("ToStandard(%s) = %s, %v; want %s", test.text, got, err, test.want)
		}
	}
}

func TestToStandardRefuses(t *testing.T) {
	tests := []struct {
		text    string
		offset  int
		problem string
	}{
		{``, 0, "ends where a value"},
		{`{`, 1, "ends where '}'"},
		{`[1`, 2, "ends where ']'"},
		{`[1 2]`, 3, "'2' where ',' or ']'"},
		{`[1,]`, 3, "']' after a comma"},
		{`{"a":1,}`, 7, "'}' after a comma"},
		{`[,1]`, 1, "',' where a value"},
		{`{"a" 1}`, 5, "':' is wanted"},
		{`{a:1}`, 1, "'a' where a key"},
		{`{[1]:1}`, 1, "'[' where a key"},
		{`{1.5:1}`, 2, "':' is wanted"},
		{`{01:1}`, 1, "malformed number"},
		{`{-:1}`, 2, "malformed number"},
		{`{{{"a":1}:2}:3}`, 2, "object key inside"},
		{`{"$ref":"$.dataVersion"}`, 0, "fastjson reference"},
		{`[{"a":{"$ref":"@"}}]`, 6, "fastjson reference"},
		{`"a`, 2, "ends inside a string"},
		{`"a\`, 2, "ends inside an escape"},
		{`"\x41"`, 1, "unknown escape"},
		{`"\u12"`, 1, "unknown escape"},
		{"\"a\nb\"", 2, "control character"},
		{`1.`, 2, "malformed number"},
		{`1e+`, 3, "malformed number"},
		{`-`, 1, "malformed number"},
		{`tru`, 0, "'t' where a value"},
		{`nil`, 0, "'n' where a value"},
		{`{} {}`, 3, "after the end"},
		{"{}\x00", 2, "after the end"},
		{"\x00", 0, `'\x00' where a value`},
		{`'a'`, 0, `'\'' where a value`},
	}
	for _, test := range tests {
		got, err := ToStandard([]byte(test.text))
		var syntax *SyntaxError
		if !errors.As(err, &syntax) {
			t.Errorf("ToStandard(%q) = %s, %v; want a *SyntaxError", test.text, got, err)
			continue
		}
		if syntax.Offset != test.offset || !strings.Contains(syntax.Problem, test.problem) {
			t.Errorf("ToStandard(%q): %v; want byte %d, %q", test.text, err, test.offset, test.problem)
		}
	}
}

func TestLimits(t *testing.T) {
	deep := func(n int) []byte { return []byte(strings.Repeat("[", n) + strings.Repeat("]", n)) }
	wide := func(n int) []byte { return []byte("[" + strings.Repeat("{},", n-2) + "{}]") }
	tests := []struct {
		name   string
		limits Limits
		fits   []byte
		not    []byte
	}{
		{"depth by default", Limits{}, deep(MaxDepth), deep(MaxDepth + 1)},
		{"depth above the most", Limits{Depth: 1 << 30}, deep(MaxDepth), deep(1 << 20)},
		{"depth", Limits{Depth: 2}, []byte(`{{"a":1}:2}`), []byte(`{{"a":[]}:2}`)},
		{"objects", Limits{Objects: 10}, wide(10), wide(11)},
		{"size", Limits{Size: 4}, []byte(`[12]`), []byte(`[123]`)},
	}
	for _, test := range tests {
		if _, err := test.limits.ToStandard(test.fits); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if _, err := test.limits.ToStandard(test.not); !errors.Is(err, ErrLimit) {
			t.Errorf("%s: err %v, want ErrLimit", test.name, err)
		}
	}
}

func configFiles(t testing.TB) map[string][]byte {
	files := map[string][]byte{}
	for _, pattern := range []string{"*.json", "*.json.bak"} {
		names, err := filepath.Glob("../../../testdata/golden/store-*/config/" + pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			files[name] = text
		}
	}
	if len(files) != 20 {
		t.Fatalf("%d config files, want 20", len(files))
	}
	return files
}

// Java's files come back byte for byte from their own text without white space.
func TestIndentConfigFiles(t *testing.T) {
	for name, text := range configFiles(t) {
		var bare []byte
		inString := false
		for i, c := range text { // no string of these files has an escape
			if c == '"' {
				inString = !inString
			}
			if c == '\\' {
				t.Fatalf("%s: escape at %d", name, i)
			}
			if inString || c != '\t' && c != '\n' {
				bare = append(bare, c)
			}
		}
		got, err := Indent([]byte("before"), bare)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got = bytes.TrimPrefix(got, []byte("before")); !bytes.Equal(got, text) {
			t.Errorf("%s comes out as\n%s", name, got)
		}
	}
}

func TestIndent(t *testing.T) {
	got, err := Indent(nil, []byte(`{"a":{},"b":[],"s":[{"x":1},{"y":[1,2]}],"k":{{"q":0}:1,{"q":1}:2}}`))
	want := `{
	"a":{},
	"b":[],
	"s":[{
		"x":1
	},{
		"y":[1,2]
	}],
	"k":{{
			"q":0
		}:1,{
			"q":1
		}:2
	}
}`
	if err != nil || string(got) != want {
		t.Errorf("got %s, %v", got, err)
	}
	if _, err := Indent(nil, []byte(`{"a":1`)); err == nil {
		t.Error("no error for a text that ends early")
	}
}

func FuzzToStandard(f *testing.F) {
	for _, text := range configFiles(f) {
		f.Add(text)
	}
	f.Add([]byte(`{{"a\"\\":{1:"x"}}:1,{"b":[{}]}:-2.5e3,"$ref":"$"}`))
	f.Add([]byte(`{"$ref":"$.a"}`))
	f.Add([]byte(`[null,true,false,"\u00e9\n"]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := ToStandard(text)
		if err != nil {
			var compact bytes.Buffer
			if json.Compact(&compact, text) == nil && !errors.Is(err, ErrLimit) && !strings.Contains(err.Error(), "reference") {
				t.Fatalf("standard JSON refused: %v", err)
			}
			return
		}
		if !json.Valid(got) {
			t.Fatalf("not JSON: %q", got)
		}
		if len(got) > 2*len(text)+2 {
			t.Fatalf("%d bytes from %d", len(got), len(text))
		}
		if json.Valid(text) {
			var compact bytes.Buffer
			if json.Compact(&compact, text) != nil || !bytes.Equal(compact.Bytes(), got) {
				t.Fatalf("standard JSON changed to %q", got)
			}
		}
		laidOut, err := Indent(nil, text)
		if err != nil {
			t.Fatalf("Indent: %v", err)
		}
		if again, err := ToStandard(laidOut); err != nil || !bytes.Equal(again, got) {
			t.Fatalf("laid out and read again: %q, %v", again, err)
		}
	})
}
