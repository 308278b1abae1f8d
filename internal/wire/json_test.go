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

// frameOf makes a frame, without its length, of a header and a body.
func frameOf(enc Encoding, header, body string) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(enc)<<24|uint32(len(header)))
	return append(append(b, header...), body...)
}

// show renders what a command means.
func show(c *Command) string {
	var sb strings.Builder
	fmt.Fprintf(&sb, "%d %v %d %d %d %q", c.Code, c.Language, c.Version, c.Opaque, c.Flag, c.Remark)
	if c.HasExt {
		sb.WriteString(" {")
		for _, f := range c.Ext {
			fmt.Fprintf(&sb, " %q:%q", f.Key, f.Value)
		}
		sb.WriteString(" }")
	}
	return sb.String()
}

func TestJSONHeader(t *testing.T) {
	for _, c := range []struct{ header, want string }{
		{`{}`, `0 JAVA 0 0 0 ""`},
		{" \t\r\n{ \"code\" : 1 , \"opaque\" :\n2 } \n", `1 JAVA 0 2 0 ""`},
		{`{"code":105,"language":"GO","version":317,"opaque":-5,"flag":0,"remark":"","extFields":{"topic":"t"}}`,
			`105 GO 317 -5 0 "" { "topic":"t" }`},
		{`{"code":"34","flag":"-1","opaque":2147483647,"version":-2147483648}`, `34 JAVA -2147483648 2147483647 -1 ""`},
		{`{"code":null,"remark":null,"extFields":null,"language":null}`, `0 JAVA 0 0 0 ""`},
		{`{"extFields":{}}`, `0 JAVA 0 0 0 "" { }`},
		{`{"language":"NODE_JS"}`, `0 NODE_JS 0 0 0 ""`},
		{`{"language":"COBOL"}`, `0 OTHER 0 0 0 ""`},
		{`{"language":9}`, `0 GO 0 0 0 ""`},
		// Field values that are no strings.
		{`{"extFields":{"a":1,"b":-1.5e+3,"c":true,"d":null,"e":{"x":[1,"\n"]},"f":[],"g":false,"h":0}}`,
			`0 JAVA 0 0 0 "" { "a":"1" "b":"-1.5e+3" "c":"true" "e":"{\"x\":[1,\"\\n\"]}" "f":"[]" "g":"false" "h":"0" }`},
		// Names and values that occur twice.
		{`{"code":1,"code":2,"extFields":{"a":"1","b":"2","a":"3"}}`, `2 JAVA 0 0 0 "" { "a":"3" "b":"2" }`},
		{`{"extFields":{"a":"1"},"extFields":{"b":"2"}}`, `0 JAVA 0 0 0 "" { "b":"2" }`},
		{`{"extFields":{"a":"1"},"extFields":null}`, `0 JAVA 0 0 0 ""`},
		// Unknown names.
		{`{"x":{"y":[{},[],"\"",{"z":"\u0041"}]},"code":7,"serializeTypeCurrentRPC":"ROCKETMQ"}`, `7 JAVA 0 0 0 ""`},
		// Escapes.
		{`{"remark":"\"\\\/\b\f\n\r\t\u0001\u00e9\u4f60\ud83d\ude00"}`, `0 JAVA 0 0 0 "\"\\/\b\f\n\r\t\x01é你😀"`},
		{`{"remark":"\uD83D \uDE00\ud83d\u0041\ud83d\ud83d\ude00"}`, `0 JAVA 0 0 0 "� ��A�😀"`},
		{`{"rem\u0061rk":"x","extFields":{"\u0061":"1","a":"2"}}`, `0 JAVA 0 0 0 "x" { "a":"2" }`},
		{"{\"remark\":\"raw \x01 and é\"}", `0 JAVA 0 0 0 "raw \x01 and é"`},
		{`{"remark":"12345678\n12345678\"12345678"}`, `0 JAVA 0 0 0 "12345678\n12345678\"12345678"`},
	} {
		var d Decoder
		var got Command
		if err := d.Decode(frameOf(JSON, c.header, "body"), &got); err != nil {
			t.Errorf("%s: %v", c.header, err)
		} else if show(&got) != c.want || string(got.Body) != "body" {
			t.Errorf("%s:\nhave %s\nwant %s", c.header, show(&got), c.want)
		}
	}
}

