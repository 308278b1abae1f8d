// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
)

// The clients of these tests share a few connections, as those of a proxy do.
const (
	manyHolds  = 5000
	manyGroups = 200
	fewConns   = 5
)

// holdMany asks for something n times at once. All are to be answered alike; the
// first that are not are told at once. done is closed when all are answered.
func (w *world) holdMany(want string, ask func(c *client, i int) string) (done chan struct{}) {
	conns := make([]*client, fewConns)
	for i := range conns {
		conns[i] = w.client()
	}
	var all sync.WaitGroup
	var wrong atomic.Int64
	for i := range manyHolds {
		all.Go(func() {
			if got := ask(conns[i%fewConns], i); got != want && wrong.Add(1) <= 3 {
				w.t.Errorf("request %d is answered %q, want %q", i, got, want)
			}
		})
	}
	done = make(chan struct{})
	go func() { all.Wait(); close(done) }()
	w.t.Cleanup(func() { <-done })
	return done
}

// 25 pulls of each of 200 groups wait at one queue: one message answers all.
func TestFiveThousandLongPolls(t *testing.T) {
	w := start(t, vfs.NewMem())
	producer := w.client()
	producer.send(sendHeader("T"), "first")
	w.stored("T", 0)
	done := w.holdMany("0 second", func(c *client, i int) string {
		h := &header.PullRequest{ConsumerGroup: fmt.Appendf(nil, "g%d", i%manyGroups), Topic: []byte("T"), QueueOffset: 1, MaxMsgNums: 32,
			Subscription: []byte("*"), SysFlag: header.PullSuspend | header.PullSubscription, SuspendTimeoutMillis: time.Hour.Milliseconds()}
		p, err := rpc.Pull(w.ctx, c, w.addr, h)
		if err != nil {
			return err.Error()
		}
		return fmt.Sprint(p.Code, " ", bodies(t, p.Records))
	})
	w.held(manyHolds)
	producer.send(sendHeader("T"), "second")
	<-done
	w.held(0)
}

// 25 notifications of each of 200 groups wait: a message lets go one of each
// group.
func TestFiveThousandNotifications(t *testing.T) {
	w := start(t, vfs.NewMem())
	producer := w.client()
	producer.send(sendHeader("T"), "first")
	w.stored("T", 0)
	for i := range manyGroups {
		w.offsets.Commit(fmt.Sprint("g", i), "T", 0, 1)
	}
	done := w.holdMany("0 true", func(c *client, i int) string {
		h := &header.NotificationRequest{ConsumerGroup: fmt.Sprint("g", i%manyGroups), Topic: "T", QueueID: -1, PollTime: time.Hour.Milliseconds()}
		cmd, err := c.Invoke(w.ctx, w.addr, &wire.Request{Code: wire.ReqNotification, Header: h})
		if err != nil {
			return err.Error()
		}
		has, _ := cmd.Ext.Get("hasMsg")
		return fmt.Sprint(cmd.Code, " ", string(has))
	})
	for left := manyHolds; left > 0; left -= manyGroups {
		w.heldPops(0, left)
		producer.send(sendHeader("T"), "another")
	}
	w.heldPops(0, 0)
	<-done
}

// 25 pops of each of 200 groups wait: each message goes to one of each group,
// and all are counted by POLLING_INFO until then.
func TestFiveThousandPops(t *testing.T) {
	w := start(t, vfs.NewMem())
	producer := w.client()
	producer.send(sendHeader("T"), "first")
	w.stored("T", 0)
	for i := range manyGroups {
		w.offsets.Commit(fmt.Sprint("g", i), "T", 0, 1)
	}
	done := w.holdMany("0 another", func(c *client, i int) string {
		h := &header.PopRequest{ConsumerGroup: fmt.Sprint("g", i%manyGroups), Topic: "T", QueueID: -1, MaxMsgNums: 1,
			InvisibleTime: time.Hour.Milliseconds(), PollTime: time.Hour.Milliseconds(), BornTime: time.Now().UnixMilli()}
		cmd, err := c.Invoke(w.ctx, w.addr, &wire.Request{Code: wire.ReqPopMessage, Header: h})
		if err != nil {
			return err.Error()
		}
		return fmt.Sprint(cmd.Code, " ", bodies(t, cmd.Body))
	})
	w.heldPops(manyHolds, 0)
	cmd, err := producer.Invoke(w.ctx, w.addr, &wire.Request{Code: wire.ReqPollingInfo, Header: &header.PollingInfoRequest{ConsumerGroup: "g7", Topic: "T", QueueID: -1}})
	if err != nil {
		t.Fatal(err)
	}
	if n, _ := cmd.Ext.Get("pollingNum"); string(n) != fmt.Sprint(manyHolds/manyGroups) {
		t.Errorf("%s pops of a group are held", n)
	}
	for left := manyHolds; left > 0; left -= manyGroups {
		w.heldPops(left, 0)
		producer.send(sendHeader("T"), "another")
	}
	<-done
	if n := w.pops.Stats().InFlight; n != manyHolds {
		t.Errorf("%d messages in flight, want %d", n, manyHolds)
	}
}
