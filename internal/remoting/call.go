// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package remoting

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twostage/twostage/internal/wire"
)

// call is a request that was sent and is not answered yet. Who takes it out of
// c.calls ends it, once. It is used again: by who waited for it, or after done.
type call struct {
	opaque int32                      // of req; first comes what the reader goroutine looks at
	waits  bool                       // for room in the backlog
	done   func(*wire.Command, error) // a Call's; nil: somebody waits at ended
	read   func(*wire.Command) error  // an Exchange's
	ended  chan struct{}              // capacity 1
	cmd    *wire.Command              // the answer to an Invoke
	err    error                      // what went wrong

	deadline time.Time    // zero: who waits gives up by itself
	req      wire.Request // as it goes out
}

func (ep *endpoint) newCall() *call { return ep.calls.Get().(*call) }

// forget gives a call that has ended, or was never sent, back.
func (ep *endpoint) forget(k *call) {
	*k = call{ended: k.ended}
	ep.calls.Put(k)
}

// Invoke sends a request and waits for the answer, which owns its memory. An
// answer with an error code is an answer, not an error. It also waits while the
// backlog is over MaxBacklog. A ctx that has ended sends nothing. Errors: ctx's,
// ErrClosed, ErrTooLarge. Opaque and OneWay of req are not used; req is in use until
// return. It must not be called on the connection's own reader goroutine: the answer
// could not arrive.
func (c *Conn) Invoke(ctx context.Context, req *wire.Request) (*wire.Command, error) {
	cmd, _, err := c.invoke(ctx, req)
	return cmd, err
}

// invoke also says whether the request may have been sent.
func (c *Conn) invoke(ctx context.Context, req *wire.Request) (cmd *wire.Command, sent bool, err error) {
	k := c.ep.newCall()
	defer c.ep.forget(k)
	sent, err = c.await(ctx, req, k)
	return k.cmd, sent, err
}

// Exchange is Invoke for many small requests: it allocates nothing. The answer goes
// to read, whose error Exchange returns, on the connection's reader goroutine: read
// must be quick and may not wait for this connection, and the answer is valid until
// it returns. Besides ctx, the deadline bounds the whole; the zero time: ctx alone.
func (c *Conn) Exchange(ctx context.Context, req *wire.Request, deadline time.Time, read func(*wire.Command) error) error {
	_, err := c.exchange(ctx, req, deadline, read)
	return err
}

func (c *Conn) exchange(ctx context.Context, req *wire.Request, deadline time.Time, read func(*wire.Command) error) (sent bool, err error) {
	k := c.ep.newCall()
	k.read, k.deadline = read, deadline
	sent, err = c.await(ctx, req, k)
	c.ep.forget(k)
	return sent, err
}

// await sends req as k and waits for the end of it; sent says whether the request
// may have been sent.
func (c *Conn) await(ctx context.Context, req *wire.Request, k *call) (sent bool, err error) {
	if err := c.queue(ctx, req, k); err != nil {
		return false, err
	}
	if gone := ctx.Done(); gone == nil {
		<-k.ended
	} else {
		select {
		case <-k.ended:
		case <-gone:
			if c.take(k.opaque) != nil {
				err := ctx.Err()
				if err == context.DeadlineExceeded {
					c.miss()
				}
				return true, c.callError(req.Code, err)
			}
			<-k.ended // it ends at the same moment
		}
	}
	c.awake()
	if k.err == errNoAnswer {
		return true, c.closedError()
	}
	return true, k.err
}

// errNoAnswer ends who waits on a connection that is closed.
var errNoAnswer = errors.New("no answer")

// queue sends req as k as soon as there is room, unless ctx has ended.
func (c *Conn) queue(ctx context.Context, req *wire.Request, k *call) error {
	if err := ctx.Err(); err != nil {
		return c.callError(req.Code, err)
	}
	k.waits = true
	c.outgoing(req, &k.req)
	k.opaque = k.req.Opaque
	for {
		space, err := c.send(&k.req, k, nil)
		if space == nil {
			return err
		}
		if err := c.awaitSpace(ctx, k, space); err != nil {
			return err
		}
	}
}

// awaitSpace waits until there may be room for k.
func (c *Conn) awaitSpace(ctx context.Context, k *call, space <-chan struct{}) error {
	if !k.deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, k.deadline)
		defer cancel()
	}
	select {
	case <-space:
		return nil
	case <-ctx.Done():
		return c.callError(k.req.Code, fmt.Errorf("%w: %w", ctx.Err(), ErrBacklog))
	}
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
	k := c.ep.newCall()
	k.done, k.deadline = done, time.Now().Add(timeout)
	c.outgoing(req, &k.req)
	k.opaque = k.req.Opaque
	_, err := c.send(&k.req, k, nil)
	if err != nil {
		c.ep.forget(k)
	}
	return err
}

// CallWhenRoom is Call with a deadline, and waits while the backlog is over
// MaxBacklog, as long as its ctx and the deadline say.
func (c *Conn) CallWhenRoom(ctx context.Context, req *wire.Request, deadline time.Time, done func(*wire.Command, error)) error {
	k := c.ep.newCall()
	k.done, k.deadline = done, deadline
	err := c.queue(ctx, req, k)
	if err != nil {
		c.ep.forget(k)
	}
	return err
}

// expect notes a request that is being sent; c.mu is held and c is not dead, so that
// its reader goroutine still is to end.
func (c *Conn) expect(k *call) {
	c.calls.add(k)
	if !k.deadline.IsZero() {
		c.arm(k.deadline)
	}
}

// take takes a call out, nil if it is not there.
func (c *Conn) take(opaque int32) *call {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls.take(opaque)
}

// deliver hands an answer to who waits for it.
func (c *Conn) deliver(cmd *wire.Command) {
	k := c.take(cmd.Opaque)
	if k == nil {
		c.ep.lateAnswers.Add(1)
		return
	}
	c.end(k, cmd, nil)
}

// end ends a call that was taken out.
func (c *Conn) end(k *call, cmd *wire.Command, err error) {
	switch {
	case k.done != nil:
		c.tell(k, cmd, err)
		c.ep.forget(k)
		return
	case cmd == nil:
		k.err = err
	case k.read != nil:
		c.readFor(k, cmd)
	default:
		k.cmd = cmd.Clone()
	}
	c.awaken(k)
}

// readFor is k.read; a panic costs the answer.
func (c *Conn) readFor(k *call, cmd *wire.Command) {
	defer func() {
		if p := recover(); p != nil {
			k.err = fmt.Errorf("remoting: reading the answer of %s: panic: %v", c.remote, p)
			c.ep.hookPanicked(c, "read of an Exchange", p)
		}
	}()
	k.err = k.read(cmd)
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

// loseInvokes wakes who waits for answers: none comes any more. c.mu is held. Calls
// are told later, by the reader goroutine (loseCalls): who closes a connection may
// hold locks that their done takes.
func (c *Conn) loseInvokes() {
	for _, k := range c.calls.takeIf(func(k *call) bool { return k.done == nil }) {
		k.err = errNoAnswer
		c.awaken(k)
	}
}

// loseCalls ends what still waits for an answer when the connection has ended.
func (c *Conn) loseCalls() {
	c.mu.Lock()
	calls, timer := c.calls.takeIf(func(*call) bool { return true }), c.timer
	c.mu.Unlock()
	if timer != nil && timer.Stop() {
		c.ep.wg.Done()
	}
	for _, k := range calls {
		c.end(k, nil, c.closedError())
	}
}

func (c *Conn) hasCalls() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls.n > 0
}