func TestJSONHeaderRefuses(t *testing.T) {
	deep := strings.Repeat("[", maxDepth+1)
	many := "{\"extFields\":{"
	for i := range MaxExtFields + 1 {
		many += fmt.Sprintf("\"f%d\":\"\",", i)
	}
	for _, c := range []struct {
		header, want string
		offset       int
	}{
		{``, "ends before the { of the header", 4},
		{`[]`, `'[' instead of the {`, 4},
		{`{`, "ends before a name", 5},
		{`{"code":1`, "ends before a comma or the } of the header", 13},
		{`{"code":1,}`, `'}' instead of a name`, 14},
		{`{"code" 1}`, `'1' instead of the colon`, 12},
		{`{'code':1}`, `'\'' instead of a name`, 5},
		{`{"code":1}x`, `'x' instead of the end of the header`, 14},
		{`{"code":01}`, `'1' instead of a comma`, 13},
		{`{"code":2147483648}`, `code is 2147483648, beyond 32 bits`, 12},
		{`{"code":-2147483649}`, `code is -2147483649, beyond 32 bits`, 12},
		{`{"opaque":1.5}`, `opaque is "1.5", not a whole number`, 14},
		{`{"flag":"x"}`, `flag is "x", not a whole number`, 12},
		{`{"flag":"-"}`, `flag is "-", not a whole number`, 12},
		{`{"version":{}}`, `version is "{}", not a whole number`, 15},
		{`{"language":300}`, `language 300 is beyond 8 bits`, 16},
		{`{"code":tru}`, `'t' instead of true`, 12},
		{`{"code":-}`, `'}' instead of a value`, 13},
		{`{"code":1.}`, `'}' instead of the digits behind a decimal point`, 14},
		{`{"code":1e}`, `'}' instead of the digits of an exponent`, 14},
		{`{"extFields":[]}`, `'[' instead of the { of extFields`, 17},
		{`{"extFields":{"a" "b"}}`, `'"' instead of the colon`, 22},
		{`{"extFields":{"a":"b"`, "ends before a comma or the } of extFields", 25},
		{`{"extFields":{"a":"b}}`, "ends inside a string", 26},
		{`{"remark":"\x"}`, `invalid escape \x`, 15},
		{`{"remark":"\u12G4"}`, `invalid \u escape`, 15},
		{`{"remark":"\ud83d\uZZZZ"}`, `invalid \u escape`, 21},
		{`{"remark":"\`, "ends inside an escape", 15},
		{`{"remark":"\u00`, `invalid \u escape`, 15},
		{`{"x":` + deep, "nest deeper than 32", 9 + maxDepth},
		{`{"x":[1 2]}`, `'2' instead of a comma or the end`, 12},
		{many, "more than 256 extFields", 0},
		{`{"extFields":{"` + strings.Repeat("k", MaxFieldName+1) + `":""}}`, "32768 bytes, more than 32767", 18},
	} {
		var d Decoder
		var got Command
		err := d.Decode(frameOf(JSON, c.header, ""), &got)
		var fe *FormatError
		if !errors.As(err, &fe) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.60s: %v, want %s", c.header, err, c.want)
		} else if fe.Offset != c.offset && c.offset != 0 {
			t.Errorf("%.60s: offset %d, want %d (%v)", c.header, fe.Offset, c.offset, err)
		}
	}
}

func TestEscapesAsFastjson(t *testing.T) {
	for in, want := range map[string]string{
		"\x00\x07\x0b\x0e\x1f\x7f": `\u0000\u0007\u000B\u000E\u001F\u007F`,
		"\b\t\n\f\r\"\\/":          `\b\t\n\f\r\"\\/`,
		"\u0080\u009f\u00a0":       `\u0080\u009F` + "\u00a0",
		"\u2028\u2029\u202a€é😀":    `\u2028\u2029` + "\u202a€é😀",
		"\xe2\x80":                 "\xe2\x80",
		"\xc2":                     "\xc2",
		"a\x01b\x02":               `a\u0001b\u0002`,
	} {
		if got := string(appendEscaped(nil, in)); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
		if got := string(appendEscaped([]byte("x"), []byte(in))); got != "x"+want {
			t.Errorf("%q: %s, want %s behind an x", in, got, want)
		}
	}
}
