// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package wire_test

import (
	"testing"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/internal/wire/wiretest"
)

// recordedSend gives the first recorded frame of a send with properties in that
// encoding, from the Java client.
func recordedSend(t testing.TB, enc wire.Encoding) *wiretest.Frame {
	for _, s := range golden(t) {
		for i := range s.Frames {
			f := &s.Frames[i]
			if f.Kind.Code == wire.ReqSendMessageV2 && !f.Kind.Response && f.Stated.Encoding == enc.String() && f.Stated.HeaderSize > 200 {
				return f
			}
		}
	}
	t.Fatalf("no send in %v is recorded", enc)
	return nil
}

var encodings = []wire.Encoding{wire.JSON, wire.Binary}

// sendPath decodes a send, its header, and writes the answer, as a server does.
func sendPath(t testing.TB, enc wire.Encoding) func() {
	frame := recordedSend(t, enc).Payload()
	var d wire.Decoder
	var c wire.Command
	var req header.SendRequest
	answer := header.SendResponse{
		MsgID: []byte("7F000001000051AF0000000000012345"), QueueID: 1, QueueOffset: 123456,
		Region: []byte("DefaultRegion"), TraceOn: true,
	}
	resp := wire.Response{Header: &answer}
	out := make([]byte, 0, 1024)
	return func() {
		if err := d.Decode(frame, &c); err != nil {
			t.Fatal(err)
		}
		if err := req.Decode(c.Code, c.Ext); err != nil {
			t.Fatal(err)
		}
		out = wire.AppendResponse(out[:0], c.Encoding, c.Opaque, &resp)
	}
}

func TestSendPathAllocatesNothing(t *testing.T) {
	for _, enc := range encodings {
		if n := testing.AllocsPerRun(1000, sendPath(t, enc)); n != 0 {
			t.Errorf("%v: %v allocations", enc, n)
		}
	}
}

func TestPullPathAllocatesNothing(t *testing.T) {
	req := header.PullRequest{
		ConsumerGroup: []byte("group"), Topic: []byte("topic"), QueueOffset: 1 << 40, MaxMsgNums: 32,
		Subscription: []byte("TagA || TagB"), ExpressionType: []byte("TAG"), SubVersion: 1795362102706,
	}
	for _, enc := range encodings {
		frame := wire.AppendRequest(nil, &wire.Request{Code: wire.ReqPullMessage, Encoding: enc, Header: &req})
		var d wire.Decoder
		var c wire.Command
		var got header.PullRequest
		answer := header.PullResponse{NextBeginOffset: 12, MaxOffset: 20}
		resp := wire.Response{Header: &answer}
		out := make([]byte, 0, 1024)
		n := testing.AllocsPerRun(1000, func() {
			if err := d.Decode(frame[4:], &c); err != nil {
				t.Fatal(err)
			}
			if err := got.DecodeExt(c.Ext); err != nil {
				t.Fatal(err)
			}
			out = wire.AppendResponseHead(out[:0], c.Encoding, c.Opaque, &resp, 4096)
		})
		if n != 0 || string(got.Subscription) != "TagA || TagB" {
			t.Errorf("%v: %v allocations, %+v", enc, n, got)
		}
	}
}

func TestAppendRequestAllocatesNothing(t *testing.T) {
	h := header.SendRequest{Topic: []byte("t"), Properties: []byte("a\x01b")}
	out := make([]byte, 0, 1024)
	for _, enc := range encodings {
		r := wire.Request{Code: wire.ReqSendMessageV2, Header: &h, Encoding: enc, Body: []byte("body")}
		if n := testing.AllocsPerRun(1000, func() { out = wire.AppendRequest(out[:0], &r) }); n != 0 {
			t.Errorf("%v: %v allocations", enc, n)
		}
	}
}

// BenchmarkDecodeSend decodes a recorded send and its typed header.
func BenchmarkDecodeSend(b *testing.B) {
	for _, enc := range encodings {
		b.Run(enc.String(), func(b *testing.B) {
			frame := recordedSend(b, enc).Payload()
			var d wire.Decoder
			var c wire.Command
			var req header.SendRequest
			b.ReportAllocs()
			b.SetBytes(int64(len(frame)))
			for b.Loop() {
				if err := d.Decode(frame, &c); err != nil {
					b.Fatal(err)
				}
				if err := req.DecodeV2(c.Ext); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkSendPath is BenchmarkDecodeSend and the writing of the answer.
func BenchmarkSendPath(b *testing.B) {
	for _, enc := range encodings {
		b.Run(enc.String(), func(b *testing.B) {
			run := sendPath(b, enc)
			b.ReportAllocs()
			for b.Loop() {
				run()
			}
		})
	}
}
