// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/message"
)

// Bounds of what SendAsync of a producer has to do.
const (
	maxUnderWay = 4096            // messages that are not answered
	maxUntold   = 8 * maxUnderWay // messages whose callbacks have not run
	tellEvery   = 32              // callbacks after which the count of those is brought up to date
)

// async is what a delivery of SendAsync has besides.
type async struct {
	ctx  context.Context
	done func(*SendResult, error)
	span func(*SendResult, error) // may be nil
	try  int                      // attempts that were made
	errs []error

	answered func(*wire.Command, error)
}

// SendAsync is Send that does not wait for the answer: done, if it is not nil, is
// called once with the result. It waits for the route, for a connection, and while
// 4096 messages are not answered or the callbacks of 32768 have not run, as long as
// ctx says. ctx also bounds the attempts; one that is under way is waited for, for no
// longer than ctx's deadline.
//
// Callbacks of a producer run one after the other, on a goroutine of its own; once
// the producer is closed, on that of a caller. They should be quick: the results of
// others wait meanwhile, and in the end so does who sends. They may send, which does
// not wait for callbacks, but must not wait for somebody else who sends. One that
// sends again when it is told of an error must not do so after ErrClosed, which Close
// would wait for without end. m must not be changed until done is called.
//
// For a channel of results: done = func(r *SendResult, err error) { ch <- … },
// where ch has room for all of them, or is read by another goroutine than sends.
func (p *Producer) SendAsync(ctx context.Context, m *message.Message, done func(*SendResult, error)) {
	if done == nil {
		done = func(*SendResult, error) {}
	}
	m, span := p.traced(ctx, m)
	d, err := p.prepare(m)
	if err == nil {
		if err = d.enter(ctx); err != nil {
			d.release()
		}
	}
	if err != nil {
		p.underWay.refuse(outcome{done: done, span: span, err: err})
		return
	}
	d.of = async{ctx: ctx, done: done, span: span, answered: d.of.answered}
	p.link.begin()
	d.launch(nil)
}

// launch makes attempts until one is under way; then answered goes on. The error
// is that of the attempt before, if there was one.
func (d *delivery) launch(err error) {
	p, a := d.p, &d.of
	for {
		last := ""
		if err != nil {
			if !d.again(err) {
				return
			}
			last = d.queue.Broker
		}
		if err := p.aim(a.ctx, d, last); err != nil {
			d.end(errors.Join(append(a.errs, err)...))
			return
		}
		a.try++
		if err = d.call(); err == nil {
			return // d belongs to answered
		}
		d.note(d.of.ctx, err)
	}
}

// again says whether to try again after an attempt failed; else d has ended.
func (d *delivery) again(err error) bool {
	p, a := d.p, &d.of
	err = fmt.Errorf("sending to broker %s: %w", d.queue.Broker, err)
	a.errs = append(a.errs, public(err))
	switch {
	case p.link.check() != nil:
		d.end(ErrClosed)
	case a.ctx.Err() != nil, !elsewhere(err), a.try >= p.cfg.attempts:
		d.end(errors.Join(a.errs...))
	default:
		p.log.Warn("client: send failed", "broker", d.queue.Broker, "try", a.try, "err", err)
		return true
	}
	return false
}

// call has one request of d go out.
func (d *delivery) call() error {
	p, a := d.p, &d.of
	deadline := d.begin.Add(p.link.cfg.timeout)
	if at, ok := a.ctx.Deadline(); ok && at.Before(deadline) {
		deadline = at
	}
	return p.link.net.CallWhenRoom(a.ctx, d.addr, &d.req, deadline, a.answered)
}

// answered takes the end of an attempt, on the goroutine that reads the connection.
func (d *delivery) answered(answer *wire.Command, err error) {
	if err == nil {
		err = d.readAnswer(answer)
	}
	d.note(d.of.ctx, err)
	if err == nil {
		d.end(nil)
		return
	}
	go d.launch(err) // it may have to wait; underWay waits for it
}

// end has the callback be called. d is given back: what waits for callbacks is not
// to hold bodies.
func (d *delivery) end(err error) {
	u, o := &d.p.underWay, outcome{d.of.done, d.of.span, d.result, err}
	d.release()
	u.end(o)
}

// outcome is what a callback is to be told.
type outcome struct {
	done, span func(*SendResult, error) // span may be nil
	result     *SendResult
	err        error
}

func (o *outcome) tell() {
	if o.span != nil {
		o.span(o.result, o.err)
	}
	o.done(o.result, o.err)
}

// underWay holds the messages of SendAsync until their callbacks have run.
type underWay struct {
	room chan struct{} // has as many in it as there are answers to come
	left chan struct{} // closed by leave
	most int           // that may be pending

	mu      sync.Mutex
	leaving bool
	running bool          // some goroutine calls callbacks
	pending int           // messages whose callbacks have not run
	few     chan struct{} // closed when pending is below most; nil when nobody waits for that
	ended   []outcome     // of those messages, for callbacks to be called
	spare   []outcome     // memory
	idle    sync.Cond     // nothing is pending and nobody calls callbacks
}

