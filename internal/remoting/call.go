// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package remoting

import (
	"context"
	"fmt"
	"time"

	"github.com/twostage/twostage/internal/wire"
)

// call is a request that was sent and is not answered yet. It is an Invoke's, which
// waits at answer, or a Call's with the other fields. Who takes it out of c.calls
// answers it.
type call struct {
	answer chan *wire.Command // capacity 1; closed: the connection is

	code    int32
	timeout time.Duration
	done    func(*wire.Command, error)
	timer   *time.Timer
}

// Invoke sends a request and waits for the answer, which owns its memory. An
// answer with an error code is an answer, not an error. It also waits while the
// backlog is over MaxBacklog. Errors: ctx's, ErrClosed, ErrTooLarge. Opaque and
// OneWay of req are not used; req is in use until return. It must not be called
// on the connection's own reader goroutine: the answer could not arrive.
func (c *Conn) Invoke(ctx context.Context, req *wire.Request) (*wire.Command, error) {
	cmd, _, err := c.invoke(ctx, req)
	return cmd, err
}

// invoke also says whether the request may have been sent.
func (c *Conn) invoke(ctx context.Context, req *wire.Request) (cmd *wire.Command, sent bool, err error) {
	r := c.outgoing(req)
	answer := make(chan *wire.Command, 1)
	for {
		space, err := c.send(&r, &call{answer: answer}, nil)
		if err == nil {
			break
		}
		if space == nil {
			return nil, false, err
		}
		select {
		case <-space:
		case <-ctx.Done():
			return nil, false, c.callError(req.Code, fmt.Errorf("%w: %w", ctx.Err(), ErrBacklog))
		}
	}
	select {
	case cmd, ok := <-answer:
		if !ok {
			return nil, true, c.closedError()
		}
		return cmd, true, nil
	case <-ctx.Done():
	}
	c.mu.Lock()
	delete(c.calls, r.Opaque)
	c.mu.Unlock()
	select {
	case cmd, ok := <-answer: // it came at the same moment
		if ok {
			return cmd, true, nil
		}
	default:
	}
	return nil, true, c.callError(req.Code, ctx.Err())
}

func (c *Conn) callError(code int32, err error) error {
	return fmt.Errorf("remoting: request %d (%s) to %s: %w", code, wire.CodeName(code), c.remote, err)
}

// Call sends a request and does not wait: done is called once, with the answer, or
// with an error when there was none within the timeout (context.DeadlineExceeded)
// or the connection was closed (ErrClosed). An answer with an error code is an
// answer. When Call itself returns an error, done is not called: ErrBacklog when
// the peer does not read, ErrClosed, ErrTooLarge. Opaque and OneWay of req are not
// used; req is free again on return.
//
// done runs on the connection's reader goroutine or on one of its own, maybe before
// Call has returned, with no lock of this package held. It must be quick and may
// not wait for this connection; the answer is valid until it returns. Server.Close
// and Client.Close wait for it.
func (c *Conn) Call(req *wire.Request, timeout time.Duration, done func(*wire.Command, error)) error {
	r := c.outgoing(req)
	_, err := c.send(&r, &call{code: r.Code, timeout: timeout, done: done}, nil)
	return err
}

// expect notes a request that is being sent; c.mu is held and c is not dead, so that
// its reader goroutine still is to end.
func (c *Conn) expect(opaque int32, k *call) {
	if c.calls == nil {
		c.calls = make(map[int32]*call)
	}
	c.calls[opaque] = k
	if k.done != nil {
		c.ep.wg.Add(1) // until the timer is stopped or has run
		k.timer = time.AfterFunc(k.timeout, func() { c.expire(opaque, k) })
	}
}

// take takes a call out, nil if it is not there.
func (c *Conn) take(opaque int32) *call {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.calls[opaque]
	delete(c.calls, opaque)
	return k
}

// deliver hands an answer to who waits for it.
func (c *Conn) deliver(cmd *wire.Command) {
	switch k := c.take(cmd.Opaque); {
	case k == nil:
		c.ep.lateAnswers.Add(1)
	case k.answer != nil:
		k.answer <- cmd.Clone()
	default:
		c.finish(k, cmd, nil)
	}
}

// expire ends a Call that has had its time.
func (c *Conn) expire(opaque int32, k *call) {
	defer c.ep.wg.Done()
	c.mu.Lock()
	mine := c.calls[opaque] == k
	if mine {
		delete(c.calls, opaque)
	}
	c.mu.Unlock()
	if mine {
		c.tell(k, nil, c.callError(k.code, context.DeadlineExceeded))
	}
}

// finish ends a Call that was taken out before its time.
func (c *Conn) finish(k *call, cmd *wire.Command, err error) {
	if k.timer.Stop() {
		defer c.ep.wg.Done()
	}
	c.tell(k, cmd, err)
}

// tell is k.done; a panic costs the answer.
func (c *Conn) tell(k *call, cmd *wire.Command, err error) {
	defer func() {
		if p := recover(); p != nil {
			c.ep.hookPanicked(c, "done of a Call", p)
		}
	}()
	k.done(cmd, err)
}

// loseInvokes wakes the Invokes that wait for answers: none comes any more. c.mu is
// held. Calls are told later, by the reader goroutine (loseCalls): who closes a
// connection may hold locks that their done takes.
func (c *Conn) loseInvokes() {
	for opaque, k := range c.calls {
		if k.answer != nil {
			close(k.answer)
			delete(c.calls, opaque)
		}
	}
}

// loseCalls ends what still waits for an answer when the connection has ended.
func (c *Conn) loseCalls() {
	c.mu.Lock()
	calls := c.calls
	c.calls = nil
	c.mu.Unlock()
	for _, k := range calls {
		c.finish(k, nil, c.closedError())
	}
}

func (c *Conn) hasCalls() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.calls) > 0
}
