// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// startQueues answers pulls from queues that hold so many messages each.
func startQueues(t *testing.T, held ...int64) string {
	t.Helper()
	host := netip.MustParseAddrPort("127.0.0.1:1")
	record := message.AppendRecord(nil, &message.Record{Topic: []byte("T"), Body: []byte("b"), BornHost: host, StoreHost: host})
	pull := func(r *remoting.Request) {
		var h header.PullRequest
		if err := h.DecodeExt(r.Ext); err != nil {
			t.Error(err)
			return
		}
		end := held[h.QueueID]
		answer := &header.PullResponse{MaxOffset: end}
		if h.QueueOffset >= end {
			r.Reply(&wire.Response{Code: wire.PullNotFound, Header: answer})
			return
		}
		n := min(end-h.QueueOffset, int64(h.MaxMsgNums))
		answer.NextBeginOffset = h.QueueOffset + n
		r.Reply(&wire.Response{Header: answer, Body: []byte(strings.Repeat(string(record), int(n)))})
	}
	s := remoting.NewServer(remoting.ServerConfig{
		Addr: "127.0.0.1:0",
		Routes: func(code int32) (remoting.Route, bool) {
			return remoting.Route{Handler: pull}, code == wire.ReqPullMessage
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

func consume(conns int, targets ...Target) (*Result, error) {
	return Consume(context.Background(), Load{
		Targets: targets, Topic: "T", Conns: conns, Warmup: 20 * time.Millisecond, Duration: 100 * time.Millisecond,
	})
}

func TestConsume(t *testing.T) {
	for name, held := range map[string][]int64{
		"all queues hold messages": {70, 3, 1},
		"some are empty":           {0, 40, 0, 0, 5, 0},
		"all but one are empty":    {0, 0, 0, 1},
	} {
		for _, conns := range []int{1, 3, 8} {
			res, err := consume(conns, Target{Addr: startQueues(t, held...), Queues: int32(len(held))})
			if err != nil {
				t.Errorf("%s, %d connections: %v", name, conns, err)
			} else if res.Messages == 0 || res.Latency.TotalCount() == 0 {
				t.Errorf("%s, %d connections: %d messages, %d latencies", name, conns, res.Messages, res.Latency.TotalCount())
			}
		}
	}
	full, empty := startQueues(t, 10), startQueues(t, 0, 0)
	if res, err := consume(2, Target{Addr: empty, Queues: 2}, Target{Addr: full, Queues: 1}); err != nil || res.Messages == 0 {
		t.Errorf("one broker without messages: %+v, %v", res, err)
	}
	last := startQueues(t, 0, 10)
	for conns := 1; conns <= 5; conns++ {
		if res, err := consume(conns, Target{Addr: empty, Queues: 2}, Target{Addr: last, Queues: 2}); err != nil || res.Messages == 0 {
			t.Errorf("%d connections, messages in the last queue alone: %+v, %v", conns, res, err)
		}
	}
}

func TestConsumeOfNothing(t *testing.T) {
	for _, conns := range []int{1, 2, 5} {
		addr := startQueues(t, 0, 0, 0)
		for _, queues := range []int32{3, 1, 0} {
			_, err := consume(conns, Target{Addr: addr, Queues: queues})
			if err == nil || !strings.Contains(err.Error(), "topic T holds no message") {
				t.Errorf("%d connections, %d queues: %v", conns, queues, err)
			}
		}
	}
}
