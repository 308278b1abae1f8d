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

// wake has a worker look for what is to be done.
func (d *dispatcher) wake() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.more.Signal()
}

func (d *dispatcher) wakeAll() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.more.Broadcast()
}

// help wakes a worker, unless one is waking up already.
func (d *dispatcher) help() {
	if d.idle.Load() == 0 || d.waking.Load() {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.idle.Load() > 0 && d.waking.CompareAndSwap(false, true) { // nobody begins to wait, or stops, meanwhile
		d.more.Signal()
	}
}

// next waits for a message that is to be handled again, or a batch with something to
// claim; false when there will be none.
func (d *dispatcher) next() (again returned, j job, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for {
		for len(d.jobs) > 0 && d.jobs[0].unclaimed() == 0 {
			d.jobs[0] = job{}
			d.jobs = d.jobs[1:]
		}
		if d.closed {
			return again, j, false
		}
		if !d.c.paused.Load() && d.c.open.Err() == nil {
			if again, ok = d.c.back.nextDue(); ok {
				return again, j, true
			}
			if len(d.jobs) > 0 {
				return again, d.jobs[0], true
			}
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
			if j, at, n := w.late(now - limit); n > 0 {
				d.c.failed(j, at, n, errHandlerTimeout)
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
	job     job   // that it works on
	at, n   int   // messages; none, or late: n is 0
	since   int64 // second of the watch
	expired bool
}

// renew gives the worker a context for its next handlers.
func (w *worker) renew() { w.ctx, w.cancel = context.WithCancelCause(w.c.ctx) }

// late takes what the worker has worked on since a second of the watch or before
// away from it, and ends the handler's ctx.
func (w *worker) late(second int64) (j job, at, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.n == 0 || w.since > second {
		return j, 0, 0
	}
	j, at, n = w.job, w.at, w.n
	w.n, w.expired = 0, true
	w.cancel(errHandlerTimeout)
	return j, at, n
}

// run works until there is nothing left. A handler that ends its goroutine has failed,
// and gets the worker a new one.
func (w *worker) run() {
	over := false
	defer func() {
		if over {
			w.cancel(nil)
			return
		}
		w.mu.Lock()
		j, at, n := w.job, w.at, w.n
		w.mu.Unlock()
		w.settle(j, at, n, errExited)
		w.c.running.Go(w.run)
	}()
	for {
		again, j, ok := w.d.next()
		switch {
		case !ok:
			over = true
			return
		case again.message != nil:
			w.consumeAgain(again)
		default:
			w.consumeBatch(j)
		}
	}
}

// consumeBatch consumes what it can claim of a batch.
func (w *worker) consumeBatch(j job) {
	begun, n := time.Now(), 0
	for !w.c.paused.Load() && w.c.open.Err() == nil {
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

// consumeAgain consumes a message that its broker did not take back.
func (w *worker) consumeAgain(r returned) {
	if r.gone() {
		r.window.abandon(r.batch, 1)
		return
	}
	begun := time.Now()
	w.consume(r.job, r.at, []*message.Received{r.message})
	r.queue.sub.figures.consumes(1, time.Since(begun))
}

// consume calls the handler and does what it says.
func (w *worker) consume(j job, at int, msgs []*message.Received) {
	n := len(msgs)
	w.mu.Lock()
	w.job, w.at, w.n, w.since = j, at, n, w.d.tick.Load()
	ctx := w.ctx
	w.mu.Unlock()
	w.settle(j, at, n, w.c.handle(ctx, j.queue.sub, msgs))
}

// settle does what a handler's error says.
func (w *worker) settle(j job, at, n int, err error) {
	w.mu.Lock()
	expired := w.expired
	w.n = 0
	if expired {
		w.expired = false
		w.renew()
	}
	w.mu.Unlock()
	switch {
	case expired: // done with
	case err != nil:
		w.c.failed(j, at, n, err)
	default:
		for i := at; i < at+n; i++ {
			j.finish(i)
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
			c.log.Error("client: a handler panicked", "topic", s.topic, "panic", p, "stack", string(debug.Stack()))
			err = panicked(p)
		}
	}()
	return s.handle(ctx, msgs)
}
