// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"fmt"
	"math"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
)

// startSink stores sends by telling each of them.
func startSink(t *testing.T, tell func(r *remoting.Request, h *header.SendRequest)) string {
	return startServer(t, wire.ReqSendMessageV2, func(r *remoting.Request) {
		var h header.SendRequest
		if err := h.DecodeV2(r.Ext); err != nil {
			t.Error(err)
		}
		tell(r, &h)
	})
}

func stored200(r *remoting.Request) {
	r.Reply(&wire.Response{Header: &header.SendResponse{MsgID: []byte("7F00000100002A9F0000000000000000")}})
}

func TestSendFills(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]int{}
	addr := startSink(t, func(r *remoting.Request, h *header.SendRequest) {
		mu.Lock()
		seen[fmt.Sprint(string(h.Topic), "/", h.QueueID)]++
		mu.Unlock()
		stored200(r)
	})
	for _, rate := range []float64{0, 20000} {
		mu.Lock()
		clear(seen)
		mu.Unlock()
		res, err := Send(context.Background(), Load{
			Targets: []Target{{Addr: addr, Queues: 5}}, Topic: "T", Topics: 60, Conns: 3, Inflight: 4, Size: 10, Fill: true, Rate: rate,
			Warmup: time.Nanosecond, Duration: time.Millisecond,
		})
		if err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		filled := len(seen)
		mu.Unlock()
		if filled != 300 || res.Filling <= 0 {
			t.Errorf("rate %g: %d of 300 queues got a message in %v", rate, filled, res.Filling)
		}
	}
}

func TestSendAtARate(t *testing.T) {
	f := startFloor(t)
	for _, enc := range []wire.Encoding{wire.JSON, wire.Binary} {
		start := time.Now()
		res := enough(t, func(d time.Duration) (*Result, error) {
			start = time.Now()
			return Send(context.Background(), Load{
				Targets: []Target{{Addr: f.Addr(), Queues: 4}}, Topic: "T", Conns: 3, Inflight: 2, Size: 100, Rate: 2000, Encoding: enc,
				Warmup: 10 * time.Millisecond, Duration: d,
			})
		})
		// Never more than were due since the run began.
		if most := int64(2000*time.Since(start).Seconds()) + 3; res.Messages > most || res.Bytes < 100 || res.Bytes%100 != 0 {
			t.Errorf("%v: %d messages, %d bytes, want at most %d messages", enc, res.Messages, res.Bytes, most)
		}
	}
}

// TestNothingIsOmitted holds the first answer back: all that was due meanwhile
// has waited, whether it could be sent or not.
func TestNothingIsOmitted(t *testing.T) {
	const hold, sends = 100 * time.Millisecond, 50
	var stop, measuring atomic.Bool
	measuring.Store(true)
	count := 0
	addr := startSink(t, func(r *remoting.Request, _ *header.SendRequest) {
		if count++; count == 1 {
			ticket := r.Ticket()
			time.AfterFunc(hold, func() {
				ticket.Reply(&wire.Response{Header: &header.SendResponse{MsgID: []byte("7F00000100002A9F0000000000000000")}})
			})
			return
		}
		if count == sends {
			stop.Store(true)
		}
		stored200(r)
	})
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	own := &counters{measuring: &measuring, latency: newHistogram()}
	l := &Load{Topic: "T", Conns: 1, Inflight: 1, Size: 10, Targets: []Target{{}}}
	s := &pacedSender{
		sender:   &sender{own: own, size: 10, sent: make([]time.Time, 1), keys: new(atomic.Uint64), out: newBatch(newTemplate(l, l.Targets[0], 0, 1), 1)},
		interval: float64(time.Millisecond),
	}
	ended := make(chan error)
	go func() { ended <- s.run(conn, &stop) }() // its thread ends with it
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	late := int64(0)
	for _, b := range own.latency.Distribution() {
		if time.Duration(b.From) >= hold-sends*time.Millisecond {
			late += b.Count
		}
	}
	if own.count.Load() < sends || late < sends-1 {
		t.Errorf("%d of %d messages waited, want all of the first %d", late, own.count.Load(), sends)
	}
}

func TestSendRefused(t *testing.T) {
	addr := startSink(t, func(r *remoting.Request, _ *header.SendRequest) {
		r.Reply(&wire.Response{Code: wire.SystemBusy, Remark: "later", Header: header.Empty{}})
	})
	load := Load{Targets: []Target{{Addr: addr, Queues: 1}}, Topic: "T", Conns: 2, Inflight: 2, Size: 1, Duration: time.Hour}
	for _, rate := range []float64{0, 1000} {
		load.Rate = rate
		if _, err := Send(context.Background(), load); err == nil || !strings.Contains(err.Error(), "SYSTEM_BUSY: later") {
			t.Errorf("rate %g: %v", rate, err)
		}
	}
	for _, rate := range []float64{-1, math.NaN(), math.Inf(1)} {
		load.Rate = rate
		if _, err := Send(context.Background(), load); err == nil || !strings.Contains(err.Error(), "rate") {
			t.Errorf("rate %g: %v", rate, err)
		}
	}
	load.Rate, load.Fill = 0, true
	if _, err := Send(context.Background(), load); err == nil || !strings.Contains(err.Error(), "warm-up") {
		t.Errorf("to fill without a warm-up: %v", err)
	}
}

// TestServerGone has the connection end under a load.
func TestServerGone(t *testing.T) {
	for _, rate := range []float64{0, 1000} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		closed := make(chan struct{})
		go func() {
			defer close(closed)
			c, err := ln.Accept()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = c.Read(make([]byte, 10))
			_ = c.Close()
		}()
		_, err = Send(context.Background(), Load{Targets: []Target{{Addr: ln.Addr().String()}}, Topic: "T", Conns: 1, Inflight: 1, Size: 1, Rate: rate, Duration: time.Hour})
		if err == nil || !strings.Contains(err.Error(), "bench: ") {
			t.Errorf("rate %g: %v", rate, err)
		}
		<-closed
		_ = ln.Close()
	}
}
