// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twostage/twostage/message"
)

// errHandlerTimeout ends the ctx of a handler that runs for too long.
var errHandlerTimeout = errors.New("client: the handler has run for longer than WithHandlerTimeout")

// job is messages of a queue that the consumer has.
type job struct {
	*batch
	queue *assigned
}

// dispatcher hands messages to workers. A worker takes the batch in front, and
// others help with it while there are messages in it that nobody has claimed; so a
// message waits for no other of its batch, and a no-op handler costs no hand-over.
type dispatcher struct {
	c       *PushConsumer
	workers []*worker
	tick    atomic.Int64 // seconds of watch

	idle   atomic.Int32 // workers that wait
	waking atomic.Bool  // one of them was told

	mu     sync.Mutex
	more   sync.Cond
	jobs   []job
	closed bool
}

func newDispatcher(c *PushConsumer) *dispatcher {
	d := &dispatcher{c: c}
	d.more.L = &d.mu
	return d
}

// start starts the workers.
func (d *dispatcher) start(running *sync.WaitGroup) {
	for range d.c.cfg.concurrency {
		w := &worker{c: d.c, d: d}
		w.renew()
		d.workers = append(d.workers, w)
		running.Go(w.run)
	}
}

// put gives the workers a batch.
func (d *dispatcher) put(j job) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.jobs = append(d.jobs, j)
	d.more.Signal()
}

// close ends the workers once they have nothing left to claim.
func (d *dispatcher) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	d.more.Broadcast()
}

func (d *dispatcher) wakeAll() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.more.Broadcast()
}

// help wakes a worker, unless one is waking up already.
func (d *dispatcher) help() {
	if d.idle.Load() > 0 && d.waking.CompareAndSwap(false, true) {
		d.mu.Lock()
		d.more.Signal()
		d.mu.Unlock()
	}
}

// next waits for a batch with something to claim; false when there will be none.
func (d *dispatcher) next() (job, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for {
		for len(d.jobs) > 0 && d.jobs[0].unclaimed() == 0 {
			d.jobs[0] = job{}
			d.jobs = d.jobs[1:]
		}
		switch {
		case d.closed:
			return job{}, false
		case len(d.jobs) > 0 && !d.c.paused.Load():
			return d.jobs[0], true
		}
		d.idle.Add(1)
		d.more.Wait()
		d.idle.Add(-1)
		d.waking.Store(false)
	}
}

// watch looks every second for handlers that have run for too long.
func (d *dispatcher) watch(ctx context.Context) error {
	limit := int64((d.c.cfg.handlerTimeout + time.Second - 1) / time.Second)
	for wait(ctx, time.Second) {
		now := d.tick.Add(1)
		for _, w := range d.workers {
			if j, at, msgs := w.late(now - limit); msgs != nil {
				d.c.log.Warn("client: a handler takes too long, its messages are delivered again", "queue", j.queue.queue, "message", msgs[0].ID())
				d.c.failed(j, at, msgs, errHandlerTimeout)
			}
		}
	}
	return nil
}

// worker calls handlers, one at a time.
type worker struct {
	c *PushConsumer
	d *dispatcher

	mu      sync.Mutex
	ctx     context.Context
	cancel  context.CancelCauseFunc
	job     job // that it works on
	at      int
	msgs    []*message.Received // nil: none, or late
	since   int64               // second of the watch
	expired bool
}

// renew gives the worker a context for its next handlers.
func (w *worker) renew() { w.ctx, w.cancel = context.WithCancelCause(w.c.ctx) }

// late takes what the worker has worked on since a second of the watch or before
// away from it, and ends the handler's ctx.
func (w *worker) late(second int64) (j job, at int, msgs []*message.Received) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.msgs == nil || w.since > second {
		return j, 0, nil
	}
	j, at, msgs = w.job, w.at, w.msgs
	w.msgs, w.expired = nil, true
	w.cancel(errHandlerTimeout)
	return j, at, msgs
}

func (w *worker) run() {
	defer func() { w.cancel(nil) }()
	for {
		j, ok := w.d.next()
		if !ok {
			return
		}
		begun, n := time.Now(), 0
		for !w.c.paused.Load() && !w.c.closing.Load() {
			at, msgs := j.claim(j.queue.sub.most)
			if msgs == nil {
				break
			}
			if j.unclaimed() > 0 {
				w.d.help()
			}
			w.consume(j, at, msgs)
			n += len(msgs)
		}
		j.queue.sub.figures.consumes(n, time.Since(begun))
	}
}

// consume calls the handler and does what it says.
func (w *worker) consume(j job, at int, msgs []*message.Received) {
	w.mu.Lock()
	w.job, w.at, w.msgs, w.since = j, at, msgs, w.d.tick.Load()
	ctx := w.ctx
	w.mu.Unlock()
	err := w.c.handle(ctx, j.queue.sub, msgs)
	w.mu.Lock()
	expired := w.expired
	w.msgs = nil
	if expired {
		w.expired = false
		w.renew()
	}
	w.mu.Unlock()
	switch {
	case expired: // done with
	case err != nil:
		w.c.failed(j, at, msgs, err)
	default:
		for i := range msgs {
			j.finish(at + i)
		}
	}
}

// errNoHandler: a message came back of a topic that is not subscribed to any more.
var errNoHandler = errors.New("client: no subscription to the topic")

// handle calls the handler of messages; a panic is an error.
func (c *PushConsumer) handle(ctx context.Context, s *subscription, msgs []*message.Received) (err error) {
	if s.retry {
		if s = c.subscription(msgs[0].Topic); s == nil || s.retry {
			return errNoHandler
		}
	}
	defer func() {
		if p := recover(); p != nil {
			c.log.Error("client: a handler panicked", "message", msgs[0].ID(), "panic", p, "stack", string(debug.Stack()))
			err = panicked(p)
		}
	}()
	return s.handle(ctx, msgs)
}
