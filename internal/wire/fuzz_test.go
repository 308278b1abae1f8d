// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package wire_test

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/twostage/twostage/internal/wire"
)

// roundTrip writes a decoded command again, in both encodings, and decodes that.
func roundTrip(t *testing.T, c *wire.Command) {
	t.Helper()
	var d wire.Decoder
	var again wire.Command
	for _, enc := range []wire.Encoding{wire.JSON, wire.Binary} {
		if enc != c.Encoding && (c.Code != int32(int16(c.Code)) && wire.CodeName(c.Code) == "" || c.Version != int32(int16(c.Version)) ||
			c.Code != int32(int16(c.Code)) && c.IsResponse() || wire.CanonicalCode(c.Code) != c.Code || c.Language.String() == "OTHER") {
			continue // the other encoding has no room for it, or no name
		}
		if enc == wire.JSON && c.Language.String() == "OTHER" {
			continue
		}
		other := *c
		other.Encoding = enc
		frame := wire.AppendCommand(nil, &other)
		if len(frame)-4-len(c.Body) > wire.MaxHeader {
			continue
		}
		if err := d.Decode(frame[4:], &again); err != nil {
			t.Fatalf("%v: %v\n%q", enc, err, frame)
		}
		if !again.Equal(c) {
			t.Fatalf("%v:\n%+v becomes\n%+v", enc, c, again)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range golden(f) {
		for i := range min(2, len(s.Frames)) {
			f.Add(s.Frames[i].Payload())
		}
	}
	var d wire.Decoder
	var c wire.Command
	f.Fuzz(func(t *testing.T, frame []byte) {
		if err := d.Decode(frame, &c); err != nil {
			var fe *wire.FormatError
			if !errors.As(err, &fe) || fe.Offset < 0 || fe.Offset > len(frame) {
				t.Fatalf("%v of a frame of %d bytes", err, len(frame))
			}
			return
		}
		for i := range c.Ext {
			for j := range i {
				if string(c.Ext[i].Key) == string(c.Ext[j].Key) {
					t.Fatalf("field %q is there twice", c.Ext[i].Key)
				}
			}
		}
		roundTrip(t, &c)
	})
}

// FuzzJSONHeader holds the scanner against encoding/json: what that takes, the
// scanner takes too, and gives the same remark and string fields.
func FuzzJSONHeader(f *testing.F) {
	for _, s := range golden(f) {
		for i := range min(2, len(s.Frames)) {
			f.Add(s.Frames[i].Header)
		}
	}
	f.Add(`{"remark":"\u0001\ud83d\ude00\ud83d","extFields":{"a":"1","a":"2","b":[{}],"c":null}}`)
	var d wire.Decoder
	var c wire.Command
	f.Fuzz(func(t *testing.T, header string) {
		frame := binary.BigEndian.AppendUint32(nil, uint32(len(header)))
		err := d.Decode(append(frame, header...), &c)
		// encoding/json mends invalid UTF-8 and matches names in any case.
		if !utf8.ValidString(header) || strings.Count(header, "[")+strings.Count(header, "{") > 30 {
			return
		}
		var whole map[string]json.RawMessage
		if json.Unmarshal([]byte(header), &whole) != nil || whole == nil {
			return
		}
		for _, name := range []string{"code", "version", "opaque", "flag", "language"} {
			delete(whole, name)
			if strings.Contains(header, name) {
				return // numbers have their own rules
			}
		}
		var ext map[string]json.RawMessage
		if raw, ok := whole["extFields"]; ok && (strings.Count(header, "extFields") > 1 || json.Unmarshal(raw, &ext) != nil) {
			return
		}
		if err != nil {
			if len(ext) > 200 || len(header) > wire.MaxFieldName {
				return
			}
			t.Fatalf("%q: %v", header, err)
		}
		for name, raw := range ext {
			var want string
			got, ok := c.Ext.Get(name)
			if string(raw) == "null" {
				continue // an earlier value of the name may stand
			}
			if json.Unmarshal(raw, &want) != nil {
				want = string(raw)
			}
			if !ok || string(got) != want {
				t.Fatalf("%q: field %q is %q (%v), want %q", header, name, got, ok, want)
			}
		}
		var remark string
		if json.Unmarshal(whole["remark"], &remark) == nil && string(c.Remark) != remark {
			t.Fatalf("%q: remark %q, want %q", header, c.Remark, remark)
		}
	})
}

func FuzzBinaryHeader(f *testing.F) {
	for _, s := range golden(f) {
		for i := range s.Frames {
			if fr := &s.Frames[i]; fr.Stated.Encoding == "ROCKETMQ" {
				f.Add(fr.Bytes[8:fr.Stated.BodyAt])
				break
			}
		}
	}
	var d wire.Decoder
	var c wire.Command
	f.Fuzz(func(t *testing.T, header []byte) {
		if len(header) > wire.MaxHeader {
			return
		}
		frame := binary.BigEndian.AppendUint32(nil, 1<<24|uint32(len(header)))
		if d.Decode(append(frame, header...), &c) == nil {
			roundTrip(t, &c)
		}
	})
}

func TestRoundTrips(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-zA-Z0-9%_\x01\x02"\\]{0,40}`))
		c := wire.Command{
			Code:     rapid.SampledFrom([]int32{0, 10, 11, 310, 904, 200050, 200151}).Draw(rt, "code"),
			Version:  int32(rapid.Int16().Draw(rt, "version")),
			Opaque:   rapid.Int32().Draw(rt, "opaque"),
			Flag:     rapid.Int32().Draw(rt, "flag") &^ wire.FlagResponse,
			Language: wire.Language(rapid.IntRange(0, 13).Draw(rt, "language")),
			Remark:   []byte(text.Draw(rt, "remark")),
			Body:     rapid.SliceOf(rapid.Byte()).Draw(rt, "body"),
		}
		for k, v := range rapid.MapOfN(text, text, 0, 20).Draw(rt, "ext") {
			c.Ext = append(c.Ext, wire.Field{Key: []byte(k), Value: []byte(v)})
			c.HasExt = true
		}
		var d wire.Decoder
		var again wire.Command
		for _, enc := range []wire.Encoding{wire.JSON, wire.Binary} {
			c.Encoding = enc
			frame := wire.AppendCommand(nil, &c)
			if err := d.Decode(frame[4:], &again); err != nil {
				rt.Fatal(err)
			}
			if !again.Equal(&c) || again.HasExt != c.HasExt || again.Encoding != enc {
				rt.Fatalf("%+v\nbecomes\n%+v", c, again)
			}
		}
	})
}
