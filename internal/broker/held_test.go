// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"runtime"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// held waits until so many pulls are held.
func (w *world) held(n int) {
	w.t.Helper()
	for w.holds.Len() != n {
		if w.ctx.Err() != nil {
			w.t.Fatalf("%d pulls are held, want %d", w.holds.Len(), n)
		}
		runtime.Gosched()
	}
}

// holding starts a pull of queue 0 behind its only message that asks to be held
// for an hour.
func (c *client) holding() chan error {
	done := make(chan error, 1)
	go func() {
		h := &header.PullRequest{ConsumerGroup: []byte("g"), Topic: []byte("T"), QueueOffset: 1, MaxMsgNums: 32, SubVersion: 1,
			SysFlag: header.PullSuspend, SuspendTimeoutMillis: time.Hour.Milliseconds()}
		_, err := rpc.Pull(c.w.ctx, c, c.w.addr, h)
		done <- err
	}()
	return done
}

func TestHeldPullEndsWithItsConnection(t *testing.T) {
	w := start(t, vfs.NewMem())
	producer, c, other := w.client(), w.client(), w.client()
	producer.send(sendHeader("T"), "first")
	w.stored("T", 0)
	c.heartbeat("c", "g", "T", "*")
	other.heartbeat("other", "g", "T", "*")
	c.holding()
	c.holding()
	stays := other.holding()
	w.held(3)
	_ = c.Close()
	w.held(1)
	producer.send(sendHeader("T"), "second")
	if err := <-stays; err != nil {
		t.Error(err)
	}
	w.stats.EachGroup(func(group, topic string, n, _ int64) {
		if n != 1 {
			t.Errorf("%d messages counted as given to %s of %s, want 1", n, group, topic)
		}
	})
}

func TestHeldPullOfADeletedTopicIsAnswered(t *testing.T) {
	w := start(t, vfs.NewMem())
	c, admin := w.client(), w.client()
	admin.send(sendHeader("T"), "first")
	w.stored("T", 0)
	c.heartbeat("c", "g", "T", "*")
	done := c.holding()
	w.held(1)
	if err := rpc.DeleteTopic(w.ctx, admin, w.addr, "T"); err != nil {
		t.Fatal(err)
	}
	if err := <-done; code(err) != wire.TopicNotExist {
		t.Errorf("answered %v, want that the topic is gone", err)
	}
	w.held(0)
	admin.send(sendHeader("T"), "anew")
	w.stored("T", 0)
	if p := c.pull("g", "T", 0, 0, time.Hour); p.Code != wire.Success || bodies(t, p.Records) != "anew" {
		t.Errorf("the new topic: %d %q", p.Code, bodies(t, p.Records))
	}
}

func TestHalfMessageNeedsItsProducerGroup(t *testing.T) {
	w := start(t, vfs.NewMem())
	c := w.client()
	for _, props := range [][]string{
		{"TRAN_MSG", "true", "UNIQ_KEY", "k"},
		{"TRAN_MSG", "true", "PGROUP", "", "UNIQ_KEY", "k"},
		{"TRAN_MSG", "true", "PGROUP", "no group", "UNIQ_KEY", "k"},
	} {
		h := sendHeader("T", props...)
		h.SysFlag = int32(message.TransactionPrepared)
		_, err := rpc.Send(w.ctx, c, w.addr, h, []byte("x"))
		if code(err) != wire.MessageIllegal {
			t.Errorf("%q: %v", props, err)
		}
	}
	if n := len(w.stored(message.TopicHalf, 0)); n != 0 || len(w.txn.Stats().Pending) != 0 {
		t.Errorf("%d half messages stored, %v", n, w.txn.Stats().Pending)
	}
}
