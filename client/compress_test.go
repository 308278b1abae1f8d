// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

var compressions = map[message.CompressionType]int32{
	message.CompressionZlib: 0x301, message.CompressionLZ4: 0x101, message.CompressionZstd: 0x201,
}

// What is compressed says so as RocketMQ's producers do, and comes out as it was.
func TestCompressions(t *testing.T) {
	long := bytes.Repeat([]byte("compress me "), 20000) // several blocks of lz4
	noise := make([]byte, 5000)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	for kind, flag := range compressions {
		w := newWorld(t)
		a := w.broker("a", 10001, nil)
		w.topic("T", 1, a)
		p := newTestProducer(t, w, WithCompression(kind, 4095))
		bodies := [][]byte{long, long[:4096], long[:4095], noise, long[:5000]}
		for _, b := range bodies {
			if _, err := p.Send(t.Context(), message.New("T", b)); err != nil {
				t.Fatal(err)
			}
		}
		got := a.records(t, 0)
		for i, r := range a.got(wire.ReqSendMessageV2) {
			want := flag
			if i == 2 || i == 3 { // too short, and none that gets smaller
				want = 0
			}
			var h header.SendRequest
			if err := h.DecodeV2(r.Ext); err != nil || h.SysFlag != want {
				t.Errorf("%v: body %d has the flags %#x, want %#x, %v", kind, i, h.SysFlag, want, err)
			}
			if err := Decompress(got[i], 1<<20); err != nil || !bytes.Equal(got[i].Body, bodies[i]) {
				t.Errorf("%v: body %d came out with %d bytes, %v", kind, i, len(got[i].Body), err)
			}
		}
	}
}

func TestCompressionsThatThereAreNot(t *testing.T) {
	for _, kind := range []message.CompressionType{message.CompressionOldZlib, 5} {
		if _, err := NewProducer("g", WithNameServers(nameServer), WithCompression(kind, 1)); err == nil || !strings.Contains(err.Error(), "WithCompression") {
			t.Errorf("%v: %v", kind, err)
		}
	}
}

func BenchmarkCompress(b *testing.B) {
	var text bytes.Buffer
	for i := 0; text.Len() < 16<<10; i++ {
		fmt.Fprintf(&text, `{"order":%d,"item":"article %d","amount":%d},`, i, i*7%100, i%9)
	}
	for kind := range compressions {
		b.Run(kind.String(), func(b *testing.B) {
			c, err := newCompressor(kind, 0)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(text.Len()))
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := c.compress(text.Bytes()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
