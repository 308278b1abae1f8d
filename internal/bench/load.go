// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strconv"
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
	Topics   int           // above 1: the load goes to so many, whose names TopicName gives
	Conns    int           // connections, spread over the targets
	Inflight int           // requests each keeps in flight; of an open loop, at most
	Rate     float64       // sends: an open loop of so many messages a second in all; 0: a closed loop
	Size     int           // bytes of a message's body
	Encoding wire.Encoding // of the requests' headers
	Warmup   time.Duration // before counting begins
	Duration time.Duration // of counting
	PID      int           // of the server, for its CPU time and disk reads; 0: not measured
	Tags     int           // sends: messages have one of so many tags, t0000 and on, in turn, and its number in the property n; 0: none
	Fill     bool          // sends: the warm-up lasts until every queue of every topic got a message
	Pull     Pull          // of Consume
	Progress func(elapsed time.Duration, perSecond float64)

	timers *timersRun // sends: when messages are to be delivered, of Timers
}

// TopicName is the name of topic i of the load, from 0 on: of several topics
// all names have the same length.
func (l *Load) TopicName(i int) string {
	if l.Topics <= 1 {
		return l.Topic
	}
	return fmt.Sprintf("%s-%0*d", l.Topic, l.topicDigits(), i)
}

func (l *Load) topicDigits() int { return len(strconv.Itoa(l.Topics - 1)) }

// share is how many connections there are to the broker of connection i.
func (l *Load) share(i int) int {
	brokers := len(l.Targets)
	return (l.Conns - i%brokers + brokers - 1) / brokers
}

// toFill is how many messages connection i sends until, with those of the others
// to its broker, each queue has one.
func (l *Load) toFill(i int) int64 {
	if !l.Fill {
		return 0
	}
	queues := int64(max(l.Topics, 1)) * int64(max(l.Targets[i%len(l.Targets)].Queues, 1))
	return queues/int64(l.share(i)) + 1 + int64(l.Inflight) // answers may come in another order
}

// Result is what a run measured.
type Result struct {
	Messages  int64
	Bytes     int64 // sent: of bodies; pulled: of records
	Elapsed   time.Duration
	Filling   time.Duration           // what Fill took
	Latency   *hdrhistogram.Histogram // of requests, in nanoseconds; an open loop's from when they were due
	ServerCPU time.Duration           // 0 when not measured
	DiskRead  int64                   // bytes that the server had read from disks; -1 when not measured
	LoaderCPU time.Duration
}

// PerSecond is the throughput in messages.
func (r *Result) PerSecond() float64 { return float64(r.Messages) / r.Elapsed.Seconds() }

// BytesPerSecond is the throughput in bytes.
func (r *Result) BytesPerSecond() float64 { return float64(r.Bytes) / r.Elapsed.Seconds() }

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

// longest is the longest latency that is told from others.
const longest = 2 * time.Minute

func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1000, int64(longest), 3) }

// worker is one connection's part of a run.
type worker interface {
	run(conn net.Conn, stop *atomic.Bool) error
	counters() *counters
}

// counters of one worker. count and bytes are read by others while it runs;
// latency only after it ended.
type counters struct {
	count, bytes atomic.Int64
	measuring    *atomic.Bool
	latency      *hdrhistogram.Histogram
}

// record counts what one answer brought. A latency of more than two minutes
// counts as two.
func (c *counters) record(messages, bytes int64, d time.Duration) {
	c.bytes.Add(bytes) // first: whoever reads the count first never sees too few
	c.count.Add(messages)
	if c.measuring.Load() {
		_ = c.latency.RecordValue(int64(min(max(d, 0), longest))) // in range
	}
}

// run drives workers made by make until the duration is over or all have ended.
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
	measuring.Store(l.Warmup == 0) // or what is quick would not be in the latencies
	for i, w := range workers {
		wg.Go(func() {
			if err := w.run(conns[i], &stop); err != nil {
				cancel(err)
			}
		})
	}
	total := func() (n, bytes int64) {
		for _, w := range workers {
			c := w.counters()
			n += c.count.Load()
			bytes += c.bytes.Load()
		}
		return n, bytes
	}
	done := ended(&wg)
	full := func() bool {
		for i, w := range workers {
			if w.counters().count.Load() < l.toFill(i) {
				return false
			}
		}
		return true
	}
	filling, err := l.fill(ctx, full, done)
	var res *Result
	if err == nil {
		if res, err = l.measure(ctx, total, &measuring, done); err == nil {
			res.Filling = filling
		}
	}
	stop.Store(true)
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
