// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/message"
)

// SendBatch sends messages of one topic in one request to one queue: all of them
// are stored, or none. It is Send besides. The whole must not be larger than
// WithMaxMessageSize says; its bodies are not compressed. Messages that cannot go
// together, as delayed ones, give an error that matches message.ErrBatch.
func (p *Producer) SendBatch(ctx context.Context, messages []*message.Message) (*SendResult, error) {
	d, dones, err := p.prepareBatch(ctx, messages)
	var res *SendResult
	if err == nil {
		res, err = p.send(ctx, d)
		d.release()
	}
	for _, done := range dones {
		done(res, err)
	}
	return res, err
}

// prepareBatch is prepare for several messages; dones are to be called with the
// result.
func (p *Producer) prepareBatch(ctx context.Context, messages []*message.Message) (d *delivery, dones []func(*SendResult, error), err error) {
	traced := make([]*message.Message, len(messages))
	for i, m := range messages {
		var done func(*SendResult, error)
		if traced[i], done = p.traced(ctx, m); done != nil {
			dones = append(dones, done)
		}
	}
	if err := message.CheckBatch(traced); err != nil {
		return nil, dones, err
	}
	var batch, props []byte
	var ids strings.Builder
	for i, m := range traced {
		if err := p.check(m); err != nil {
			return nil, dones, fmt.Errorf("batch member %d: %w", i, err)
		}
		props = m.Properties.Append(props[:0])
		id := m.UniqueKey()
		if id == "" {
			id = p.ids.Next()
			props = message.AppendProperty(props, message.PropertyUniqueKey, id)
		}
		if len(props) > message.MaxPropertiesLength {
			return nil, dones, fmt.Errorf("batch member %d: %w: %d bytes, at most %d", i, message.ErrProperties, len(props), message.MaxPropertiesLength)
		}
		batch = message.AppendBatch(batch, m.Flag, m.Body, props)
		if i > 0 {
			ids.WriteByte(',')
		}
		ids.WriteString(id)
	}
	if len(batch) > p.cfg.maxMessageSize {
		return nil, dones, fmt.Errorf("batch of %d messages: %w", len(messages), p.tooLarge(len(batch)))
	}
	d = p.deliveries.Get().(*delivery)
	d.id, d.begin = ids.String(), time.Now()
	d.address(traced[0].Topic, wire.ReqSendBatchMessage, batch)
	d.header.Every = p.everyBatch
	d.props = message.AppendProperty(d.props, message.PropertyWait, strconv.FormatBool(traced[0].WaitStored()))
	d.header.Properties = d.props
	return d, dones, nil
}
