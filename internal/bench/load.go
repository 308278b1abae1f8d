// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/twostage/twostage/internal/wire"
)

// Target is a broker and the queues of the topic that it has.
type Target struct {
	Addr   string // host:port
	Broker string
	Queues int32
}

// Load says how to drive the targets.
type Load struct {
	Targets  []Target
	Topic    string
	Conns    int           // connections, spread over the targets
	Inflight int           // requests each keeps in flight
	Size     int           // bytes of a message's body
	Encoding wire.Encoding // of the requests' headers
	Warmup   time.Duration // before counting begins
	Duration time.Duration // of counting
	PID      int           // of the server, for its CPU time; 0: not measured
	Progress func(elapsed time.Duration, perSecond float64)
}

// Result is what a run measured.
type Result struct {
	Messages  int64
	Elapsed   time.Duration
	Latency   *hdrhistogram.Histogram // of requests, in nanoseconds
	ServerCPU time.Duration           // 0 when not measured
	LoaderCPU time.Duration
}

// PerSecond is the throughput in messages.
func (r *Result) PerSecond() float64 { return float64(r.Messages) / r.Elapsed.Seconds() }

// ServerMicros is the server's CPU time for one message, in microseconds.
func (r *Result) ServerMicros() float64 {
	return float64(r.ServerCPU) / float64(time.Microsecond) / float64(max(r.Messages, 1))
}

// LoaderShare is the part of the machine that the loader took, 0 to 1. Above one
// half the throughput is not the server's.
func (r *Result) LoaderShare() float64 {
	return r.LoaderCPU.Seconds() / r.Elapsed.Seconds() / float64(runtime.NumCPU())
}

// Percentile is the latency that q percent of the requests did not exceed.
func (r *Result) Percentile(q float64) time.Duration {
	return time.Duration(r.Latency.ValueAtQuantile(q))
}

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1000, int64(2*time.Minute), 3)
}

// worker is one connection's part of a run.
type worker interface {
	run(conn net.Conn, stop *atomic.Bool) error
	counters() *counters
}

// counters of one worker. count is read by others while it runs; latency only
// after it ended.
type counters struct {
	count     atomic.Int64
	measuring *atomic.Bool
	latency   *hdrhistogram.Histogram
}

func (c *counters) record(messages int64, d time.Duration) {
	c.count.Add(messages)
	if c.measuring.Load() {
		_ = c.latency.RecordValue(int64(d)) // beyond two minutes: not recorded
	}
}

// Send runs a load of sends.
func Send(ctx context.Context, l Load) (*Result, error) {
	born := time.Now().UnixMilli()
	var keys atomic.Uint64
	keys.Store(uint64(time.Now().UnixNano()))
	return l.run(ctx, func(i int, c *counters) worker {
		t := l.Targets[i%len(l.Targets)]
		s := &sender{own: c, sent: make([]time.Time, l.Inflight), frames: make([]slotFrame, l.Inflight), keys: &keys}
		for j := range s.frames {
			s.frames[j] = newSlotFrame(l.Encoding, j, l.Topic, t.Broker, int32(i+j)%max(t.Queues, 1), born, l.Size)
		}
		return s
	})
}

func (l Load) run(ctx context.Context, make func(i int, c *counters) worker) (*Result, error) {
	if len(l.Targets) == 0 || l.Conns < 1 || l.Inflight < 1 || l.Size < 1 {
		return nil, errors.New("bench: there must be a broker, and connections, requests in flight and body bytes at least 1 each")
	}
	var stop, measuring atomic.Bool
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	workers := []worker{}
	conns := []net.Conn{}
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	for i := range l.Conns {
		addr := l.Targets[i%len(l.Targets)].Addr
		conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", addr)
		if err != nil {
			return nil, fmt.Errorf("bench: connecting to the broker: %w", err)
		}
		conns = append(conns, conn)
		workers = append(workers, make(i, &counters{measuring: &measuring, latency: newHistogram()}))
	}
	for i, w := range workers {
		wg.Go(func() {
			if err := w.run(conns[i], &stop); err != nil {
				cancel(err)
			}
		})
	}
	total := func() (n int64) {
		for _, w := range workers {
			n += w.counters().count.Load()
		}
		return n
	}
	res, err := l.measure(ctx, total, &measuring)
	stop.Store(true)
	done := ended(&wg)
	select {
	case <-done:
	case <-time.After(5 * time.Second): // answers that do not come
		for _, c := range conns {
			_ = c.Close()
		}
		<-done
	}
	if err != nil {
		return nil, err
	}
	res.Latency = newHistogram()
	for _, w := range workers {
		res.Latency.Merge(w.counters().latency)
	}
	return res, nil
}

// ended is closed when wg is done.
func ended(wg *sync.WaitGroup) <-chan struct{} {
	ch := make(chan struct{})
	go func() { wg.Wait(); close(ch) }()
	return ch
}

