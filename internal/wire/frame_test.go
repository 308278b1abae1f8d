// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// binaryHeader makes a binary header around a remark and the raw bytes of fields.
func binaryHeader(remark, fields string) string {
	b := []byte{0, 10, 9, 1, 0x99, 0, 0, 0, 7, 0, 0, 0, 0}
	b = binary.BigEndian.AppendUint32(b, uint32(len(remark)))
	b = append(b, remark...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(fields)))
	return string(append(b, fields...))
}

func TestBinaryHeader(t *testing.T) {
	for _, c := range []struct{ header, want string }{
		{binaryHeader("", ""), `10 GO 409 7 0 ""`},
		{binaryHeader("why", ""), `10 GO 409 7 0 "why"`},
		{binaryHeader("", "\x00\x01k\x00\x00\x00\x01v"), `10 GO 409 7 0 "" { "k":"v" }`},
		{binaryHeader("", "\x00\x00\x00\x00\x00\x00"), `10 GO 409 7 0 "" { "":"" }`},
		{binaryHeader("", "\x00\x01k\x00\x00\x00\x01v\x00\x01k\x00\x00\x00\x01w"), `10 GO 409 7 0 "" { "k":"w" }`},
	} {
		var d Decoder
		var got Command
		if err := d.Decode(frameOf(Binary, c.header, "body"), &got); err != nil {
			t.Errorf("%q: %v", c.header, err)
		} else if show(&got) != c.want || string(got.Body) != "body" || got.Encoding != Binary {
			t.Errorf("%q:\nhave %s\nwant %s", c.header, show(&got), c.want)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	patch := func(header string, at int, b string) string { return header[:at] + b + header[at+len(b):] }
	plain := binaryHeader("", "")
	one := binaryHeader("", "\x00\x01k\x00\x00\x00\x01v")
	many := ""
	for i := range MaxExtFields + 1 {
		many += fmt.Sprintf("\x00\x03%03d\x00\x00\x00\x00", i)
	}
	mark := func(n uint32, rest string) []byte { return append(binary.BigEndian.AppendUint32(nil, n), rest...) }
	for _, c := range []struct {
		frame  []byte
		want   string
		offset int
	}{
		{nil, "0 bytes are too few", 0},
		{[]byte{0, 0, 0}, "3 bytes are too few", 0},
		{make([]byte, MaxFrame+1), "exceed the largest frame", 0},
		{mark(3, "{}"), "header length 3 exceeds the 2 bytes", 0},
		{mark(0xFFFFFF, "{}"), "header length 16777215 exceeds", 0},
		{mark(MaxHeader+1, strings.Repeat(" ", MaxHeader+1)), "exceeds the largest of 1048576", 0},
		{mark(2<<24|2, "{}"), "encoding 2 is neither", 0},
		{mark(0xFF<<24|2, "{}"), "encoding 255 is neither", 0},
		{frameOf(Binary, plain[:20], ""), "header length 20 is below the 21 bytes", 0},
		{frameOf(Binary, plain+"x", ""), "extFields length 0, where the header has 1 bytes left", 21},
		{frameOf(Binary, patch(plain, 13, "\xff\xff\xff\xff"), ""), "remark length -1", 17},
		{frameOf(Binary, patch(plain, 13, "\x00\x00\x00\x01"), ""), "remark length 1, where the header has room for 0", 17},
		{frameOf(Binary, patch(plain, 13, "\x7f\xff\xff\xff"), ""), "remark length 2147483647", 17},
		{frameOf(Binary, patch(plain, 17, "\xff\xff\xff\xff"), ""), "extFields length -1", 21},
		{frameOf(Binary, patch(one, 17, "\x00\x00\x00\x07"), ""), "extFields length 7, where the header has 8", 21},
		{frameOf(Binary, patch(one, 21, "\xff\xff"), ""), "length -1 of a field's name", 25},
		{frameOf(Binary, patch(one, 21, "\x00\x07"), ""), "length 7 of a field's name, where 6", 25},
		{frameOf(Binary, patch(one, 24, "\xff\xff\xff\xff"), ""), "length -1 of a field's value", 28},
		{frameOf(Binary, patch(one, 24, "\x00\x00\x00\x02"), ""), "length 2 of a field's value, where 1", 28},
		{frameOf(Binary, binaryHeader("", "\x00"), ""), "end inside the length of a field's name", 25},
		{frameOf(Binary, binaryHeader("", "\x00\x01k\x00\x00"), ""), "end inside the length of a field's value", 28},
		{frameOf(Binary, binaryHeader("", many), ""), "more than 256 extFields", 25 + 9*MaxExtFields},
	} {
		var d Decoder
		var got Command
		err := d.Decode(c.frame, &got)
		var fe *FormatError
		if !errors.As(err, &fe) || !strings.Contains(err.Error(), c.want) || fe.Offset != c.offset {
			t.Errorf("%.40q: %v, want offset %d: %s", c.frame, err, c.offset, c.want)
		}
	}
}

func TestCanonicalCode(t *testing.T) {
	seen := map[int32]int32{}
	named := 0
	for code := range int32(300000) {
		if CodeName(code) == "" {
			continue
		}
		named++
		var d Decoder
		var c Command
		for _, enc := range []Encoding{JSON, Binary} {
			frame := AppendRequest(nil, &Request{Code: code, Encoding: enc})
			if err := d.Decode(frame[4:], &c); err != nil || c.Code != code {
				t.Errorf("code %d arrives through %v as %d, %v", code, enc, c.Code, err)
			}
		}
		short := int32(int16(code))
		if other, ok := seen[short]; ok {
			t.Errorf("%d and %d share the short code %d", code, other, short)
		}
		seen[short] = code
	}
	if named < 150 {
		t.Errorf("only %d codes have names", named)
	}
	for _, code := range []int32{-1, 3441, 3542, 65535, 1 << 20, 200050} {
		if got := CanonicalCode(code); got != code {
			t.Errorf("%d becomes %d", code, got)
		}
	}
	// An answer's code stays as it is.
	var d Decoder
	var c Command
	for _, code := range []int32{3442, -1000} {
		frame := AppendResponse(nil, Binary, 1, &Response{Code: code})
		if err := d.Decode(frame[4:], &c); err != nil || c.Code != code {
			t.Errorf("answer %d arrives as %d, %v", code, c.Code, err)
		}
	}
}

func TestNames(t *testing.T) {
	names := map[string]int32{}
	for code := int32(-2000); code < 5000; code++ {
		if name := ResponseName(code); name != "" {
			if other, ok := names[name]; ok {
				t.Errorf("%d and %d are both %s", code, other, name)
			}
			names[name] = code
		}
	}
	if len(names) < 60 {
		t.Errorf("only %d answers have names", len(names))
	}
	for l := Language(0); l < 20; l++ {
		if got := parseLanguage([]byte(l.String())); got != l && got != LanguageOther {
			t.Errorf("%v is read as %v", l, got)
		}
	}
	if LanguageGo.String() != "GO" || LanguageGo != 9 || LanguageNodeJS != 13 {
		t.Error("the numbers of the languages moved")
	}
}

func TestAppendKeepsConventions(t *testing.T) {
	for _, c := range []struct {
		have []byte
		want string
	}{
		{AppendResponse(nil, JSON, 5, &Response{}),
			`{"code":0,"flag":1,"language":"GO","opaque":5,"serializeTypeCurrentRPC":"JSON","version":473}`},
		{AppendResponse(nil, JSON, 5, &Response{Code: 1, Remark: "a\n\"b", Header: pairs{}}),
			`{"code":1,"extFields":{},"flag":1,"language":"GO","opaque":5,"remark":"a\n\"b","serializeTypeCurrentRPC":"JSON","version":473}`},
		{AppendRequest(nil, &Request{Code: 39, Opaque: -2, OneWay: true, Header: pairs{{"k", "\x01"}, {"l", "2"}},
			Fields: Fields{{[]byte("q\""), []byte("v")}}}),
			`{"code":39,"extFields":{"k":"\u0001","l":"2","q\"":"v"},"flag":2,"language":"GO","opaque":-2,"serializeTypeCurrentRPC":"JSON","version":473}`},
		{AppendRequest(nil, &Request{Code: 10, Language: LanguageJava, Version: 317, Fields: Fields{}}),
			`{"code":10,"extFields":{},"flag":0,"language":"JAVA","opaque":0,"serializeTypeCurrentRPC":"JSON","version":317}`},
		{AppendRequest(nil, &Request{Encoding: Binary, Code: 200050, Opaque: 1, OneWay: true, Header: pairs{{"k", "vv"}}}),
			"\x0d\x72\x09\x01\xd9\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x09\x00\x01k\x00\x00\x00\x02vv"},
	} {
		if got := string(c.have[8:]); got != c.want {
			t.Errorf("have %q\nwant %q", got, c.want)
		}
	}
	r := &Response{Body: []byte("body")}
	whole := AppendResponse([]byte("x"), JSON, 1, r)
	if n := binary.BigEndian.Uint32(whole[1:]); int(n) != len(whole)-5 || string(whole[len(whole)-4:]) != "body" {
		t.Errorf("length %d of %q", n, whole)
	}
	if head := AppendResponseHead([]byte("x"), JSON, 1, r, 4); string(head) != string(whole[:len(whole)-4]) {
		t.Errorf("the head %q is not that of %q", head, whole)
	}
}

// pairs is a header of strings.
type pairs [][2]string

func (p pairs) EncodeExt(w *ExtWriter) {
	for _, kv := range p {
		w.String(kv[0], kv[1])
	}
}