func (u *underWay) init(most, untold int) {
	u.room, u.left, u.most = make(chan struct{}, most), make(chan struct{}), untold
	u.idle.L = &u.mu
}

// enter waits until d may be under way.
func (d *delivery) enter(ctx context.Context) error {
	u := &d.p.underWay
	callback, looked := false, false
	for {
		select {
		case u.room <- struct{}{}:
		default:
			select {
			case u.room <- struct{}{}:
			case <-ctx.Done():
				return fmt.Errorf("client: %d messages are under way: %w", cap(u.room), ended(ctx))
			case <-u.left:
				return ErrClosed
			}
			d.begin = time.Now()
		}
		few, err := u.admit(callback)
		if few == nil {
			return err
		}
		if !looked { // who waits is the same each time
			if callback, looked = inCallback(), true; callback {
				continue
			}
		}
		select {
		case <-few:
		case <-ctx.Done():
			return fmt.Errorf("client: the callbacks of %d messages have not run: %w", u.most, ended(ctx))
		case <-u.left:
			return ErrClosed
		}
		d.begin = time.Now()
	}
}

// admit counts a message that has room, or takes that back: for good with an error, or
// until the channel is closed, which never is for one of a callback.
func (u *underWay) admit(callback bool) (few <-chan struct{}, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case u.leaving:
		<-u.room
		return nil, ErrClosed
	case u.pending >= u.most && !callback:
		<-u.room
		if u.few == nil {
			u.few = make(chan struct{})
		}
		return u.few, nil
	}
	u.pending++
	return nil, nil
}

// inCallback says whether the caller was called by a callback of SendAsync: it must
// not wait for callbacks then. It looks at the whole stack: u.mu is not held meanwhile.
func inCallback() bool {
	var at [64]uintptr
	for skip := 2; ; skip += len(at) {
		n := runtime.Callers(skip, at[:])
		if n == 0 {
			return false
		}
		for frames := runtime.CallersFrames(at[:n]); ; {
			f, more := frames.Next()
			if strings.HasSuffix(f.Function, "/client.(*underWay).tell") {
				return true
			}
			if !more {
				break
			}
		}
	}
}

// refuse has the callback of a message that has not entered be called.
func (u *underWay) refuse(o outcome) {
	u.mu.Lock()
	closed := u.leaving && u.pending == 0 && !u.running // and no goroutine may be left
	u.pending++
	if !closed {
		u.add(o)
		u.mu.Unlock()
		return
	}
	u.running, u.ended = true, append(u.ended, o)
	u.mu.Unlock()
	u.tell()
}

// end has the callback of a message that has entered be called.
func (u *underWay) end(o outcome) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.add(o)
	<-u.room // what comes into the room now is told behind it
}

// add is called with u.mu held.
func (u *underWay) add(o outcome) {
	u.ended = append(u.ended, o)
	if !u.running {
		u.running = true
		go u.tell()
	}
}

// tell calls callbacks until there are none. It is what u.running stands for.
func (u *underWay) tell() {
	var now []outcome
	told, counted, over := 0, 0, false
	defer func() {
		if !over { // a callback ended this goroutine, as t.FailNow does
			u.goOn(now[told:], told-counted)
		}
	}()
	for {
		if now, over = u.next(now, told-counted); over {
			return
		}
		for told, counted = 0, 0; told < len(now); {
			if told-counted == tellEvery {
				u.count(told - counted)
				clear(now[counted:told])
				counted = told
			}
			told++
			now[told-1].tell()
		}
	}
}

// next gives what is to be told after now, and takes now's memory back; told were since
// the last count. over: there is nothing, and u.running is false.
func (u *underWay) next(now []outcome, told int) (next []outcome, over bool) {
	clear(now)
	u.mu.Lock()
	defer u.mu.Unlock()
	if cap(now) > 0 && cap(now) <= maxUnderWay {
		u.spare = now[:0]
	}
	u.toldOf(told)
	if len(u.ended) == 0 {
		u.running = false
		if u.pending == 0 {
			u.idle.Broadcast()
		}
		return nil, true
	}
	next, u.ended, u.spare = u.ended, u.spare, nil
	return next, false
}

// count is toldOf, and takes the lock.
func (u *underWay) count(told int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.toldOf(told)
}

// toldOf counts callbacks that have run. u.mu is held.
func (u *underWay) toldOf(n int) {
	if u.pending -= n; u.few != nil && u.pending < u.most {
		close(u.few)
		u.few = nil
	}
}

// goOn has another goroutine tell what is left.
func (u *underWay) goOn(left []outcome, told int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.toldOf(told)
	u.ended = append(left, u.ended...)
	go u.tell()
}

// leave lets no more messages enter.
func (u *underWay) leave() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.leaving {
		u.leaving = true
		close(u.left)
	}
}

// wait waits until all callbacks have run. Everything that is under way must be
// about to end.
func (u *underWay) wait() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for u.pending > 0 || u.running {
		u.idle.Wait()
	}
}