// measure waits through the warm-up, then counts for the load's duration.
func (l Load) measure(ctx context.Context, total func() int64, measuring *atomic.Bool) (*Result, error) {
	if err := l.wait(ctx, l.Warmup, nil); err != nil {
		return nil, err
	}
	server0, err := l.cpu()
	if err != nil {
		return nil, err
	}
	own0, n0, t0 := ownCPU(), total(), time.Now()
	measuring.Store(true)
	err = l.wait(ctx, l.Duration, func() {
		if l.Progress != nil {
			e := time.Since(t0)
			l.Progress(e, float64(total()-n0)/e.Seconds())
		}
	})
	if err != nil {
		return nil, err
	}
	measuring.Store(false)
	res := &Result{Messages: total() - n0, Elapsed: time.Since(t0), LoaderCPU: ownCPU() - own0}
	server1, err := l.cpu()
	if err != nil {
		return nil, err
	}
	res.ServerCPU = server1 - server0
	return res, nil
}

// cpu is the CPU time that the server has used; 0 when it is not to be measured.
func (l *Load) cpu() (time.Duration, error) {
	if l.PID == 0 {
		return 0, nil
	}
	d, err := ProcessCPU(l.PID)
	if err != nil {
		return 0, fmt.Errorf("bench: reading the server's CPU time: %w", err)
	}
	return d, nil
}

// wait lets d pass, calling tick every second, and ends early when ctx does.
func (l Load) wait(ctx context.Context, d time.Duration, tick func()) error {
	end := time.NewTimer(d)
	defer end.Stop()
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-end.C:
			return nil
		case <-second.C:
			if tick != nil {
				tick()
			}
		}
	}
}

// sender keeps its slots in flight.
type sender struct {
	own    *counters
	frames []slotFrame
	sent   []time.Time
	keys   *atomic.Uint64
}

func (s *sender) counters() *counters { return s.own }

func (s *sender) run(conn net.Conn, stop *atomic.Bool) error {
	var out []byte
	now := time.Now()
	key := s.keys.Add(1 << 32)
	for i := range s.frames {
		s.sent[i] = now
		key++
		out = append(out, s.frames[i].next(key)...)
	}
	if _, err := conn.Write(out); err != nil {
		return err
	}
	outstanding := len(s.frames)
	in := newFrames(conn)
	for outstanding > 0 {
		if err := in.fill(); err != nil {
			if stop.Load() {
				return nil
			}
			return fmt.Errorf("bench: reading answers: %w", err)
		}
		now = time.Now()
		out = out[:0]
		stopping := stop.Load()
		for {
			frame, err := in.next()
			if err != nil {
				return err
			}
			if frame == nil {
				break
			}
			slot, err := s.slot(frame)
			if err != nil {
				return err
			}
			if slot < 0 {
				continue // a request of the broker's own
			}
			s.own.record(1, now.Sub(s.sent[slot]))
			if stopping {
				outstanding--
				continue
			}
			s.sent[slot] = now
			key++
			out = append(out, s.frames[slot].next(key)...)
		}
		if len(out) > 0 {
			if _, err := conn.Write(out); err != nil {
				return fmt.Errorf("bench: sending: %w", err)
			}
		}
	}
	return nil
}

// slot finds the place in flight that a frame answers, -1 for a frame that
// answers none.
func (s *sender) slot(frame []byte) (int, error) {
	opaque, ok := opaqueOf(frame)
	slot := int(opaque) - firstOpaque
	if !ok || slot < 0 || slot >= len(s.frames) {
		return -1, nil
	}
	if !succeeded(frame) {
		return 0, refusal(frame)
	}
	return slot, nil
}

// refusal is the error that an answer is.
func refusal(frame []byte) error {
	var d wire.Decoder
	var c wire.Command
	if err := d.Decode(frame[4:], &c); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	return fmt.Errorf("bench: the broker answered %d %s: %s", c.Code, wire.ResponseName(c.Code), c.Remark)
}

// frames reads whole frames from a connection.
type frames struct {
	conn     net.Conn
	buf      []byte
	at, have int
}

func newFrames(conn net.Conn) *frames { return &frames{conn: conn, buf: make([]byte, 256<<10)} }

// fill reads once, more only until at least one byte has come.
func (f *frames) fill() error {
	if f.at > 0 {
		f.have = copy(f.buf, f.buf[f.at:f.have])
		f.at = 0
	}
	if f.have == len(f.buf) {
		f.buf = append(f.buf, make([]byte, len(f.buf))...)
	}
	n, err := f.conn.Read(f.buf[f.have:])
	f.have += n
	if n > 0 {
		return nil
	}
	return err
}

// next is the next whole frame that has arrived, nil if there is none. It is
// valid until fill.
func (f *frames) next() ([]byte, error) {
	n, err := frameAt(f.buf[f.at:f.have])
	if n == 0 || err != nil {
		return nil, err
	}
	frame := f.buf[f.at : f.at+n]
	f.at += n
	return frame, nil
}
