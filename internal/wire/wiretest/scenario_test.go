// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package wiretest

import (
	"encoding/binary"
	"os"
	"strings"
	"testing"
	"testing/fstest"
)

const frames = "../../../testdata/golden/frames"

func TestLoad(t *testing.T) {
	all, err := Load(os.DirFS(frames))
	if err != nil {
		t.Fatal(err)
	}
	var n, transfers, answered int
	for _, s := range all {
		if s.What == "" || len(s.Connections) == 0 {
			t.Errorf("%s has no description or no connection", s.Name)
		}
		for i := range s.Frames {
			f := &s.Frames[i]
			if f.Number != i+1 || f.From == "" || f.To == "" || f.Header == "" {
				t.Errorf("%s frame %d is incomplete: %+v", s.Name, i+1, f)
			}
			if got := int(binary.BigEndian.Uint32(f.Bytes)); got != len(f.Payload()) {
				t.Errorf("%s frame %d: length %d of %d bytes", s.Name, f.Number, got, len(f.Payload()))
			}
			if f.Kind.Code != f.Stated.Code || f.Kind.Response != (f.Stated.Flag&1 != 0) {
				t.Errorf("%s frame %d: kind %+v, stated %+v", s.Name, f.Number, f.Kind, f.Stated)
			}
		}
		for _, e := range s.Exchanges() {
			if e.Answer != nil {
				answered++
			} else if !e.Request.Kind.OneWay && !e.Request.Kind.Unanswered {
				t.Errorf("%s frame %d has no answer", s.Name, e.Request.Number)
			}
		}
		n += len(s.Frames)
		transfers += len(s.Transfers)
	}
	// As many as the recording has (grep counts).
	if len(all) != 119 || n != 1429 || transfers != 17 || answered == 0 {
		t.Errorf("%d scenarios, %d frames, %d transfers, %d answered", len(all), n, transfers, answered)
	}
}

func TestParseRefuses(t *testing.T) {
	const good = "scenario: x\nwhat: y\nconnection 1: client to broker\n\n--- frame 1\n" +
		"direction: client -> broker\nconnection: 1   time: +0.001 s\nkind: request 34 HEART_BEAT\n" +
		"code: 34   opaque: 6   flag: 0   serialize: JSON   frame bytes: 10   header bytes: 2   body bytes: 0\n" +
		"hex:\n00000006000000027b7d\nheader:\n{}\nbody: none\n"
	s, err := Parse("x", good)
	if err != nil || len(s.Frames) != 1 || string(s.Frames[0].Bytes[8:]) != "{}" {
		t.Fatalf("%+v, %v", s, err)
	}
	for _, c := range []struct{ from, to, want string }{
		{"7b7d", "7b7", "line 11"},
		{"7b7d", "7b", "line 12"},
		{"7b7d", "7b7d7d", "11 bytes, stated are 10"},
		{"header bytes: 2", "header bytes: 3", "do not add up"},
		{"request 34", "question 34", `kind "question 34`},
		{"request 34 HEART_BEAT", "response 34 HEART_BEAT", "does not say what it answers"},
		{"client -> broker", "client", `direction "client"`},
		{"+0.001 s", "soon", "time:"},
		{"client to broker", "client", "not from one to another"},
		{"--- frame 1", "--- nothing", "holds no frame"},
	} {
		_, err := Parse("x", strings.Replace(good, c.from, c.to, 1))
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "x.txt") {
			t.Errorf("%s -> %s: %v", c.from, c.to, err)
		}
	}
	if _, err := Load(fstest.MapFS{}); err == nil {
		t.Error("an empty directory loads")
	}
}
