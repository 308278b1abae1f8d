// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package sdk

import (
	"slices"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/admin"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/test/rig"
)

// rewind has the broker of a topic reset a group to a time.
func (c *cluster) rewind(t *testing.T, topic, group string, to time.Time) {
	t.Helper()
	net := rig.Client(t)
	brokers, err := admin.New(net, []string{c.namesrv}).Brokers(rig.Context(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range brokers {
		h := &header.ResetOffsetRequest{Topic: topic, Group: group, Timestamp: to.UnixMilli(), Force: true}
		if _, err := rpc.ResetOffsets(rig.Context(t), net, b.Addrs[0], h); err != nil {
			t.Fatal(err)
		}
	}
}

// A group that runs gets again what was stored since the time that it is reset to.
func testRewind(t *testing.T, c *cluster) {
	topic, group, in := c.topic(t, "topic", 2), name(t, "group"), &inbox{}
	p := c.producer(t)
	c.consumer(t, group, topic, in)
	before, after := numbered("before", 6), numbered("after", 6)
	sendAll(t, p, topic, before...)
	in.await(t, before...)
	<-time.After(20 * time.Millisecond)
	border := time.Now()
	<-time.After(20 * time.Millisecond)
	sendAll(t, p, topic, after...)
	in.await(t, slices.Concat(before, after)...)
	c.rewind(t, topic, group, border)
	in.await(t, slices.Concat(before, after, after)...)
}

// A group that does not run begins there when it comes back.
func testRewindStopped(t *testing.T, c *cluster) {
	topic, group, in := c.topic(t, "topic", 1), name(t, "group"), &inbox{}
	p := c.producer(t)
	running := c.consumer(t, group, topic, in)
	bodies := numbered("m", 6)
	sendAll(t, p, topic, bodies...)
	in.await(t, bodies...)
	if err := running.Close(); err != nil {
		t.Fatal(err)
	}
	c.rewind(t, topic, group, time.UnixMilli(0))
	again := &inbox{}
	c.consumer(t, group, topic, again)
	again.await(t, bodies...)
}
