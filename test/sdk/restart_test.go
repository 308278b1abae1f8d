// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package sdk

import (
	"fmt"
	"slices"
	"testing"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/internal/proctest"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/test/rig"
)

// Clients go on when the server was stopped, or killed, and is back: those that
// were there all the time and new ones. Nothing that was answered is lost.
func TestRestart(t *testing.T) { restarted(t, (*proctest.Server).Stop) }

func TestKilled(t *testing.T) { restarted(t, (*proctest.Server).Kill) }

func restarted(t *testing.T, end func(*proctest.Server) error) {
	t.Parallel()
	if foreign(t) {
		return
	}
	// Clients remember addresses: the same ports after the restart.
	c := start(t, "transactionTimeOut=3000", fmt.Sprint("listenPort=", proctest.FreePort(t)), fmt.Sprint("namesrv:listenPort=", proctest.FreePort(t)))
	topic, half, later, group := c.topic(t, "topic", 2), c.topic(t, "half", 1), c.topic(t, "later", 1), name(t, "group")
	p := c.producer(t)
	stays := &inbox{}
	c.consumer(t, group, topic, stays)
	before, after := numbered("before", 10), numbered("after", 10)
	sendAll(t, p, topic, before...)
	stays.await(t, before...)
	m := message.New(later, []byte("later"))
	m.SetDelayLevel(2)
	send(t, p, m)
	asked := always(client.Commit)
	tx := c.transactions(t, name(t, "tx"), asked)
	sendTx(t, tx, message.New(half, []byte("half")), client.Unknown)

	if err := end(c.Server); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Send(rig.Context(t), message.New(topic, []byte("nobody is there"))); err == nil {
		t.Error("a message was sent to a server that is gone")
	}
	c.Restart(t)

	for _, b := range after {
		await(t, func() string {
			if _, err := p.Send(rig.Context(t), message.New(topic, []byte(b))); err != nil {
				return err.Error()
			}
			return ""
		})
	}
	delayed, committed := &inbox{}, &inbox{}
	c.consumer(t, name(t, "later"), later, delayed)
	delayed.await(t, "later")
	c.consumer(t, name(t, "half"), half, committed)
	committed.await(t, "half")
	// The consumer may get some again: it had not told the broker yet.
	await(t, func() string {
		have := stays.bodies()
		for _, b := range slices.Concat(before, after) {
			if !slices.Contains(have, b) {
				return fmt.Sprintf("%s has not come to the consumer that stayed", b)
			}
		}
		return ""
	})
	again := &inbox{}
	c.consumer(t, name(t, "new"), topic, again)
	await(t, func() string {
		have := again.bodies()
		for _, b := range slices.Concat(before, after) {
			if !slices.Contains(have, b) {
				return fmt.Sprintf("%s has not come to the consumer that is new", b)
			}
		}
		return ""
	})
}
