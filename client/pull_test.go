// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// keeper makes a broker one that keeps the offsets and members of a group.
type keeper struct {
	*broker

	mu      sync.Mutex
	offsets map[string]int64 // by queue
	members []string         // besides those that have sent heartbeats
	told    []string         // client ids of heartbeats
	held    []remoting.Ticket
}

func (w *world) keeping(name string, port int) *keeper {
	k := &keeper{offsets: map[string]int64{}}
	k.broker = w.broker(name, port, nil)
	k.answer = k.handle
	return k
}

func (k *keeper) handle(r *remoting.Request) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch r.Code {
	case wire.ReqQueryConsumerOffset:
		var h header.QueryConsumerOffsetRequest
		_ = h.DecodeExt(r.Ext)
		at, ok := k.offsets[fmt.Sprintf("%s/%d", h.Topic, h.QueueID)]
		if !ok {
			r.Reply(&wire.Response{Code: wire.QueryNotFound})
			break
		}
		r.Reply(&wire.Response{Header: &header.OffsetResponse{Offset: at}})
	case wire.ReqUpdateConsumerOffset:
		var h header.UpdateConsumerOffsetRequest
		_ = h.DecodeExt(r.Ext)
		k.offsets[fmt.Sprintf("%s/%d", h.Topic, h.QueueID)] = h.CommitOffset
		r.Reply(&wire.Response{})
	case wire.ReqHeartBeat:
		var b body.HeartbeatData
		_ = body.Unmarshal(r.Body, &b)
		if !slices.Contains(k.told, b.ClientID) {
			k.told = append(k.told, b.ClientID)
		}
		r.Reply(&wire.Response{})
	case wire.ReqGetConsumerListByGroup:
		r.Reply(&wire.Response{Body: body.Marshal(&body.GetConsumerListByGroupResponseBody{ConsumerIDList: append(slices.Clone(k.told), k.members...)})})
	case wire.ReqSearchOffsetByTimestamp:
		r.Reply(&wire.Response{Header: &header.OffsetResponse{Offset: 3}})
	default:
		return false
	}
	return true
}

func (k *keeper) offset(queue string) int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	at, ok := k.offsets[queue]
	if !ok {
		return -1
	}
	return at
}

func newTestPull(t *testing.T, w *world, opts ...Option) *PullConsumer {
	t.Helper()
	c, err := NewPullConsumer("g", w.with(append([]Option{WithStart(StartEarliest)}, opts...)...)...)
	if err != nil {
		t.Fatal(err)
	}
	closing(t, c)
	return c
}

// polled polls until n messages have come, and gives their bodies, sorted.
func polled(t *testing.T, c *PullConsumer, n int) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var all []string
	for len(all) < n {
		msgs, err := c.Poll(ctx, n-len(all))
		if err != nil {
			t.Fatalf("after %q: %v", all, err)
		}
		for _, m := range msgs {
			all = append(all, string(m.Body))
		}
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// inBubble runs a test with a broker a, whose topic T has two queues.
func inBubble(t *testing.T, fn func(t *testing.T, w *world, a *keeper)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.keeping("a", 10001)
		w.topic("T", 2, a.broker)
		fn(t, w, a)
	})
}

func TestAssignAndPoll(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world, a *keeper) {
		a.min = 5
		a.fill(0, "m", 0, 4)
		a.fill(1, "other", 0, 1)
		c := newTestPull(t, w)
		q := Queue{"T", "a", 0}
		if err := c.Assign(q); err != nil || !slices.Equal(c.Assignment(), []Queue{q}) {
			t.Fatalf("%v, %v", c.Assignment(), err)
		}
		if got := polled(t, c, 3); got != "m-0 m-1 m-2" {
			t.Errorf("polled %q", got)
		}
		if at, known, err := c.Position(q); at != 8 || !known || err != nil {
			t.Errorf("at %d, %v, %v", at, known, err)
		}
		if at, ok, err := c.Committed(t.Context(), q); at != 5 || !ok || err != nil {
			t.Errorf("begun at %d, %v, %v", at, ok, err)
		}
		if err := c.Commit(t.Context()); err != nil || a.offset("T/0") != 8 {
			t.Errorf("committed %d, %v", a.offset("T/0"), err)
		}
		if at, ok, err := c.Committed(t.Context(), q); at != 8 || !ok || err != nil {
			t.Errorf("%d, %v, %v", at, ok, err)
		}
		var h header.PullRequest
		if err := h.DecodeExt(a.got(wire.ReqPullMessage)[0].Ext); err != nil {
			t.Fatal(err)
		}
		if string(h.ConsumerGroup) != "g" || h.QueueOffset != 5 || h.SysFlag != 22 || string(h.Subscription) != "*" || string(h.ExpressionType) != "TAG" ||
			h.SubVersion != 0 || h.CommitOffset != 0 || h.SuspendTimeoutMillis != 15000 {
			t.Errorf("pulled by %+v", h)
		}
		a.stop()
	})
}

