// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package header

import (
	"reflect"
	"strings"
	"testing"
)

func TestPopHandle(t *testing.T) {
	const text = "10 1700000000000 1500 3 1 broker-a 0 12"
	want := PopHandle{Start: 10, PopTime: 1700000000000, Invisible: 1500, Revive: 3, Kind: PopRetryV1, Broker: "broker-a", Offset: 12}
	for _, s := range []string{text, text + " 4096"} { // 5.x may add where the message is in the log
		if h, err := ParsePopHandle(s); err != nil || h != want || h.String() != text {
			t.Errorf("%q: %+v, %v", s, h, err)
		}
	}
	if h, err := ParsePopHandle("1 2 3 999 0 b"); err != nil || h.Queue != -1 || h.Offset != -1 || h.Revive != PopOrderQueue {
		t.Errorf("%+v, %v", h, err)
	}
	for bad, field := range map[string]string{
		"": "fields", "1 2 3 4 0": "fields", "x 2 3 4 0 b": "start offset", "1 -2 3 4 0 b": "pop time", "1 2 3 4 7 b": "retry mark",
		"1 2 3 9999999999 0 b": "revive queue", "1 2 3 4 0 b q 5": "queue", "1 2 3 4 0 b 5 ": "offset",
	} {
		if _, err := ParsePopHandle(bad); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%q: %v, want one about the %s", bad, err, field)
		}
	}
}

func TestPopParts(t *testing.T) {
	h := &PopResponse{StartOffsetInfo: "1 0 7;0 3 100", MsgOffsetInfo: "0 3 100,102;1 0 7", OrderCountInfo: "0 qo3%102 4;0 3 1"}
	got, err := h.AppendParts(nil)
	want := []PopPart{{PopNormal, 3, 100, []int64{100, 102}}, {PopRetryV1, 0, 7, []int64{7}}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	for offset, times := range map[int64]int32{100: 1, 102: 4, 10: 1} {
		if n := h.Times(PopNormal, 3, offset); n != times {
			t.Errorf("offset %d was given %d times before, want %d", offset, n, times)
		}
	}
	if n := h.Times(PopRetryV1, 3, 102); n != 0 {
		t.Errorf("another topic's message was given %d times", n)
	}
	if got, err := new(PopResponse).AppendParts(nil); err != nil || len(got) != 0 {
		t.Errorf("an answer without messages: %+v, %v", got, err)
	}
	for start, offsets := range map[string]string{
		"": "0 3 100", "0 2 100": "0 3 100", "1 3 100": "0 3 100", "0 3 x": "0 3 100", "0 3 101": "0 3 100", "0 3 5": "0 3 5,", "0 x 5": "0 x 5",
		"0 3 1": "0", "9 3 1": "9 3 1", "0 -1 1": "0 -1 1",
	} {
		if got, err := (&PopResponse{StartOffsetInfo: start, MsgOffsetInfo: offsets}).AppendParts(nil); err == nil {
			t.Errorf("%q with %q: %+v", start, offsets, got)
		}
	}
}

// FuzzPopHandle: no panic, and what is read comes back.
func FuzzPopHandle(f *testing.F) {
	f.Add("1 1700000000000 60000 3 0 broker-a 2 7")
	f.Add("1 1700000000000 60000 999 1 broker-a")
	f.Add("9 8 7 6 2 b -1 5 900")
	f.Fuzz(func(t *testing.T, s string) {
		h, err := ParsePopHandle(s)
		if err != nil || h.Queue < 0 || h.Offset < 0 {
			return
		}
		again, err := ParsePopHandle(h.String())
		if err != nil || again != h {
			t.Errorf("%q: %+v becomes %+v, %v", s, h, again, err)
		}
	})
}

// FuzzPopParts: no panic, and no message lies before the start of its part.
func FuzzPopParts(f *testing.F) {
	f.Add("1 0 7;0 3 100", "0 3 100,102;1 0 7", "0 qo3%102 4;0 3 1")
	f.Add("", "", "")
	f.Fuzz(func(t *testing.T, start, offsets, counts string) {
		h := &PopResponse{StartOffsetInfo: start, MsgOffsetInfo: offsets, OrderCountInfo: counts}
		parts, err := h.AppendParts(nil)
		if err != nil {
			return
		}
		for _, p := range parts {
			for _, o := range p.Offsets {
				if o < p.Start || p.Queue < 0 || h.Times(p.Kind, p.Queue, o) < 0 {
					t.Errorf("%+v of %+v", p, h)
				}
			}
		}
	})
}
