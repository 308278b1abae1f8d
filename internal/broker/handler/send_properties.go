// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package handler

import (
	"bytes"

	"github.com/twostage/twostage/internal/broker/inflow"
	"github.com/twostage/twostage/message"
)

// sendInfo is what the properties of a message say to the broker.
type sendInfo struct {
	prepared bool // half message
	delayed  bool // waits, or has asked for it
	timed    bool // by a timer's properties
	noWait   bool
	kind     inflow.Kind // of a message that neither waits nor is half: Normal or FIFO
}

// properties makes the properties to store out of those that were sent: without
// WAIT, except for half messages, and with CLUSTER. They are in c.props.
func (s *Send) properties(c *Conn, sent []byte) ([]byte, sendInfo) {
	var info sendInfo
	wait := false
	message.RangeProperties(sent, func(name, value []byte) bool {
		switch string(name) {
		case message.PropertyWait:
			wait = true
			info.noWait = string(value) == "false"
		case message.PropertyDelay:
			info.delayed = string(value) != "0"
		case message.PropertyTimerDeliver, message.PropertyTimerDelayMillis, message.PropertyTimerDelaySeconds:
			info.timed = true
		case message.PropertyShardingKey:
			info.kind = inflow.FIFO
		case message.PropertyTransactionPrepared:
			info.prepared = bytes.EqualFold(value, []byte("true"))
		}
		return true
	})
	if wait && !info.prepared {
		c.props = message.DeleteProperty(c.props[:0], sent, message.PropertyWait)
	} else {
		c.props = append(c.props[:0], sent...)
	}
	c.props = appendCluster(c.props, s.Cluster)
	return c.props, info
}

// appendCluster sets the property CLUSTER of properties that came from a client.
func appendCluster(props []byte, cluster string) []byte {
	if _, ok := message.Property(props, message.PropertyCluster); ok {
		props = message.DeleteProperty(props[:0], props, message.PropertyCluster)
	}
	return message.AppendProperty(props, message.PropertyCluster, cluster)
}
