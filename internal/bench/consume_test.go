// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// fakeQueue is a queue that holds the messages from min to max-1. What is in hole
// gives nothing, and the answer says to go on behind it.
type fakeQueue struct {
	min, max int64
	hole     map[int64]int64
}

// startQueues answers pulls from queues that hold so many messages each.
func startQueues(t *testing.T, held ...int64) string {
	var queues []fakeQueue
	for _, n := range held {
		queues = append(queues, fakeQueue{max: n})
	}
	return startLog(t, queues...)
}

var fakeRecord = message.AppendRecord(nil, &message.Record{Topic: []byte("T"), Body: []byte("b"), BornHost: fakeHost, StoreHost: fakeHost})

// startLog answers pulls of any topic from queues.
func startLog(t *testing.T, queues ...fakeQueue) string {
	t.Helper()
	pull := func(r *remoting.Request) {
		var h header.PullRequest
		if err := h.DecodeExt(r.Ext); err != nil {
			t.Error(err)
			return
		}
		q := queues[h.QueueID]
		answer := &header.PullResponse{MinOffset: q.min, MaxOffset: q.max, NextBeginOffset: h.QueueOffset}
		switch behind, hole := q.hole[h.QueueOffset]; {
		case h.QueueOffset < q.min:
			answer.NextBeginOffset = q.min
			r.Reply(&wire.Response{Code: wire.PullOffsetMoved, Header: answer})
			return
		case hole:
			answer.NextBeginOffset = behind
			r.Reply(&wire.Response{Code: wire.PullRetryImmediately, Header: answer})
			return
		case h.QueueOffset >= q.max:
			r.Reply(&wire.Response{Code: wire.PullNotFound, Header: answer})
			return
		}
		n := min(q.max-h.QueueOffset, int64(h.MaxMsgNums))
		answer.NextBeginOffset = h.QueueOffset + n
		r.Reply(&wire.Response{Header: answer, Body: bytes.Repeat(fakeRecord, int(n))})
	}
	return startServer(t, wire.ReqPullMessage, pull)
}

// startServer serves one code.
func startServer(t *testing.T, code int32, handler func(*remoting.Request)) string {
	t.Helper()
	return startCodes(t, map[int32]remoting.Handler{code: handler})
}

// startCodes serves some codes.
func startCodes(t *testing.T, handlers map[int32]remoting.Handler) string {
	t.Helper()
	s := remoting.NewServer(remoting.ServerConfig{
		Addr: "127.0.0.1:0",
		Routes: func(code int32) (remoting.Route, bool) {
			h, ok := handlers[code]
			return remoting.Route{Handler: h}, ok
		},
	})
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(context.Background()) }()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s.Addr().String()
}

func consume(conns int, d time.Duration, targets ...Target) (*Result, error) {
	return Consume(context.Background(), Load{
		Targets: targets, Topic: "T", Conns: conns, Inflight: 2, Warmup: time.Millisecond, Duration: d,
	})
}

func TestConsume(t *testing.T) {
	for name, held := range map[string][]int64{
		"all queues hold messages": {70, 3, 1},
		"some are empty":           {0, 40, 0, 0, 5, 0},
		"all but one are empty":    {0, 0, 0, 1},
	} {
		for _, conns := range []int{1, 3, 8} {
			t.Run(fmt.Sprint(name, conns), func(t *testing.T) {
				target := Target{Addr: startQueues(t, held...), Queues: int32(len(held))}
				enough(t, func(d time.Duration) (*Result, error) { return consume(conns, d, target) })
			})
		}
	}
	full, empty := startQueues(t, 10), startQueues(t, 0, 0)
	enough(t, func(d time.Duration) (*Result, error) {
		return consume(2, d, Target{Addr: empty, Queues: 2}, Target{Addr: full, Queues: 1})
	})
	last := startQueues(t, 0, 10)
	for conns := 1; conns <= 5; conns++ {
		enough(t, func(d time.Duration) (*Result, error) {
			return consume(conns, d, Target{Addr: empty, Queues: 2}, Target{Addr: last, Queues: 2})
		})
	}
}

func TestConsumeOfNothing(t *testing.T) {
	for _, conns := range []int{1, 2, 5} {
		addr := startQueues(t, 0, 0, 0)
		for _, queues := range []int32{3, 1, 0} {
			_, err := consume(conns, time.Hour, Target{Addr: addr, Queues: queues})
			if err == nil || !strings.Contains(err.Error(), "topic T holds no message") {
				t.Errorf("%d connections, %d queues: %v", conns, queues, err)
			}
		}
	}
}

// TestConsumeOnce has each message counted a single time, and the run end by
// itself.
func TestConsumeOnce(t *testing.T) {
	addr := startLog(t, fakeQueue{max: 70}, fakeQueue{}, fakeQueue{min: 5, max: 8}, fakeQueue{min: 3, max: 3}, fakeQueue{max: 100, hole: map[int64]int64{64: 90}})
	for _, topics := range []int{1, 3} {
		for _, conns := range []int{1, 2, 20} {
			for _, inflight := range []int{1, 4} {
				res, err := Consume(context.Background(), Load{
					Targets: []Target{{Addr: addr, Queues: 5}}, Topic: "T", Topics: topics, Conns: conns, Inflight: inflight,
					Warmup: time.Hour, Duration: time.Hour, Pull: Pull{Once: true},
				})
				if err != nil {
					t.Fatal(err)
				}
				want := int64(topics) * (70 + 3 + 74)
				if res.Messages != want || res.Bytes != want*int64(len(fakeRecord)) || res.Latency.TotalCount() < int64(topics)*7 {
					t.Errorf("%d topics, %d connections: %d messages, %d bytes, %d pulls; want %d messages", topics, conns, res.Messages, res.Bytes, res.Latency.TotalCount(), want)
				}
			}
		}
	}
	empty := startQueues(t, 0, 0)
	_, err := Consume(context.Background(), Load{Targets: []Target{{Addr: empty, Queues: 2}}, Topic: "T", Topics: 10, Conns: 1, Inflight: 8, Duration: time.Hour, Pull: Pull{Once: true}})
	if err == nil || !strings.Contains(err.Error(), "topics T-0 to T-9 hold no message") {
		t.Errorf("nothing to read: %v", err)
	}
}

func TestConsumeRefused(t *testing.T) {
	addr := startServer(t, wire.ReqPullMessage, func(r *remoting.Request) {
		r.Reply(&wire.Response{Code: wire.NoPermission, Remark: "not for you", Header: header.Empty{}})
	})
	if _, err := consume(1, time.Hour, Target{Addr: addr, Queues: 1}); err == nil || !strings.Contains(err.Error(), "NO_PERMISSION: not for you") {
		t.Errorf("%v", err)
	}
}
