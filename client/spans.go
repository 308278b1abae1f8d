// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"maps"

	"github.com/twostage/twostage/message"
)

// Spans makes spans of what a producer does: the link to a tracing library, of
// which this package knows none. Several goroutines may call it at a time.
//
// With OpenTelemetry, Sending starts a span of the kind producer and gives its
// traceparent; whoever consumes the message starts a span under the context that
// [message.ParseTraceparent] reads from its property traceparent. A broker that
// traces ([otlpTracesEndpoint]) adds its own spans under the same context.
//
// [otlpTracesEndpoint]: https://github.com/twostage/twostage/blob/main/docs/configuration.md
type Spans interface {
	// Sending begins the span of one send, of all its attempts. The message must
	// not be changed. ctx is that of the send. The context goes into the message's
	// properties as traceparent, in place of one that is there; a zero one leaves
	// them alone, as does one that a record has no room for besides; tracestate is
	// left out before. done, which may be nil, is called once with the send's result.
	Sending(ctx context.Context, m *message.Message) (c message.TraceContext, tracestate string, done func(*SendResult, error))
}

// traced gives the message as it is sent, and what to call with the result, which
// may be nil.
func (p *Producer) traced(ctx context.Context, m *message.Message) (*message.Message, func(*SendResult, error)) {
	if p.cfg.spans == nil {
		return m, nil
	}
	c, state, done := p.cfg.spans.Sending(ctx, m)
	if c == (message.TraceContext{}) {
		return m, done
	}
	with := *m
	with.Properties = maps.Clone(m.Properties)
	if with.Properties == nil {
		with.Properties = message.Properties{}
	}
	with.Properties[message.PropertyTraceparent] = c.String()
	delete(with.Properties, message.PropertyTracestate)
	if state != "" {
		with.Properties[message.PropertyTracestate] = state
		if !fits(with.Properties) {
			delete(with.Properties, message.PropertyTracestate)
		}
	}
	if !fits(with.Properties) {
		return m, done // what can be sent is not to fail because it is traced
	}
	return &with, done
}

// fits says whether a record has room for the properties and for the unique key that
// prepare adds.
func fits(p message.Properties) bool {
	const longestKey = 56 // of a host with an IPv6 address
	size := 0
	for name, value := range p {
		size += len(name) + len(value) + 2
	}
	if p[message.PropertyUniqueKey] == "" {
		size += len(message.PropertyUniqueKey) + longestKey + 2
	}
	return size-1 <= message.MaxPropertiesLength
}