// What the last Poll gave is not committed by itself, what those before it gave is.
func TestAutoCommit(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world, a *keeper) {
		a.fill(0, "m", 0, 10)
		c := newTestPull(t, w)
		if err := c.Assign(Queue{"T", "a", 0}); err != nil {
			t.Fatal(err)
		}
		polled(t, c, 3)
		time.Sleep(6 * time.Second)
		if n := a.offset("T/0"); n != 0 {
			t.Errorf("committed %d after one Poll", n)
		}
		polled(t, c, 4)
		time.Sleep(6 * time.Second)
		if n := a.offset("T/0"); n != 3 {
			t.Errorf("committed %d after the second Poll, want 3", n)
		}
		polled(t, c, 1)
		if err := c.Close(); err != nil || a.offset("T/0") != 7 {
			t.Errorf("committed %d by Close, want 7, %v", a.offset("T/0"), err)
		}
		c = newTestPull(t, w, WithAutoCommit(0))
		if err := c.Assign(Queue{"T", "a", 0}); err != nil {
			t.Fatal(err)
		}
		if got := polled(t, c, 1) + " " + polled(t, c, 1); got != "m-7 m-8" {
			t.Errorf("polled %q", got)
		}
		time.Sleep(time.Minute)
		if err := c.Close(); err != nil || a.offset("T/0") != 7 {
			t.Errorf("committed %d without WithAutoCommit, %v", a.offset("T/0"), err)
		}
		a.stop()
	})
}

// A pull of before a seek, which the broker still holds, does not count.
func TestSeek(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world, a *keeper) {
		a.fill(0, "m", 0, 5)
		inner := a.answer
		a.answer = func(r *remoting.Request) bool {
			var h header.PullRequest
			if r.Code != wire.ReqPullMessage || h.DecodeExt(r.Ext) != nil || h.QueueOffset != 5 {
				return inner(r)
			}
			a.mu.Lock()
			a.held = append(a.held, r.Ticket())
			a.mu.Unlock()
			return true
		}
		c := newTestPull(t, w)
		q := Queue{"T", "a", 0}
		if err := c.Assign(q); err != nil {
			t.Fatal(err)
		}
		polled(t, c, 5)
		synctest.Wait()
		begun := time.Now()
		if err := c.Seek(q, 4); err != nil {
			t.Fatal(err)
		}
		if at, _, _ := c.Position(q); at != 4 {
			t.Errorf("at %d", at)
		}
		if got := polled(t, c, 1); got != "m-4" || time.Since(begun) > time.Second {
			t.Errorf("polled %q after %v", got, time.Since(begun))
		}
		for _, x := range []struct {
			seek func() error
			want string
		}{
			{func() error { return c.SeekTime(t.Context(), q, time.UnixMilli(3000)) }, "m-3"},
			{func() error { return c.SeekStart(t.Context(), q) }, "m-0"},
		} {
			if err := x.seek(); err != nil {
				t.Error(err)
			}
			if got := polled(t, c, 1); got != x.want {
				t.Errorf("polled %q, want %q", got, x.want)
			}
		}
		if err := c.SeekEnd(t.Context(), q); err != nil {
			t.Error(err)
		}
		if at, _, _ := c.Position(q); at != 5 {
			t.Errorf("at %d", at)
		}
		if err := c.Seek(Queue{"T", "a", 1}, 0); !errors.Is(err, ErrNotAssigned) {
			t.Errorf("%v", err)
		}
		closed(t, c)
		synctest.Wait()
		a.mu.Lock()
		for _, held := range a.held {
			held.Discard()
		}
		a.mu.Unlock()
		a.stop()
	})
}

