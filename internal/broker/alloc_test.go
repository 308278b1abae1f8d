// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
)

// TestSendAllocs pins the way of a plain send through the whole broker, from the
// socket to the socket: frames that arrive together cost nothing each.
func TestSendAllocs(t *testing.T) {
	if raceEnabled {
		t.Log("the race detector allocates by itself: only the answers are looked at")
	}
	w := start(t, vfs.OS(), "storePathRootDir", t.TempDir(), "maxHashSlotNum", "10000", "maxIndexNum", "400000", "mappedFileSizeCommitLog", "67108864", "mappedFileSizeConsumeQueue", "6000000")
	nc, err := net.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	const sends = 64
	h := sendHeader("T", "TAGS", "A", "UNIQ_KEY", "7F00000131BD4E0E2F2A6F7996560000", "WAIT", "true")
	var burst []byte
	for range sends {
		burst = append(burst, wire.AppendRequest(nil, &wire.Request{Code: wire.ReqSendMessageV2, Opaque: 7, Header: h, Body: bytes.Repeat([]byte("x"), 200)})...)
	}
	buf := make([]byte, 64<<10)
	round := func() {
		if _, err := nc.Write(burst); err != nil {
			t.Fatal(err)
		}
		for range sends {
			if _, err := io.ReadFull(nc, buf[:4]); err != nil {
				t.Fatal(err)
			}
			frame := buf[:binary.BigEndian.Uint32(buf)]
			if _, err := io.ReadFull(nc, frame); err != nil {
				t.Fatal(err)
			}
			if !bytes.Contains(frame, []byte(`"code":0`)) {
				t.Fatalf("answered %q", frame)
			}
		}
	}
	for range 50 {
		round()
	}
	if n := testing.AllocsPerRun(100, round); n >= 4 && !raceEnabled { // the store makes memory now and then
		t.Errorf("%v allocations for %d sends", n, sends)
	} else {
		t.Logf("%v allocations for %d sends", n, sends)
	}
}
