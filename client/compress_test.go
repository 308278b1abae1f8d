// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

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

// What no frame holds is too large, whatever bound the producer was given.
func TestBodyLargerThanAFrame(t *testing.T) {
	w := newWorld(t)
	w.topic("T", 1, w.broker("a", 10001, nil))
	p := newTestProducer(t, w, WithMaxMessageSize(MaxBody), WithCompression(message.CompressionZlib, -1))
	m := message.New("T", make([]byte, wire.MaxFrame))
	_, sendErr := p.Send(t.Context(), m)
	_, toErr := p.SendTo(t.Context(), Queue{Topic: "T", Broker: "a"}, m)
	told := make(chan error, 1)
	p.SendAsync(t.Context(), m, func(_ *SendResult, err error) { told <- err })
	for _, err := range []error{sendErr, toErr, <-told, p.SendOneway(t.Context(), m)} {
		if !errors.Is(err, message.ErrTooLarge) || Retriable(err) {
			t.Errorf("a body of %d bytes: %v", len(m.Body), err)
		}
	}
	if _, err := NewProducer("g", WithNameServers(nameServer), WithMaxMessageSize(MaxBody+1)); err == nil || !strings.Contains(err.Error(), "WithMaxMessageSize") {
		t.Errorf("a bound above what consumers decompress: %v", err)
	}
}

// zstdFrame is a body as it is, in a frame of Zstandard with a window of 2^window
// bytes.
func zstdFrame(window int, body []byte) *message.Received {
	frame := []byte{0x28, 0xb5, 0x2f, 0xfd, 0, byte(window-10) << 3}
	for blocks := slices.Collect(slices.Chunk(body, 1<<17)); len(blocks) > 0; blocks = blocks[1:] {
		head := len(blocks[0]) << 3
		if len(blocks) == 1 {
			head |= 1
		}
		frame = append(frame, byte(head), byte(head>>8), byte(head>>16))
		frame = append(frame, blocks[0]...)
	}
	return &message.Received{Message: message.Message{Body: frame}, SysFlag: message.SysFlag(0).WithCompression(message.CompressionZstd)}
}

// A body may refer back as far as those of RocketMQ's clients may. What it says of that,
// and of its size, takes no memory.
func TestDecompressTakesMemoryForWhatThereIs(t *testing.T) {
	small, large := []byte("hello"), bytes.Repeat([]byte("x"), 600<<10)
	says := &message.Received{ // that it holds 64 MiB
		Message: message.Message{Body: []byte{0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0, 0, 0, 4, 1, 0, 0}},
		SysFlag: message.SysFlag(0).WithCompression(message.CompressionZstd),
	}
	for _, tt := range []struct {
		m    *message.Received
		want []byte // nil: too large
		most uint64 // bytes
	}{
		{zstdFrame(23, small), small, 1 << 20}, {zstdFrame(27, small), small, 1 << 20}, {zstdFrame(28, small), nil, 1 << 20},
		{zstdFrame(27, large), large, 8 << 20}, {zstdFrame(28, large), nil, 8 << 20}, {says, nil, 20 << 20},
	} {
		body, flag := tt.m.Body, tt.m.SysFlag
		took := uint64(math.MaxUint64)
		var err error
		for range 10 { // the least is this one's: goroutines of other tests may take some besides
			tt.m.Body, tt.m.SysFlag = body, flag
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err = Decompress(tt.m, MaxBody)
			runtime.ReadMemStats(&after)
			if took = min(took, after.TotalAlloc-before.TotalAlloc); took <= tt.most {
				break
			}
		}
		if tt.want != nil && (err != nil || !bytes.Equal(tt.m.Body, tt.want)) || tt.want == nil && !errors.Is(err, message.ErrTooLarge) {
			t.Errorf("%d bytes that begin with %x: %v", len(body), body[:6], err)
		}
		if took > tt.most {
			t.Errorf("%d bytes that begin with %x took %d bytes at least", len(body), body[:6], took)
		}
	}
}

// Whatever a body of Zstandard holds, it comes out, up to the limit to the byte, and
// more is too large.
func TestDecompressZstdToTheLimit(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for size := 1; size < 3<<20; size = size*3 + random.IntN(size) {
		var body bytes.Buffer
		for body.Len() < size {
			fmt.Fprintf(&body, `{"order":%d,"text":%q},`, random.IntN(1000), strings.Repeat("ab", random.IntN(300)))
		}
		body.Truncate(size)
		var stream bytes.Buffer // which does not say how much it holds, as Java's do not
		w, err := zstd.NewWriter(&stream)
		if err == nil {
			_, err = w.Write(body.Bytes())
		}
		if err = errors.Join(err, w.Close()); err != nil {
			t.Fatal(err)
		}
		for name, small := range map[string][]byte{
			"a stream": stream.Bytes(), "one that says its size": w.EncodeAll(body.Bytes(), nil),
			"two": append(w.EncodeAll(body.Bytes()[:size/2], nil), w.EncodeAll(body.Bytes()[size/2:], nil)...),
		} {
			m := &message.Received{Message: message.Message{Body: small}, SysFlag: message.SysFlag(0).WithCompression(message.CompressionZstd)}
			if err := Decompress(m, size-1); !errors.Is(err, message.ErrTooLarge) || !bytes.Equal(m.Body, small) {
				t.Errorf("%s of %d bytes, limit %d: %v", name, size, size-1, err)
			}
			cut := *m
			cut.Body = small[:len(small)-1]
			if err := Decompress(&cut, MaxBody); !errors.Is(err, message.ErrCompression) {
				t.Errorf("%s of %d bytes without the last one: %v", name, size, err)
			}
			if err := Decompress(m, size); err != nil || !bytes.Equal(m.Body, body.Bytes()) {
				t.Errorf("%s of %d bytes: %d came out, %v", name, size, len(m.Body), err)
			}
		}
	}
}

// A limit beyond what any body holds is none.
func TestDecompressWithoutLimit(t *testing.T) {
	for kind := range compressions {
		c, err := newCompressor(kind, 0)
		if err != nil {
			t.Fatal(err)
		}
		text := bytes.Repeat([]byte("a body "), 1000)
		body, flag, err := c.compress(text)
		if err != nil {
			t.Fatal(err)
		}
		m := &message.Received{Message: message.Message{Body: body}, SysFlag: flag}
		if err := Decompress(m, math.MaxInt); err != nil || !bytes.Equal(m.Body, text) {
			t.Errorf("%v: %d bytes came out, %v", kind, len(m.Body), err)
		}
	}
}

// What a frame says that it holds is believed as far as that of the only one, whatever
// frames are before it, and further when those gave much.
func TestDecompressFramesThatSayTheirSize(t *testing.T) {
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	six := bytes.Repeat([]byte("six MiB of this "), 6<<20/16)
	frame := z.EncodeAll(six, nil)
	for n := 1; n <= 7; n += 2 {
		m := &message.Received{Message: message.Message{Body: bytes.Repeat(frame, n)}, SysFlag: message.SysFlag(0).WithCompression(message.CompressionZstd)}
		if size := len(m.Body); size*zstdPerByte > zstdTrusted {
			t.Fatalf("%d frames are %d bytes, which could say anything", n, size)
		}
		if err := Decompress(m, MaxBody); err != nil || !bytes.Equal(m.Body, bytes.Repeat(six, n)) {
			t.Errorf("%d frames of 6 MiB: %d bytes came out, %v", n, len(m.Body), err)
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
			b.RunParallel(func(pb *testing.PB) { // senders do not wait for each other
				for pb.Next() {
					if _, _, err := c.compress(text.Bytes()); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
