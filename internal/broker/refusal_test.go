// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"strings"
	"sync"
	"testing"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// typed makes a topic with a message type.
func (c *client) typed(name, kind string) {
	c.w.t.Helper()
	h := &header.CreateTopicRequest{Topic: name, DefaultTopic: message.TopicAutoCreate, ReadQueueNums: 1, WriteQueueNums: 1, Perm: 6, TopicFilterType: "SINGLE_TAG",
		Attributes: "+message.type=" + kind}
	if err := rpc.CreateTopic(c.w.ctx, c, c.w.addr, h); err != nil {
		c.w.t.Fatal(err)
	}
}

func TestMessageTypes(t *testing.T) {
	w := start(t, vfs.NewMem(), "enableTopicMessageTypeCheck", "true", "messageDelayLevel", hours)
	c := w.client()
	sends := map[string][]string{
		"NORMAL": {"TAGS", "a"}, "FIFO": {message.PropertyShardingKey, "k"}, "DELAY": {message.PropertyDelay, "1"},
		"TRANSACTION": {"TRAN_MSG", "true", "PGROUP", "p"},
	}
	for kind := range sends {
		c.typed("T-"+kind, kind)
		for of, props := range sends {
			h := sendHeader("T-"+kind, props...)
			if of == "TRANSACTION" {
				h.SysFlag = 4
			}
			if of == kind {
				c.send(h, "right")
				continue
			}
			c.refused(wire.MessageIllegal, &wire.Request{Code: wire.ReqSendMessageV2, Header: h, Body: []byte("wrong")},
				"T-"+kind+" takes messages of type "+kind+", this one is "+of)
		}
	}
	// A batch is what its messages are.
	batch := message.AppendBatch(nil, 0, []byte("x"), []byte("__SHARDINGKEY\x01k"))
	h := sendHeader("T-NORMAL")
	h.Batch = true
	c.refused(wire.MessageIllegal, &wire.Request{Code: wire.ReqSendBatchMessage, Header: h, Body: batch}, "this one is FIFO")
	h = sendHeader("T-FIFO")
	h.Batch = true
	c.send(h, string(batch))
	// MIXED, and a topic without a type, take all.
	c.typed("T-MIXED", "MIXED")
	for _, props := range sends {
		if props[0] != "TRAN_MSG" {
			c.send(sendHeader("T-MIXED", props...), "any")
			c.send(sendHeader("Untyped", props...), "any")
		}
	}
}

// TestTypesUnchecked: as in RocketMQ's broker, types say something to clients
// only.
func TestTypesUnchecked(t *testing.T) {
	w := start(t, vfs.NewMem())
	c := w.client()
	c.typed("T", "FIFO")
	c.send(sendHeader("T"), "normal")
}

// TestBusy: a send that the log does not take in time is answered SYSTEM_BUSY with
// the cause, and who waits for the disk holds up nobody who pulls.
func TestBusy(t *testing.T) {
	fs := vfs.NewMem()
	w := start(t, fs, "waitTimeMillsInSendQueue", "50")
	c, other := w.client(), w.client()
	c.send(sendHeader("T"), "first")
	c.heartbeat("c", "g", "T", "*")
	stuck, free := make(chan struct{}), make(chan struct{})
	var once sync.Once
	fs.Fail(func(op vfs.Op, name string) error {
		if op == vfs.OpWrite && strings.Contains(name, "/commitlog/") {
			once.Do(func() { close(stuck); <-free })
		}
		return nil
	})
	slow := make(chan error, 1)
	go func() {
		_, err := rpc.Send(w.ctx, other, w.addr, sendHeader("T"), []byte("second"))
		slow <- err
	}()
	<-stuck
	c.refused(wire.SystemBusy, &wire.Request{Code: wire.ReqSendMessageV2, Header: sendHeader("T"), Body: []byte("third")},
		"waited 50ms for the commit log, to which another send has been writing", "the disk is slow")
	if p := c.pull("g", "T", 0, 0, 0); p.Code != wire.Success {
		t.Errorf("a pull is answered %d", p.Code)
	}
	close(free)
	if err := <-slow; err != nil {
		t.Error(err)
	}
	c.send(sendHeader("T"), "third")
	var bodies []string
	for _, rec := range w.stored("T", 0) {
		bodies = append(bodies, string(rec.Body))
	}
	if got := strings.Join(bodies, " "); got != "first second third" {
		t.Errorf("stored %s", got)
	}
}
