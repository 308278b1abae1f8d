// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
)

// TestAcksOfOneRead: of acks that come in one write each has the answer it would
// have alone, and each message is acked once.
func TestAcksOfOneRead(t *testing.T) {
	w := start(t, vfs.NewMem(), "timerWheelEnable", "false")
	c := w.client()
	for _, text := range []string{"m0", "m1", "m2", "m3"} {
		c.send(sendHeader("T"), text)
	}
	p := c.popSoon(popRequest("T", 0))
	if p.bodies() != "m0 m1 m2 m3" {
		t.Fatalf("%+v", p)
	}
	handles := p.handles("broker-a")
	before := w.store.MaxPhysical()
	ack := func(offset int64, info string) *wire.Request {
		return &wire.Request{Code: wire.ReqAckMessage, Header: &header.AckRequest{ConsumerGroup: "g", Topic: "T", ExtraInfo: info, Offset: offset}}
	}
	good := handles[0].String()
	both := body.BatchAck{ConsumerGroup: "g", Topic: "T", Retry: "0", ReviveQueueID: p.ReviveQID, PopTime: p.PopTime, InvisibleTime: p.InvisibleTime}
	both.SetOffsets(0, 2, 3)
	wrong := both
	wrong.Retry = "7"
	batch := func(acks ...body.BatchAck) *wire.Request {
		return &wire.Request{Code: wire.ReqBatchAckMessage, Body: body.Marshal(&body.BatchAckRequest{BrokerName: "broker-a", Acks: acks})}
	}
	var burst []byte
	want := []int32{wire.Success, wire.NoMessage, wire.MessageIllegal, wire.Success, wire.Success, wire.MessageIllegal, wire.NoMessage, wire.Success}
	for i, r := range []*wire.Request{
		ack(0, good), ack(9, good), ack(1, "no handle"), ack(1, good), ack(0, good),
		batch(wrong, both), batch(), batch(both),
	} {
		r.Opaque = int32(i)
		burst = wire.AppendRequest(burst, r)
	}
	nc, err := net.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := nc.Write(burst); err != nil {
		t.Fatal(err)
	}
	got := make([]int32, len(want))
	for range want {
		var size [4]byte
		var cmd wire.Command
		var dec wire.Decoder
		if _, err := io.ReadFull(nc, size[:]); err != nil {
			t.Fatal(err)
		}
		frame := make([]byte, binary.BigEndian.Uint32(size[:]))
		if _, err := io.ReadFull(nc, frame); err != nil {
			t.Fatal(err)
		}
		if err := dec.Decode(frame, &cmd); err != nil {
			t.Fatal(err)
		}
		got[cmd.Opaque] = cmd.Code
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("request %d is answered %d, want %d", i, got[i], want[i])
		}
	}
	if s := w.pops.Stats(); s.Acked != 4 || s.Open != 0 || w.store.MaxPhysical() == before {
		t.Errorf("%+v", s)
	}
}
