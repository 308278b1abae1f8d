// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
)

// fakePops gives the messages of queues to pops, each once, and takes acks. Queue
// 0 gives its first message as a retry.
type fakePops struct {
	t     *testing.T
	retry string // of queue 0
	code  int32  // of acks

	mu    sync.Mutex
	next  map[string]int64 // by group and queue
	open  map[string]bool  // by group, queue and offset
	acked int64
}

const fakePopTime, fakeHeld = 1700000000000, 100_000 // messages in each of two queues

func (f *fakePops) start(t *testing.T) Target {
	f.t, f.next, f.open = t, map[string]int64{}, map[string]bool{}
	addr := startCodes(t, map[int32]remoting.Handler{wire.ReqPopMessage: f.pop, wire.ReqAckMessage: f.ack, wire.ReqBatchAckMessage: f.batchAck})
	return Target{Addr: addr, Broker: "b", Queues: 2}
}

func (f *fakePops) pop(r *remoting.Request) {
	var h header.PopRequest
	if err := h.DecodeExt(r.Ext); err != nil || h.Topic != "T" || h.InvisibleTime != 7000 || h.MaxMsgNums != 5 || h.InitMode != header.PopInitMin || !strings.HasPrefix(h.ConsumerGroup, PopGroupPrefix) {
		f.t.Errorf("pop %+v: %v", h, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	queue := fmt.Sprint(h.ConsumerGroup, " ", h.QueueID)
	first := f.next[queue]
	if first >= fakeHeld {
		r.Reply(&wire.Response{Code: wire.PollingTimeout})
		return
	}
	f.next[queue] += 3
	kind := "0"
	if h.QueueID == 0 && first == 0 && f.retry != "" {
		kind = f.retry
	}
	for o := first; o < first+3; o++ {
		f.open[fmt.Sprint(queue, " ", o)] = true
	}
	r.Reply(&wire.Response{
		Header: &header.PopResponse{
			PopTime: fakePopTime, InvisibleTime: h.InvisibleTime, ReviveQID: 4, StartOffsetInfo: fmt.Sprintf("%s %d %d", kind, h.QueueID, first),
			MsgOffsetInfo: fmt.Sprintf("%s %d %d,%d,%d", kind, h.QueueID, first, first+1, first+2),
		},
		Body: bytes.Repeat(fakeRecord, 3),
	})
}

// done takes an ack of an offset. mu is held.
func (f *fakePops) done(group string, queue int32, offset int64) {
	key := fmt.Sprint(group, " ", queue, " ", offset)
	if !f.open[key] {
		f.t.Errorf("ack of %s, which is not open", key)
	}
	delete(f.open, key)
	f.acked++
}

func (f *fakePops) ack(r *remoting.Request) {
	var h header.AckRequest
	if err := h.DecodeExt(r.Ext); err != nil {
		f.t.Error(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	start, kind, topic := h.Offset-h.Offset%3, "0", "T"
	if f.retry != "" && h.QueueID == 0 && start == 0 {
		kind, topic = f.retry, map[string]string{"1": "%RETRY%" + h.ConsumerGroup + "_T", "2": "%RETRY%" + h.ConsumerGroup + "+T"}[f.retry]
	}
	if want := fmt.Sprintf("%d %d 7000 4 %s b %d %d", start, fakePopTime, kind, h.QueueID, h.Offset); h.ExtraInfo != want || h.Topic != topic {
		f.t.Errorf("ack in %s with %q, want %q", h.Topic, h.ExtraInfo, want)
	}
	f.done(h.ConsumerGroup, h.QueueID, h.Offset)
	r.Reply(&wire.Response{Code: f.code, Remark: "no"})
}

func (f *fakePops) batchAck(r *remoting.Request) {
	var b body.BatchAckRequest
	if err := body.Unmarshal(r.Body, &b); err != nil || b.BrokerName != "b" || len(b.Acks) != 1 {
		f.t.Errorf("%+v, %v", b, err)
		return
	}
	a := &b.Acks[0]
	offsets, err := a.Offsets()
	if err != nil || len(offsets) != 3 || a.Topic != "T" || a.PopTime != fakePopTime || a.InvisibleTime != 7000 || a.ReviveQueueID != 4 || offsets[0] != a.StartOffset {
		f.t.Errorf("%+v: %v", a, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, o := range offsets {
		f.done(a.ConsumerGroup, a.QueueID, o)
	}
	r.Reply(&wire.Response{})
}

func popLoad(t Target) PopLoad {
	return PopLoad{
		Load:      Load{Targets: []Target{t}, Topic: "T", Conns: 2, Inflight: 3, Warmup: time.Millisecond, Duration: 100 * time.Millisecond, Pull: Pull{Count: 5}},
		Invisible: 7 * time.Second,
	}
}

// TestPop has each message that was popped acked once, one by one and together.
func TestPop(t *testing.T) {
	for _, batch := range []bool{false, true} {
		for _, enc := range []wire.Encoding{wire.JSON, wire.Binary} {
			f := &fakePops{}
			target := f.start(t)
			var got *PopResult
			enough(t, func(d time.Duration) (*Result, error) {
				f.mu.Lock()
				f.acked = 0
				f.mu.Unlock()
				l := popLoad(target)
				l.Batch, l.Encoding, l.Duration, l.PID = batch, enc, d, os.Getpid()
				res, err := Pop(t.Context(), l)
				if err != nil {
					return nil, err
				}
				got = res
				return &res.Result, nil
			})
			f.mu.Lock()
			if got.Acked != f.acked || got.Messages > got.Acked || len(f.open) != 0 || got.Bytes < got.Messages*int64(len(fakeRecord)) {
				t.Errorf("batch %v: %d acked of %d in all, %d counted, %d bytes, %d are open", batch, got.Acked, f.acked, got.Messages, got.Bytes, len(f.open))
			}
			f.mu.Unlock()
			if got.Acks.TotalCount() == 0 || got.Redelivered != 0 || got.Err() != nil || got.Whole < got.ServerCPU {
				t.Errorf("%+v, %v", got, got.Err())
			}
		}
	}
}

func TestPopRedelivered(t *testing.T) {
	for _, retry := range []string{"1", "2"} {
		f := &fakePops{retry: retry}
		l := popLoad(f.start(t))
		l.Warmup = 0
		res, err := Pop(t.Context(), l)
		if err != nil {
			t.Fatal(err)
		}
		if err := res.Err(); res.Redelivered != 3 || err == nil || !strings.Contains(err.Error(), "3 messages were given again") {
			t.Errorf("%d given again: %v", res.Redelivered, err)
		}
	}
}

func TestPopRefuses(t *testing.T) {
	target := (&fakePops{code: wire.MessageIllegal}).start(t)
	if _, err := Pop(t.Context(), popLoad(target)); err == nil || !strings.Contains(err.Error(), "MESSAGE_ILLEGAL: no") {
		t.Errorf("a refused ack: %v", err)
	}
	empty := startServer(t, wire.ReqPopMessage, func(r *remoting.Request) { r.Reply(&wire.Response{Code: wire.PollingTimeout}) })
	l := popLoad(Target{Addr: empty, Broker: "b", Queues: 2})
	l.Duration = time.Hour
	if _, err := Pop(t.Context(), l); err == nil || !strings.Contains(err.Error(), "no message of topic T was popped") {
		t.Errorf("an empty topic: %v", err)
	}
	for _, spoil := range []func(*PopLoad){func(l *PopLoad) { l.Invisible = 0 }, func(l *PopLoad) { l.Settle = -1 }, func(l *PopLoad) { l.Targets = nil }} {
		l := popLoad(target)
		spoil(&l)
		if _, err := Pop(context.Background(), l); err == nil {
			t.Error("no error")
		}
	}
}

func TestWholeMicros(t *testing.T) {
	r := PopResult{Acked: 4, Whole: 10 * time.Microsecond}
	if got := r.WholeMicros(); got != 2.5 {
		t.Errorf("%g us a message", got)
	}
}
