// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/route"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
)

// offsets is where a group's offsets are kept.
type offsets interface {
	// stored gives the offset to consume next; false when there is none.
	stored(ctx context.Context, q Queue) (next int64, ok bool, err error)
	// commit stores the offset to consume next. With sure it is stored when commit
	// returns without an error.
	commit(ctx context.Context, q Queue, next int64, sure bool) error
	// flush writes what commit has left.
	flush() error
}

// brokerOffsets keeps the offsets of a group with the brokers.
type brokerOffsets struct {
	link  *link
	group string
}

func (o *brokerOffsets) stored(ctx context.Context, q Queue) (int64, bool, error) {
	addr, err := o.link.readAddr(ctx, q)
	if err != nil {
		return 0, false, err
	}
	ctx, cancel := o.link.request(ctx)
	defer cancel()
	next, err := rpc.StoredOffset(ctx, o.link.net, addr, o.group, q.Topic, q.ID)
	switch {
	case errors.Is(err, rpc.QueryNotFound):
		return 0, false, nil
	case err != nil:
		return 0, false, fmt.Errorf("client: offset of group %s in %s: %w", o.group, q, o.link.public(err))
	}
	return next, true, nil
}

func (o *brokerOffsets) commit(ctx context.Context, q Queue, next int64, sure bool) error {
	addr, err := o.link.readAddr(ctx, q)
	if err != nil {
		return err
	}
	ctx, cancel := o.link.request(ctx)
	defer cancel()
	send := rpc.UpdateOffsetOneWay
	if sure {
		send = rpc.UpdateOffset
	}
	if err := send(ctx, o.link.net, addr, o.group, q.Topic, q.ID, next); err != nil {
		return fmt.Errorf("client: committing %d in %s: %w", next, q, o.link.public(err))
	}
	return nil
}

func (o *brokerOffsets) flush() error { return nil }

// readAddr is where to read a queue and its offsets: the master of its broker, or a
// slave while there is none.
func (l *link) readAddr(ctx context.Context, q Queue) (string, error) {
	r, err := l.route(ctx, q.Topic, false)
	if err != nil {
		return "", err
	}
	addr, _, ok := r.ReadAddr(q.Broker, 0)
	if !ok {
		return "", fmt.Errorf("%w: %s", ErrNotReadable, q)
	}
	return addr, nil
}

// readable are the queues of a route that can be read, in its order.
func readable(r *route.Snapshot) []Queue {
	all := make([]Queue, 0, len(r.ReadQueues()))
	for _, q := range r.ReadQueues() {
		all = append(all, Queue{Topic: r.Topic(), Broker: q.BrokerName, ID: q.QueueID})
	}
	return all
}

// public is [public] for a request of this link: a connection that it has closed
// itself is no failure.
func (l *link) public(err error) error {
	if errors.Is(err, remoting.ErrClosed) && l.check() != nil {
		return ErrClosed
	}
	return public(err)
}

// master is the address of the master of a queue's broker, which locks and messages
// that are given back go to.
func (l *link) master(ctx context.Context, q Queue) (string, error) {
	r, err := l.route(ctx, q.Topic, false)
	if err != nil {
		return "", err
	}
	addr, ok := r.MasterAddr(q.Broker)
	if !ok {
		return "", fmt.Errorf("%w: broker %q of topic %q has no master", ErrNotWritable, q.Broker, q.Topic)
	}
	return addr, nil
}

// beginAt is where a group begins in a queue that it has no offset for. young says
// that the queue came into being while the group was there: nothing of it is to be
// left out.
func (l *link) beginAt(ctx context.Context, q Queue, s Start, young bool) (int64, error) {
	addr, err := l.readAddr(ctx, q)
	if err != nil {
		return 0, err
	}
	ctx, cancel := l.request(ctx)
	defer cancel()
	var next int64
	switch {
	case young || strings.HasPrefix(q.Topic, message.RetryPrefix) || s.where == body.ConsumeFromFirstOffset:
		next, err = rpc.MinOffset(ctx, l.net, addr, q.Topic, q.ID)
	case s.where == body.ConsumeFromTimestamp:
		next, err = rpc.SearchOffset(ctx, l.net, addr, q.Topic, q.ID, max(s.at.UnixMilli(), 0))
	default:
		next, err = rpc.MaxOffset(ctx, l.net, addr, q.Topic, q.ID)
	}
	if err != nil {
		return 0, fmt.Errorf("client: beginning with %s: %w", q, l.public(err))
	}
	return next, nil
}
