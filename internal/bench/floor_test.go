// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/twostage/twostage/internal/wire"
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

func TestSendAgainstTheFloor(t *testing.T) {
	f := startFloor(t)
	for _, enc := range []wire.Encoding{wire.JSON, wire.Binary} {
		res, err := Send(context.Background(), Load{
			Targets: []Target{{Addr: f.Addr(), Broker: "floor", Queues: 4}}, Topic: "T", Conns: 3, Inflight: 7,
			Size: 100, Encoding: enc, Warmup: time.Millisecond, Duration: 50 * time.Millisecond, PID: os.Getpid(),
		})
		if err != nil {
			t.Fatal(err)
		}
		if res.Messages == 0 || res.Latency.TotalCount() == 0 || res.Percentile(50) <= 0 {
			t.Errorf("%v: %d messages, %d latencies", enc, res.Messages, res.Latency.TotalCount())
		}
	}
}

func TestSendNeedsSomewhereToSend(t *testing.T) {
	if _, err := Send(context.Background(), Load{Conns: 1, Inflight: 1, Size: 1}); err == nil {
		t.Error("no broker is no error")
	}
}

func TestSlotFrameIsARequest(t *testing.T) {
	for _, enc := range []wire.Encoding{wire.JSON, wire.Binary} {
		s := newSlotFrame(enc, 5, "T", "b", 3, 1700000000000, 33)
		frame := s.next(0xABC)
		var d wire.Decoder
		var c wire.Command
		if err := d.Decode(frame[4:], &c); err != nil {
			t.Fatal(err)
		}
		props, _ := c.Ext.Get("i")
		if want := "UNIQ_KEY\x01" + keyPrefix + "0000000000000ABC\x02WAIT\x01true"; string(props) != want {
			t.Errorf("properties %q, want %q", props, want)
		}
		if c.Opaque != firstOpaque+5 || len(c.Body) != 33 {
			t.Errorf("opaque %d, body of %d bytes", c.Opaque, len(c.Body))
		}
		if o, ok := opaqueOf(frame); !ok || o != c.Opaque {
			t.Errorf("opaqueOf = %d %v", o, ok)
		}
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

func FuzzFrame(f *testing.F) {
	f.Add(newSlotFrame(wire.JSON, 0, "T", "b", 0, 1, 1).bytes)
	f.Add(floorAnswer(wire.Binary))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := frameAt(b)
		if err != nil || n == 0 {
			return
		}
		opaqueOf(b[:n])
		succeeded(b[:n])
		_, _ = countRecords(b[:n])
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
