// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package commitlog

import (
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

// TestWholeRecordCRC: a record that ends with a CRC of all of it is judged by
// that, in what the body's CRC does not cover, and also where zeros in its
// properties would look torn.
func TestWholeRecordCRC(t *testing.T) {
	zeros := append([]byte("k\x01"), make([]byte, 2*sectorSize)...)
	encode := func(crc bool, body string) []byte {
		r := &message.Record{Topic: []byte("T"), Body: []byte(body), Properties: zeros}
		if crc {
			return message.AppendRecordCRC(nil, r)
		}
		return message.AppendRecord(nil, r)
	}
	write := func(l *Log, rec []byte) int64 {
		pos := l.End()
		message.PatchPosition(rec, 0, pos, 1)
		message.PatchCRC(rec)
		if err := l.Write(rec, 1); err != nil {
			t.Fatal(err)
		}
		return pos
	}
	m := vfs.NewMem()
	l, _ := openLog(t, m, nil)
	mustAdd(t, l, []byte("first"), 1) // so that the log has a file
	write(l, encode(true, "with"))
	without := write(l, encode(false, "without"))
	mustAdd(t, l, []byte("last"), 1)
	var got []string
	_, r := openLog(t, m, bodies(&got))
	if strings.Join(got, " ") != "first with last" || len(r.Damage) != 1 || r.Damage[0].Offset != without {
		t.Fatalf("got %q, %+v", got, r)
	}
	for _, at := range []int64{15, 27, 40, 63, 80, 400} { // queue id, queue offset, times, prepared offset, property
		m := vfs.NewMem()
		l, _ := openLog(t, m, nil)
		mustAdd(t, l, []byte("first"), 1)
		pos := write(l, encode(true, "with"))
		mustAdd(t, l, []byte("last"), 1)
		spill(t, m, []byte{0x11}, pos+at)
		got = got[:0]
		l, r := openLog(t, m, bodies(&got))
		if strings.Join(got, " ") != "first last" || len(r.Damage) != 1 || r.Damage[0].Offset != pos {
			t.Errorf("byte %d changed: got %q, %+v", at, got, r)
		}
		if ok, err := l.ValidRecord(pos); ok || err != nil {
			t.Errorf("byte %d changed: valid %v, %v", at, ok, err)
		}
	}
}
