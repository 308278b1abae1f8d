// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/message"
)

// maxUnderWay is how many messages of a producer SendAsync has under way.
const maxUnderWay = 4096

// async is what a delivery of SendAsync has besides.
type async struct {
	ctx  context.Context
	done func(*SendResult, error)
	span func(*SendResult, error) // may be nil
	try  int                      // attempts that were made
	errs []error
	err  error // how it ended

	answered func(*wire.Command, error)
}

// SendAsync is Send that does not wait for the answer: done, if it is not nil, is
// called once with the result. It waits for the route, for a connection, and while
// too many messages are under way, as long as ctx says. ctx also bounds the
// attempts; one that is under way is waited for, for no longer than ctx's deadline.
//
// Callbacks of a producer run one after the other, on a goroutine of its own; on
// that of the caller once the producer is closed. They may send, and should be
// quick: the results of others wait meanwhile. m must not be changed until done is
// called.
//
// For a channel of results: done = func(r *SendResult, err error) { ch <- … },
// where ch has room for all of them.
func (p *Producer) SendAsync(ctx context.Context, m *message.Message, done func(*SendResult, error)) {
	if done == nil {
		done = func(*SendResult, error) {}
	}
	m, span := p.traced(ctx, m)
	d, err := p.prepare(m)
	if err != nil {
		d = p.deliveries.Get().(*delivery)
	} else {
		err = d.enter(ctx)
	}
	d.of = async{ctx: ctx, done: done, span: span, err: err, answered: d.of.answered}
	if err != nil {
		p.underWay.refuse(d)
		return
	}
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
		if err := p.aim(a.ctx, d, a.try > 0, last); err != nil {
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

// end has the callback be called.
func (d *delivery) end(err error) {
	d.of.err = err
	d.p.underWay.end(d)
}

// tell calls the callback, and gives d back.
func (d *delivery) tell() {
	res, err, a := d.result, d.of.err, d.of
	d.release()
	if a.span != nil {
		a.span(res, err)
	}
	a.done(res, err)
}

// underWay holds the messages of SendAsync until their callbacks have run.
type underWay struct {
	room chan struct{} // has as many in it as there are answers to come
	left chan struct{} // closed by leave

	mu      sync.Mutex
	leaving bool
	running bool           // some goroutine calls callbacks
	ended   []*delivery    // whose callbacks are to be called
	spare   []*delivery    // memory
	all     sync.WaitGroup // messages, and that goroutine
}

func (u *underWay) init(most int) {
	u.room, u.left = make(chan struct{}, most), make(chan struct{})
}

// enter waits until d may be under way.
func (d *delivery) enter(ctx context.Context) error {
	u := &d.p.underWay
	select {
	case u.room <- struct{}{}:
	default:
		select {
		case u.room <- struct{}{}:
		case <-ctx.Done():
			return fmt.Errorf("client: %d messages are under way: %w", cap(u.room), ctx.Err())
		case <-u.left:
			return ErrClosed
		}
		d.begin = time.Now()
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.leaving {
		<-u.room
		return ErrClosed
	}
	u.all.Add(1)
	return nil
}

// refuse has the callback of d, which has not entered, be called.
func (u *underWay) refuse(d *delivery) {
	u.mu.Lock()
	if u.leaving {
		u.mu.Unlock()
		d.tell()
		return
	}
	defer u.mu.Unlock()
	u.all.Add(1)
	u.add(d)
}

// end has the callback of d, which has entered, be called.
func (u *underWay) end(d *delivery) {
	<-u.room
	u.mu.Lock()
	defer u.mu.Unlock()
	u.add(d)
}

// add is called with u.mu held.
func (u *underWay) add(d *delivery) {
	u.ended = append(u.ended, d)
	if !u.running {
		u.running = true
		u.all.Add(1)
		go u.tell()
	}
}

// tell calls callbacks until there are none.
func (u *underWay) tell() {
	defer u.all.Done()
	for {
		u.mu.Lock()
		now := u.ended
		if len(now) == 0 {
			u.running = false
			u.mu.Unlock()
			return
		}
		u.ended, u.spare = u.spare[:0], nil
		u.mu.Unlock()
		for _, d := range now {
			d.tell()
			u.all.Done()
		}
		clear(now)
		if cap(now) <= maxUnderWay {
			u.mu.Lock()
			u.spare = now
			u.mu.Unlock()
		}
	}
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
func (u *underWay) wait() { u.all.Wait() }
