// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package fastjson

import (
	"errors"
	"math"
	"strings"
	"testing"
)

type queue struct {
	Topic string `json:"topic"`
	ID    int32  `json:"queueId"`
}

type sample struct {
	Zulu     string          `json:"zulu"`
	Alpha    int64           `json:"alpha"`
	Flag     bool            `json:"flag,omitempty"`
	Word     string          `json:"word,omitempty"`
	Pointer  *queue          `json:"pointer"`
	List     []string        `json:"list"`
	ShortSet []int32         `json:"shortSet,omitempty"`
	Table    map[int64]any   `json:"-"`
	Offsets  map[int32]int64 `json:"offsets"`
	Keyed    map[queue]int64 `json:"keyed"`
	internal int
}

func TestMarshal(t *testing.T) {
	full := sample{
		Zulu: "z", Alpha: math.MinInt64, Flag: true, Word: "w", Pointer: &queue{"t", 1},
		List: []string{"b", "a"}, ShortSet: []int32{3}, Offsets: map[int32]int64{10: 1, -1: 2, 2: 3},
		Keyed: map[queue]int64{{"b", 0}: 1, {"a", 10}: 2, {"a", 9}: 3}, internal: 1,
	}
	tests := []struct {
		value              any
		dialect, different string // different: standard form, where it is
	}{
		{sample{}, `{"alpha":0,"keyed":{},"list":[],"offsets":{},"zulu":""}`, ""},
		{&full, `{"alpha":-9223372036854775808,"flag":true,` +
			`"keyed":{{"queueId":9,"topic":"a"}:3,{"queueId":10,"topic":"a"}:2,{"queueId":0,"topic":"b"}:1},` +
			`"list":["b","a"],"offsets":{-1:2,2:3,10:1},"pointer":{"queueId":1,"topic":"t"},"shortSet":[3],"word":"w","zulu":"z"}`,
			`{"alpha":-9223372036854775808,"flag":true,` +
				`"keyed":{"{\"queueId\":9,\"topic\":\"a\"}":3,"{\"queueId\":10,\"topic\":\"a\"}":2,"{\"queueId\":0,\"topic\":\"b\"}":1},` +
				`"list":["b","a"],"offsets":{"-1":2,"2":3,"10":1},"pointer":{"queueId":1,"topic":"t"},"shortSet":[3],"word":"w","zulu":"z"}`},
		{map[string]*queue{"b": nil, "a": {}}, `{"a":{"queueId":0,"topic":""}}`, ""},
		{[]*queue{nil}, `[null]`, ""},
		{map[queue]string{{`"\`, 0}: "x"}, `{{"queueId":0,"topic":"\"\\"}:"x"}`, `{"{\"queueId\":0,\"topic\":\"\\\"\\\\\"}":"x"}`},
		{"<é&\x00\x1f\b\t\n\f\r\"\\/\u007f\u0085\u2028\u2029\xff", "\"<é&\\u0000\\u001F\\b\\t\\n\\f\\r\\\"\\\\/\\u007F\\u0085\\u2028\\u2029\uFFFD\"", ""},
	}
	for _, test := range tests {
		got := Marshal(test.value)
		if string(got) != test.dialect {
			t.Errorf("Marshal(%+v) =\n%s, want\n%s", test.value, got, test.dialect)
		}
		want := test.different
		if want == "" {
			want = test.dialect
		}
		if got := MarshalStandard(test.value); string(got) != want {
			t.Errorf("MarshalStandard(%+v) =\n%s, want\n%s", test.value, got, want)
		}
		if standard, err := ToStandard(got); err != nil || string(standard) != want {
			t.Errorf("ToStandard(%s) =\n%s, %v; want\n%s", got, standard, err, want)
		}
	}
}

func TestMarshalPretty(t *testing.T) {
	got := MarshalPretty(map[string]map[int32]int64{"b@g": {}, "a@g": {1: 6, 0: 10}})
	want := "{\n\t\"a@g\":{0:10,1:6\n\t},\n\t\"b@g\":{}\n}"
	if string(got) != want {
		t.Errorf("got %s", got)
	}
}

// The texts are those of Java's Double.toString.
func TestMarshalDouble(t *testing.T) {
	tests := []struct {
		x    float64
		want string
	}{
		{0, "0.0"}, {math.Copysign(0, -1), "-0.0"}, {1, "1.0"}, {-2.5, "-2.5"}, {100, "100.0"},
		{0.0999980000399992, "0.0999980000399992"}, {0.001, "0.001"}, {0.0009, "9.0E-4"},
		{9999999.5, "9999999.5"}, {1e7, "1.0E7"}, {1.5e-10, "1.5E-10"}, {-1.25e100, "-1.25E100"},
		{math.MaxFloat64, "1.7976931348623157E308"},
		{math.NaN(), "null"}, {math.Inf(1), "null"}, {math.Inf(-1), "null"},
	}
	for _, test := range tests {
		if got := Marshal(test.x); string(got) != test.want {
			t.Errorf("%g: %s, want %s", test.x, got, test.want)
		}
	}
}

func TestMarshalPanicsOnForeignTypes(t *testing.T) {
	for _, v := range []any{make(chan int), map[bool]int{true: 1}, struct {
		F func() `json:"f"`
	}{}, map[[1]int]int{{1}: 1}, nil} {
		func() {
			defer func() {
				if p := recover(); p == nil || !strings.HasPrefix(p.(string), "fastjson: ") {
					t.Errorf("Marshal(%T): %v", v, p)
				}
			}()
			Marshal(v)
		}()
	}
}

func TestUnmarshal(t *testing.T) {
	var got sample
	err := Unmarshal([]byte(` {"alpha":7,"offsets":{0:10},"pointer":{"topic":"t"},"list":null,"new":[{}]}`), &got)
	if err != nil || got.Alpha != 7 || got.Offsets[0] != 10 || got.Pointer == nil || got.Pointer.Topic != "t" || got.List != nil {
		t.Errorf("%+v, %v", got, err)
	}
	tests := []struct{ text, want string }{
		{`{"alpha":"7"}`, "field alpha: have string, want int64"},
		{`{"pointer":{"queueId":1.5}}`, "field pointer.queueId: have number 1.5, want int32"},
		{`{"pointer":{"queueId":4294967296}}`, "field pointer.queueId: have number 4294967296, want int32"},
		{`{"list":[1]}`, "field list: have number, want string"},
		{`{"offsets":{"x":1}}`, "field offsets: have number x, want int32"},
		{`{"flag":{}}`, "field flag: have object, want bool"},
		{`[]`, "have array, want fastjson.sample"},
	}
	for _, test := range tests {
		err := Unmarshal([]byte(test.text), new(sample))
		var wrong *TypeError
		if !errors.As(err, &wrong) || err.Error() != test.want {
			t.Errorf("Unmarshal(%s): %v, want %s", test.text, err, test.want)
		}
	}
	var syntax *SyntaxError
	if err := Unmarshal([]byte(`{"alpha":}`), new(sample)); !errors.As(err, &syntax) || syntax.Offset != 9 {
		t.Errorf("%v, want a *SyntaxError at 9", err)
	}
}
