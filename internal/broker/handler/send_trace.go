// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package handler

import (
	"github.com/twostage/twostage/internal/broker/txn"
	"github.com/twostage/twostage/internal/trace"
	"github.com/twostage/twostage/message"
)

// traceRoom is what a traceparent takes among the properties.
const traceRoom = 80

// follow begins the spans of a record that is about to be stored for a topic, nil
// when it is not followed. A trace that begins here goes into its properties.
func (s *Send) follow(rec *message.Record, topic string) *trace.Sending {
	traced := s.Tracer.Sending(topic, rec.Properties, len(rec.Body), rec.BornHost)
	if parent := traced.Traceparent(); parent != "" && len(rec.Properties) <= message.MaxPropertiesLength-txn.PropertyRoom-traceRoom {
		rec.Properties = message.AppendProperty(rec.Properties, message.PropertyTraceparent, parent)
	}
	return traced
}

// appending tells the sends of a connection that are followed that they are
// about to be stored.
func appending(c *Conn) {
	for i := range c.pending {
		c.pending[i].traced.Appending()
	}
}
