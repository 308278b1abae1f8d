// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package wire_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/twostage/twostage/internal/wire"
)

// jsonFrame is what stands behind the length of a frame with that header.
func jsonFrame(header string) []byte {
	n := len(header)
	return append([]byte{0, byte(n >> 16), byte(n >> 8), byte(n)}, header...)
}

// sameAsFresh decodes a frame with a Decoder that has seen others, and with a new one.
func sameAsFresh(t interface{ Fatalf(string, ...any) }, d *wire.Decoder, frame []byte) {
	var got, want wire.Command
	var fresh wire.Decoder
	gotErr, wantErr := d.Decode(frame, &got), fresh.Decode(frame, &want)
	if fmt.Sprint(gotErr) != fmt.Sprint(wantErr) {
		t.Fatalf("%q: error %v, of a fresh decoder %v", frame, gotErr, wantErr)
	}
	if gotErr != nil {
		return
	}
	if len(got.Ext) == 0 && len(want.Ext) == 0 {
		got.Ext, want.Ext = nil, nil
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%q:\n%+v, of a fresh decoder\n%+v", frame, got, want)
	}
	for i := range got.Ext {
		if cap(got.Ext[i].Key) != len(got.Ext[i].Key) || cap(got.Ext[i].Value) != len(got.Ext[i].Value) && len(got.Ext[i].Value) > 0 {
			t.Fatalf("%q: field %d may be grown over its neighbour", frame, i)
		}
	}
}

// What a connection has sent before changes nothing about how a header is read.
func TestRepeatedHeaders(t *testing.T) {
	good := rapid.SampledFrom([]string{`""`, `"x"`, `"group"`, `"a longer value"`, `"k\u0001v\u0002"`, `"k\u0001w\u0002UNIQ_KEY\u00017F00\u0002"`})
	odd := rapid.SampledFrom([]string{`"\\"`, `"\""`, `"ü\u00fc\ud83d\ude00\u000a"`, `17`, `-1`, `true`, `null`, `{"a":[1,2]}`, `"unfinished`, `"\x"`})
	one := func(t *rapid.T, in int) bool { return rapid.IntRange(1, in).Draw(t, "chance") == 1 }
	value := func(t *rapid.T) string {
		if one(t, 15) {
			return odd.Draw(t, "odd value")
		}
		return good.Draw(t, "value")
	}
	members := []string{"code", "language", "version", "opaque", "flag", "remark", "extFields"}
	rapid.Check(t, func(t *rapid.T) {
		var d wire.Decoder
		layouts := make([][]string, rapid.IntRange(1, 8).Draw(t, "kinds"))
		fields := make([][]string, len(layouts))
		for k := range layouts {
			layouts[k] = rapid.Permutation(members).Draw(t, "members")
			if one(t, 5) { // something lacks, or is there twice
				layouts[k] = append(layouts[k][:rapid.IntRange(0, 7).Draw(t, "count")], rapid.SampledFrom(members).Draw(t, "more"))
			}
			fields[k] = rapid.Permutation([]string{"a", "b", "e", "g", "i", "topic", "producerGroup"}).Draw(t, "fields")
			if one(t, 5) {
				fields[k] = append(fields[k], rapid.SampledFrom([]string{"a", "\\u0061", ""}).Draw(t, "one more"))
			}
		}
		last := map[string]string{}
		for range rapid.IntRange(1, 40).Draw(t, "headers") {
			k := rapid.IntRange(0, len(layouts)-1).Draw(t, "kind")
			var parts []string
			for _, m := range layouts[k] {
				switch m {
				case "code":
					parts = append(parts, fmt.Sprintf(`"code":%d`, 310+k*3/4))
				case "opaque":
					opaque := fmt.Sprint(rapid.Int32().Draw(t, "opaque"))
					if one(t, 10) {
						opaque = rapid.SampledFrom([]string{`"33"`, "null", "1e3", "99999999999", ""}).Draw(t, "odd opaque")
					}
					parts = append(parts, `"opaque":`+opaque)
				case "extFields":
					var ext []string
					for i, name := range fields[k] {
						id := fmt.Sprint(k, " ", i)
						if _, ok := last[id]; !ok || name == "e" || name == "i" || one(t, 12) {
							last[id] = value(t)
						}
						ext = append(ext, `"`+name+`":`+last[id])
					}
					parts = append(parts, `"extFields":{`+strings.Join(ext, ",")+`}`)
				case "language":
					parts = append(parts, `"language":"GO"`)
				case "remark":
					remark := `""`
					if one(t, 10) {
						remark = rapid.SampledFrom([]string{"null", `"why"`}).Draw(t, "remark")
					}
					parts = append(parts, `"remark":`+remark)
				default:
					parts = append(parts, `"`+m+`":1`)
				}
			}
			comma, end := ",", "}"
			if one(t, 20) {
				comma = " ,\n"
			}
			if one(t, 20) {
				end = rapid.SampledFrom([]string{"", "} ", "}x"}).Draw(t, "end")
			}
			sameAsFresh(t, &d, jsonFrame("{"+strings.Join(parts, comma)+end))
		}
	})
}

// FuzzRepeatedHeader decodes a header after another, several times in turn.
func FuzzRepeatedHeader(f *testing.F) {
	for _, s := range golden(f) {
		for i := range min(2, len(s.Frames)) {
			f.Add([]byte(s.Frames[i].Header), []byte(s.Frames[len(s.Frames)-1-i].Header))
		}
	}
	f.Add([]byte(`{"code":310,"opaque":1,"extFields":{"a":"g","e":"1","i":"K\u0001v\u0002"}}`), []byte(`{"code":310,"opaque":23,"extFields":{"a":"g","e":"7","i":"K\u0001w\u0002"}}`))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		if len(a) > 1<<20 || len(b) > 1<<20 {
			return
		}
		var d wire.Decoder
		for range 3 {
			sameAsFresh(t, &d, jsonFrame(string(a)))
			sameAsFresh(t, &d, jsonFrame(string(b)))
		}
	})
}
