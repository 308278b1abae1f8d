// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/message"
)

// SendOneway sends a message and does not wait for an answer: nil says that it is
// queued to go out, not that it is stored. It goes to another broker when one
// can't be reached. Errors are those of Send.
func (p *Producer) SendOneway(ctx context.Context, m *message.Message) (err error) {
	m, done := p.traced(ctx, m)
	d, err := p.prepare(m)
	if err == nil {
		err = p.sendOneway(ctx, d)
		d.release()
	}
	if done != nil {
		done(nil, err)
	}
	return err
}

func (p *Producer) sendOneway(ctx context.Context, d *delivery) error {
	p.link.begin()
	var errs []error
	last := ""
	for range p.cfg.attempts {
		if err := p.aim(ctx, d, last); err != nil {
			return errors.Join(append(errs, err)...)
		}
		one, cancel := p.link.request(ctx)
		err := p.link.net.OneWay(one, d.addr, &d.req)
		cancel()
		switch {
		case err == nil:
			return nil
		case p.link.check() != nil:
			return ErrClosed
		}
		if !errors.Is(err, remoting.ErrBacklog) { // which may be over in a moment
			d.note(ctx, err)
		}
		errs = append(errs, public(fmt.Errorf("sending to broker %s: %w", d.queue.Broker, err)))
		if ctx.Err() != nil || errors.Is(err, remoting.ErrTooLarge) {
			break
		}
		last = d.queue.Broker
	}
	return errors.Join(errs...)
}
