// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"fmt"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// Recall takes a timed message back, by the RecallHandle of its SendResult, and
// returns the message's id. A message that is delivered, or about to be in the same
// second, can't be taken back: the broker answers ILLEGAL_OPERATION. Brokers before
// RocketMQ 5.3 know no recalls. Errors match message.ErrID for what is no handle,
// and else are those of Send.
func (p *Producer) Recall(ctx context.Context, handle string) (id string, err error) {
	h, err := message.ParseRecallHandle(handle)
	if err != nil {
		return "", err
	}
	p.link.begin()
	r, err := p.link.route(ctx, h.Topic, false)
	if err != nil {
		return "", err
	}
	addr, ok := r.MasterAddr(h.Broker)
	if !ok {
		return "", fmt.Errorf("%w: %q has no master %q", ErrNotWritable, h.Topic, h.Broker)
	}
	ctx, cancel := p.link.request(ctx)
	defer cancel()
	answer, err := rpc.Recall(ctx, p.link.net, addr, &header.RecallRequest{ProducerGroup: p.group, Topic: h.Topic, RecallHandle: handle})
	if err != nil {
		return "", p.link.public(err)
	}
	return answer.MsgID, nil
}
