// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"os"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func startFloor(t testing.TB) *Floor {
	f, err := ListenFloor("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- f.Serve() }()
	t.Cleanup(func() {
		_ = f.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return f
}

// enough runs a load for longer and longer, on a machine as busy as it may be,
// until it has counted something.
func enough(t *testing.T, run func(time.Duration) (*Result, error)) *Result {
	t.Helper()
	for d := 50 * time.Millisecond; ; d *= 4 {
		res, err := run(d)
		if err != nil {
			t.Fatal(err)
		}
		if res.Messages > 0 && res.Latency.TotalCount() > 0 {
			return res
		}
		if d > time.Minute {
			t.Fatalf("%d messages, %d latencies in %v", res.Messages, res.Latency.TotalCount(), d)
		}
	}
}

func TestSendAgainstTheFloor(t *testing.T) {
	f := startFloor(t)
	for _, enc := range []wire.Encoding{wire.JSON, wire.Binary} {
		res := enough(t, func(d time.Duration) (*Result, error) {
			return Send(context.Background(), Load{
				Targets: []Target{{Addr: f.Addr(), Broker: "floor", Queues: 4}}, Topic: "T", Conns: 3, Inflight: 7,
				Size: 100, Encoding: enc, Warmup: time.Millisecond, Duration: d, PID: os.Getpid(),
			})
		})
		if res.Percentile(50) <= 0 || res.Bytes < 100 || res.Bytes%100 != 0 || res.DiskRead < 0 || res.Filling != 0 {
			t.Errorf("%v: %+v", enc, res)
		}
	}
}

func TestSendNeedsSomewhereToSend(t *testing.T) {
	if _, err := Send(context.Background(), Load{Conns: 1, Inflight: 1, Size: 1}); err == nil {
		t.Error("no broker is no error")
	}
}

func TestFloorAnswers(t *testing.T) {
	for _, enc := range []wire.Encoding{wire.JSON, wire.Binary} {
		l := &Load{Topic: "T", Conns: 1, Size: 33, Encoding: enc, Targets: []Target{{}}}
		p := newTemplate(l, l.Targets[0], 0, 1)
		frame := append(p.append(nil, firstOpaque+5, 1), p.body...)
		if o, ok := opaqueOf(frame); !ok || o != firstOpaque+5 || isPull(frame) {
			t.Errorf("%v: opaque %d %v, a pull: %v", enc, o, ok, isPull(frame))
		}
		var d wire.Decoder
		var c wire.Command
		answer := appendFloorAnswer(nil, floorAnswer(enc), 1234567890)
		if err := d.Decode(answer[4:], &c); err != nil || c.Opaque != 1234567890 || !c.IsResponse() || !succeeded(answer) {
			t.Errorf("floor's answer: %v %+v", err, c)
		}
		refused := wire.AppendResponse(nil, enc, 1, &wire.Response{Code: wire.SystemBusy, Remark: "no"})
		if succeeded(refused) || refusal(refused) == nil {
			t.Error("a refusal counts as success")
		}
	}
}

func TestConsumeFromTheFloor(t *testing.T) {
	f := startFloor(t)
	for _, enc := range []wire.Encoding{wire.JSON, wire.Binary} {
		for _, pull := range []Pull{{}, {Count: 5, Bytes: 5 * 300}, {Count: 1000, Bytes: 3 << 20}, {Count: 2, Bytes: 1}} {
			res := enough(t, func(d time.Duration) (*Result, error) {
				return Consume(context.Background(), Load{
					Targets: []Target{{Addr: f.Addr(), Queues: 7}}, Topic: "T", Conns: 2, Inflight: 3, Encoding: enc, Pull: pull, Duration: d,
				})
			})
			size := int64(RecordSize("T", 1024))
			if pull.Bytes > 0 {
				size = max(int64(pull.Bytes)/int64(pull.Count), 8)
			}
			if res.Messages%int64(max(pull.Count, 1)) != 0 || res.Bytes < res.Messages*size || res.Bytes%size != 0 { // answers go on coming while counters are read
				t.Errorf("%v %+v: %d messages of %d bytes, want %d for each", enc, pull, res.Messages, res.Bytes, size)
			}
		}
	}
}

func FuzzFrame(f *testing.F) {
	l := &Load{Topic: "T", Conns: 1, Size: 1, Targets: []Target{{}}}
	f.Add(newTemplate(l, l.Targets[0], 0, 1).append(nil, firstOpaque, 1), 3)
	f.Add(floorAnswer(wire.Binary), 1)
	f.Add(wire.AppendResponse(nil, wire.JSON, 7, &wire.Response{Header: &header.PullResponse{NextBeginOffset: 2}, Body: []byte("\x00\x00\x00\x05x\x00\x00\x00\x06yz")}), 4)
	f.Fuzz(func(t *testing.T, b []byte, step int) {
		// The same answers come out of whatever pieces they arrive in.
		whole, wholeErr := walk(b, len(b)+1)
		pieces, piecesErr := walk(b, step)
		if !slices.Equal(whole, pieces) || (wholeErr == nil) != (piecesErr == nil) {
			t.Errorf("%q %v in one piece, %q %v in pieces of %d", whole, wholeErr, pieces, piecesErr, step)
		}
		n, err := frameAt(b)
		if err != nil || n == 0 {
			return
		}
		if _, ok := opaqueOf(b[:n]); ok {
			isPull(b[:n])
		}
		succeeded(b[:n])
	})
}

// BenchmarkFloor is the socket path's limit with the loader in the same process.
func BenchmarkFloor(b *testing.B) {
	f := startFloor(b)
	for b.Loop() {
		res, err := Send(context.Background(), Load{Targets: []Target{{Addr: f.Addr(), Queues: 8}}, Topic: "T", Conns: 8, Inflight: 64,
			Size: 1024, Warmup: 200 * time.Millisecond, Duration: time.Second})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(res.PerSecond(), "msgs/s")
	}
}
