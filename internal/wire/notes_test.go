// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"strings"
	"testing"
)

// What a Decoder notes about a header is bounded, as what it keeps of it is.
func TestNotesAreBounded(t *testing.T) {
	h := `{"code":1,"opaque":1,"extFields":{` + strings.TrimSuffix(strings.Repeat(`"":0,`, 200_000), ",") + `}}`
	n := len(h)
	f := append([]byte{0, byte(n >> 16), byte(n >> 8), byte(n)}, h...)
	var d Decoder
	var c Command
	if err := d.Decode(f, &c); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		small := []byte(`....{"code":1,"opaque":1}`)
		copy(small, []byte{0, 0, 0, byte(len(small) - 4)})
		if err := d.Decode(small, &c); err != nil {
			t.Fatal(err)
		}
	}
	if kept := 16*cap(d.shapes.notes.fields) + cap(d.shapes.notes.escape); kept > 64<<10 {
		t.Errorf("the decoder keeps %d bytes", kept)
	}
}
