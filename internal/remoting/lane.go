// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package remoting

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twostage/twostage/internal/wire"
)

// Lane is a bounded queue with a bounded number of workers for one family of
// requests, so that slow ones cannot delay the others. A worker goroutine exists
// only while there is work; Server.Close and Client.Close wait for the work that
// came through them. Safe for concurrent use and for several servers.
type Lane struct {
	name    string
	workers int
	depth   int

	rejected atomic.Int64

	mu      sync.Mutex
	ring    []job // waiting jobs: n of them from head on
	head, n int
	active  int // worker goroutines

	// behind has an entry for each connection with a job that runs or is in the
	// ring: the jobs that came after it. nil: jobs of a connection run side by side.
	behind map[*Conn][]job
	held   int // jobs in behind
}

// job is one request for h, or several of one connection for together.
type job struct {
	req      *Request // the first
	h        Handler
	all      []*Request
	together func([]*Request)
	read     time.Time // when the requests were
}

func (j *job) requests() int64 { return int64(max(len(j.all), 1)) }

func (j *job) run() {
	if ep := j.req.Conn.ep; j.together != nil {
		ep.runTogether(j.together, j.all)
	} else {
		ep.run(j.h, j.req)
	}
}

// NewLane returns a lane that runs at most workers requests at a time and lets
// at most depth more wait. Both are at least 1.
func NewLane(name string, workers, depth int) *Lane {
	return &Lane{name: name, workers: max(workers, 1), depth: max(depth, 1)}
}

// NewOrderedLane is NewLane for requests of which those of one connection run one
// after the other, in the order in which they came.
func NewOrderedLane(name string, workers, depth int) *Lane {
	l := NewLane(name, workers, depth)
	l.behind = make(map[*Conn][]job)
	return l
}

// Name is the name given to NewLane.
func (l *Lane) Name() string { return l.name }

// Depth is how many requests may wait for a worker.
func (l *Lane) Depth() int { return l.depth }

// Waiting is how many requests wait for a worker.
func (l *Lane) Waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.n + l.held
}

// Waited is how long ago the next request that a worker takes was read, 0 when none
// waits.
func (l *Lane) Waited() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.n == 0 {
		return 0
	}
	return time.Since(l.ring[l.head].read)
}

// Rejected is how many requests were refused because the lane was full.
func (l *Lane) Rejected() int64 { return l.rejected.Load() }

// submit hands j to a worker or queues it; false with the number of waiting
// requests when the queue is full.
func (l *Lane) submit(j job) (waiting int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	later, busy := l.behind[j.req.Conn]
	if (busy || l.active >= l.workers) && l.n+l.held >= l.depth {
		l.rejected.Add(j.requests())
		return l.n + l.held, false
	}
	switch {
	case busy:
		l.behind[j.req.Conn] = append(later, j)
		l.held++
		return l.n + l.held, true
	case l.behind != nil:
		l.behind[j.req.Conn] = nil
	}
	if l.active < l.workers {
		l.active++
		go l.work(j)
	} else {
		l.push(j)
	}
	return l.n + l.held, true
}

// push puts j at the end of the ring; l.mu is held.
func (l *Lane) push(j job) {
	if l.n == len(l.ring) {
		l.grow()
	}
	l.ring[(l.head+l.n)%len(l.ring)] = j
	l.n++
}

// after puts what came behind a job of c that is done at the end of the ring, so
// that connections take turns; l.mu is held.
func (l *Lane) after(c *Conn) {
	later, ordered := l.behind[c]
	switch {
	case !ordered:
	case len(later) == 0:
		delete(l.behind, c)
	default:
		l.push(later[0])
		later[0] = job{}
		l.behind[c] = later[1:]
		l.held--
	}
}

func (l *Lane) grow() {
	ring := make([]job, min(max(2*len(l.ring), 16), l.depth))
	for i := range l.n {
		ring[i] = l.ring[(l.head+i)%len(l.ring)]
	}
	l.ring, l.head = ring, 0
}

// work runs j and then what waits. The job counts as done only after the worker
// has decided whether it goes on, so who waited for the job has seen it leave.
func (l *Lane) work(j job) {
	deepStack(l.workers)
	for {
		j.run()
		ep, n := j.req.Conn.ep, j.requests()
		var more bool
		j, more = l.next(j.req.Conn)
		ep.jobsDone(n)
		if !more {
			return
		}
	}
}

// handlerStack is about what a handler needs of its goroutine's stack, in bytes.
const handlerStack = 12 << 10

// deepStack gives a new goroutine the stack that a handler or a write needs while
// there is nothing on it yet. Grown step by step under them, it would be copied
// several times, with all its frames: a tenth of the CPU time of a load of pops.
// What it is given and gives keeps the compiler from leaving the frame out.
//
//go:noinline
func deepStack(i int) byte {
	var frame [handlerStack]byte
	return frame[i&1]
}

// next ends a job of c and gives the one to go on with, false when none waits.
func (l *Lane) next(c *Conn) (job, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.after(c)
	if l.n == 0 {
		l.active--
		if len(l.ring) > 64 {
			l.ring = nil
		}
		l.head = 0
		return job{}, false
	}
	j := l.ring[l.head]
	l.ring[l.head] = job{}
	l.head = (l.head + 1) % len(l.ring)
	l.n--
	return j, true
}

func (l *Lane) busy(waiting int) *wire.Response {
	return &wire.Response{
		Code:   wire.SystemBusy,
		Remark: fmt.Sprintf("[lane %s] queue is full (%d waiting)", l.name, waiting),
	}
}
