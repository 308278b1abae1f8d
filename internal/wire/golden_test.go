// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package wire_test

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/wiretest"
)

// golden gives all frames recorded from RocketMQ 4.9.8 and its clients.
func golden(t testing.TB) []*wiretest.Scenario {
	t.Helper()
	all, err := wiretest.Load(os.DirFS("../../testdata/golden/frames"))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// rendered is the header as a recording shows it.
type rendered struct {
	Code      int32
	Language  string
	Version   int32
	Opaque    int32
	Flag      int32
	Remark    *string
	ExtFields *map[string]string
}

func (r *rendered) check(t *testing.T, c *wire.Command) {
	t.Helper()
	if c.Code != r.Code || c.Language.String() != r.Language || c.Version != r.Version ||
		c.Opaque != r.Opaque || c.Flag != r.Flag {
		t.Errorf("decoded %+v, recorded %+v", c, r)
	}
	remark := ""
	if r.Remark != nil {
		remark = *r.Remark
	}
	if string(c.Remark) != remark {
		t.Errorf("remark %q, recorded %q", c.Remark, remark)
	}
	var fields map[string]string
	if r.ExtFields != nil {
		fields = *r.ExtFields
	}
	if len(c.Ext) != len(fields) {
		t.Errorf("%d fields, recorded %d", len(c.Ext), len(fields))
	}
	for name, want := range fields {
		if got, ok := c.Ext.Get(name); !ok || string(got) != want {
			t.Errorf("field %s is %q (%v), recorded %q", name, got, ok, want)
		}
	}
	if c.Encoding == wire.JSON && c.HasExt != (r.ExtFields != nil) {
		t.Errorf("HasExt is %v", c.HasExt)
	}
}

// TestGoldenFrames holds the decoding of every recorded frame against the
// recording's own rendering, and writes it again: what Java wrote comes out byte
// for byte.
func TestGoldenFrames(t *testing.T) {
	var d, d2 wire.Decoder
	var c, c2 wire.Command
	same := 0
	for _, s := range golden(t) {
		for i := range s.Frames {
			f := &s.Frames[i]
			if err := d.Decode(f.Payload(), &c); err != nil {
				t.Errorf("%s frame %d: %v", s.Name, f.Number, err)
				continue
			}
			var r rendered
			if err := json.Unmarshal([]byte(f.Header), &r); err != nil {
				t.Fatalf("%s frame %d: rendering: %v", s.Name, f.Number, err)
			}
			r.check(t, &c)
			if c.Encoding.String() != f.Stated.Encoding || !bytes.Equal(c.Body, f.Bytes[f.Stated.BodyAt:]) {
				t.Errorf("%s frame %d: encoding %v, %d bytes of body", s.Name, f.Number, c.Encoding, len(c.Body))
			}
			if c.IsResponse() != f.Kind.Response || c.IsOneWay() != f.Kind.OneWay {
				t.Errorf("%s frame %d: flag %d is a %+v", s.Name, f.Number, c.Flag, f.Kind)
			}
			name := wire.CodeName(c.Code)
			if c.IsResponse() {
				name = wire.ResponseName(c.Code)
			}
			if name != f.Kind.Name {
				t.Errorf("%s frame %d: code %d is named %q, recorded %q", s.Name, f.Number, c.Code, name, f.Kind.Name)
			}

			again := wire.AppendCommand([]byte("before"), &c)[len("before"):]
			if c.Encoding == wire.Binary || c.Language == wire.LanguageJava {
				same++
				if !bytes.Equal(again, f.Bytes) {
					t.Errorf("%s frame %d: written again it is\n%q\nrecorded\n%q", s.Name, f.Number, again, f.Bytes)
				}
			}
			for _, enc := range []wire.Encoding{wire.JSON, wire.Binary} {
				other := c
				other.Encoding = enc
				again = wire.AppendCommand(again[:0], &other)
				if err := d2.Decode(again[4:], &c2); err != nil || !c.Equal(&c2) {
					t.Errorf("%s frame %d through %v: %+v, %v", s.Name, f.Number, enc, c2, err)
				}
			}
			if t.Failed() {
				t.Fatalf("stopped at %s frame %d", s.Name, f.Number)
			}
		}
	}
	if same < 1000 {
		t.Errorf("only %d frames were compared byte for byte", same)
	}
}

func TestCloneOwnsItsMemory(t *testing.T) {
	var d wire.Decoder
	var c wire.Command
	for _, s := range golden(t) {
		for i := range s.Frames {
			frame := bytes.Clone(s.Frames[i].Payload())
			if err := d.Decode(frame, &c); err != nil {
				t.Fatal(err)
			}
			want := wire.AppendCommand(nil, &c)
			kept := c.Clone()
			if !kept.Equal(&c) || kept.HasExt != c.HasExt || kept.Encoding != c.Encoding {
				t.Fatalf("the copy of %+v is %+v", c, kept)
			}
			clear(frame)
			if err := d.Decode(s.Frames[0].Payload(), &c); err != nil { // uses the scratch again
				t.Fatal(err)
			}
			if got := wire.AppendCommand(nil, kept); !bytes.Equal(got, want) {
				t.Fatalf("%s frame %d: the copy changed", s.Name, i+1)
			}
		}
	}
}
