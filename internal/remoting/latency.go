// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package remoting

import (
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twostage/twostage/internal/wire"
)

// LatencyBounds are the upper bounds of the buckets of Latency.Counts, in ms: those
// of RocketMQ 5 for requests, and 5 s besides.
var LatencyBounds = [...]float64{1, 3, 5, 7, 10, 100, 1000, 2000, 3000, 5000}

// Result says how a request ended.
type Result uint8

// The results.
const (
	Answered    Result = iota // the answer was written
	OneWay                    // it gets none
	WriteFailed               // the peer did not take the answer
)

// LatencyKey is what requests are told apart by.
type LatencyKey struct {
	Request, Response int32 // codes
	Held              bool  // it waited for a message: see Ticket.Held
	Result            Result
}

// Other is the Request of a LatencyKey for codes that the server does not serve, and
// both codes for what is beyond maxLatencies.
const Other int32 = -1 << 31

// maxLatencies bounds the keys. Those of codes that peers make up are one.
const maxLatencies = 1000

// Latency is how long requests took, from when they were read until their answer
// was written.
type Latency struct {
	Counts [len(LatencyBounds) + 1]int64 // not cumulative; the last one: above all bounds
	Sum    time.Duration
}

// Add adds what l has counted.
func (l *Latency) Add(o *Latency) {
	for i, n := range o.Counts {
		l.Counts[i] += n
	}
	l.Sum += o.Sum
}

// Count is how many requests there were.
func (l *Latency) Count() (n int64) {
	for _, c := range l.Counts {
		n += c
	}
	return n
}

// latency is a Latency that connections add to.
type latency struct {
	counts [len(LatencyBounds) + 1]atomic.Int64
	sum    atomic.Int64 // ns
}

func (l *latency) add(took time.Duration, n int64) {
	i := 0
	for i < len(LatencyBounds) && took > time.Duration(LatencyBounds[i])*time.Millisecond {
		i++
	}
	l.counts[i].Add(n)
	l.sum.Add(n * int64(took))
}

// latencies measures the requests of a server. Times are since epoch.
type latencies struct {
	epoch time.Time
	known func(code int32) bool // it has a route; another one may come to have one
	slow  time.Duration         // 0: none is logged
	log   *slog.Logger
	slows atomic.Int64

	mu     sync.Mutex // changes of by, and what follows
	by     atomic.Pointer[map[LatencyKey]*latency]
	logged time.Duration // when a slow request was logged last; 0: never
	quiet  int64         // slow ones since that were not
}

func newLatencies(slow time.Duration, known func(code int32) bool, log *slog.Logger) *latencies {
	l := &latencies{epoch: time.Now(), known: known, slow: slow, log: log}
	l.by.Store(&map[LatencyKey]*latency{})
	return l
}

func (l *latencies) now() time.Duration { return time.Since(l.epoch) }

func (l *latencies) of(k LatencyKey) *latency {
	by := *l.by.Load()
	if h := by[k]; h != nil {
		return h
	}
	if k.Request != Other && !l.known(k.Request) {
		k.Request = Other
		if h := by[k]; h != nil {
			return h
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	old := *l.by.Load()
	if len(old) >= maxLatencies {
		k = LatencyKey{Request: Other, Response: Other}
	}
	if h := old[k]; h != nil {
		return h
	}
	next := maps.Clone(old)
	h := &latency{}
	next[k] = h
	l.by.Store(&next)
	return h
}

// timed is answers in a batch to requests that were read at the same time.
type timed struct {
	key      LatencyKey
	read     time.Duration
	queued   time.Duration // in a lane
	deferred bool          // answered after the handler had returned
	opaque   int32         // of the first
	n        int64
}

// note adds an answer to what is measured when the batch was written.
func (b *batch) note(t *Ticket, code int32, deferred bool) {
	k := LatencyKey{Request: t.code, Response: code, Held: t.held}
	if n := len(b.timed); n > 0 {
		if last := &b.timed[n-1]; last.key == k && last.read == t.read && last.queued == t.queued {
			last.n++
			return
		}
	}
	b.timed = append(b.timed, timed{key: k, read: t.read, queued: t.queued, deferred: deferred, opaque: t.opaque, n: 1})
}

// written measures the answers of a batch, whose writing began at start.
func (l *latencies) written(c *Conn, b *batch, start time.Duration, err error) {
	now := l.now()
	for i := range b.timed {
		t := &b.timed[i]
		if err != nil {
			t.key.Result = WriteFailed
		}
		took := now - t.read
		l.of(t.key).add(took, t.n)
		if l.slow > 0 && took >= l.slow && !t.key.Held {
			l.tell(c, t, took, now-start, now)
		}
	}
}

// oneWay measures a request that gets no answer.
func (l *latencies) oneWay(c *Conn, t *Ticket, code int32) {
	now := l.now()
	one := timed{key: LatencyKey{Request: t.code, Response: code, Result: OneWay}, read: t.read, queued: t.queued, opaque: t.opaque, n: 1}
	l.of(one.key).add(now-t.read, 1)
	if l.slow > 0 && now-t.read >= l.slow {
		l.tell(c, &one, now-t.read, 0, now)
	}
}

// slowLogEvery is how often a slow request is logged.
const slowLogEvery = time.Second

// tell logs a slow request, with where most of the time went:
//
//	lane     waiting for a worker
//	handler  being served, or behind others of the same read
//	answer   between the handler's return and the answer: for the disk, another server or a client
//	peer     writing: the peer, or the network, does not take it
func (l *latencies) tell(c *Conn, t *timed, took, writing, now time.Duration) {
	l.slows.Add(t.n)
	l.mu.Lock()
	if l.logged != 0 && now-l.logged < slowLogEvery {
		l.quiet += t.n
		l.mu.Unlock()
		return
	}
	quiet := l.quiet
	l.logged, l.quiet = now, 0
	l.mu.Unlock()
	serving := took - writing - t.queued
	waited := "handler"
	switch {
	case writing >= serving && writing >= t.queued:
		waited = "peer"
	case t.queued >= serving:
		waited = "lane"
	case t.deferred:
		waited = "answer"
	}
	l.log.Warn("slow request", "request", requestID(c, t.opaque), "code", t.key.Request, "name", wire.CodeName(t.key.Request), "answer", t.key.Response,
		"peer", c.remote, "took", took, "waited", waited, "lane", t.queued, "serving", serving, "writing", writing, "alike", t.n-1, "others", quiet)
}

// requestID names a request in the log: port, connection and opaque number.
func requestID(c *Conn, opaque int32) string {
	return fmt.Sprintf("%d-%d-%d", c.local.Port(), c.id, opaque)
}

// ID names the request in the log: the port that it came to, the number of its
// connection, and its opaque number, by which its client knows it.
func (r *Request) ID() string { return requestID(r.Conn, r.Opaque) }

// Latencies calls fn with how long requests took since NewServer.
func (s *Server) Latencies(fn func(LatencyKey, *Latency)) {
	for k, h := range *s.ep.timings.by.Load() {
		out := Latency{Sum: time.Duration(h.sum.Load())}
		for i := range h.counts {
			out.Counts[i] = h.counts[i].Load()
		}
		fn(k, &out)
	}
}