// An offset that the queue does not have any more: the broker says where to go on.
func TestPollOffsetMoved(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world, a *keeper) {
		a.min = 7
		a.fill(0, "m", 0, 1)
		a.offsets["T/0"] = 2
		c := newTestPull(t, w)
		if err := c.Assign(Queue{"T", "a", 0}); err != nil {
			t.Fatal(err)
		}
		if got := polled(t, c, 1); got != "m-0" {
			t.Errorf("polled %q", got)
		}
		closed(t, c)
		a.stop()
	})
}

func TestPauseAndPrefetch(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world, a *keeper) {
		a.fill(0, "m", 0, 200)
		a.fill(1, "n", 0, 1)
		c := newTestPull(t, w, WithPrefetch(40, 1<<20))
		q := Queue{"T", "a", 0}
		if err := c.Assign(q, Queue{"T", "a", 1}); err != nil {
			t.Fatal(err)
		}
		if err := c.Pause(q); err != nil {
			t.Fatal(err)
		}
		if got := polled(t, c, 1); got != "n-0" {
			t.Errorf("polled %q of a queue that is paused", got)
		}
		if err := c.Resume(q); err != nil {
			t.Fatal(err)
		}
		polled(t, c, 1)
		time.Sleep(time.Minute)
		var h header.PullRequest
		far := int64(0)
		for _, r := range a.got(wire.ReqPullMessage) {
			if err := h.DecodeExt(r.Ext); err == nil && h.QueueID == 0 {
				far = max(far, h.QueueOffset)
			}
		}
		if far != 32 { // the pull at 32 brings it beyond 40
			t.Errorf("pulled from %d on with 40 messages ahead", far)
		}
		if got := polled(t, c, 199); strings.Count(got, "m-") != 199 {
			t.Errorf("polled %q", got)
		}
		if err := c.Pause(Queue{"T", "b", 0}); !errors.Is(err, ErrNotAssigned) {
			t.Errorf("%v", err)
		}
		closed(t, c)
		a.stop()
	})
}

// The group shares queues out; one that is given up is committed, and its messages
// that nobody has polled are dropped.
func TestPullSubscribe(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world, a *keeper) {
		a.put(0, &message.Record{Topic: []byte("T"), Body: []byte("BB"), Properties: []byte("TAGS\x01BB")})
		for _, q := range []int32{0, 1} {
			a.put(q, &message.Record{Topic: []byte("T"), Body: fmt.Appendf(nil, "Aa%d", q), Properties: []byte("TAGS\x01Aa")})
		}
		c := newTestPull(t, w, WithInstance("b"))
		if err := c.Subscribe("T", Tags("Aa")); err != nil {
			t.Fatal(err)
		}
		if got := polled(t, c, 2); got != "Aa0 Aa1" || len(c.Assignment()) != 2 {
			t.Errorf("polled %q of %v", got, c.Assignment())
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Poll(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		a.mu.Lock()
		a.members = []string{"0.0.0.0@first"} // it is before this one
		a.mu.Unlock()
		conn := a.got(wire.ReqHeartBeat)[0].conn
		if err := conn.Push(&wire.Request{Code: wire.ReqNotifyConsumerIDsChanged, Header: &header.ConsumerIDsChangedRequest{ConsumerGroup: "g"}}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := c.Assignment(); !slices.Equal(got, []Queue{{"T", "a", 1}}) || a.offset("T/0") != 2 {
			t.Errorf("has %v, given up at %d", got, a.offset("T/0"))
		}
		c.Unsubscribe("T")
		synctest.Wait()
		if got := c.Assignment(); len(got) != 0 {
			t.Errorf("unsubscribed, has %v", got)
		}
		var beat body.HeartbeatData
		if err := body.Unmarshal(a.got(wire.ReqHeartBeat)[0].Body, &beat); err != nil || beat.ConsumerDataSet[0].ConsumeType != body.ConsumeActively ||
			beat.ConsumerDataSet[0].SubscriptionDataSet[0].SubString != "Aa" {
			t.Errorf("%+v, %v", beat, err)
		}
		a.stop()
	})
}
