// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"testing"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
)

func TestConsumeStats(t *testing.T) {
	w, c := resetWorld(t, vfs.NewMem())
	w.offset("g", 1, 2)
	c.send(sendHeader("U"), "u")
	w.stored("U", 0)
	w.offsets.Commit("g", "U", 0, 0)
	w.offsets.Commit("offline", "T", 0, 1)
	w.offsets.Commit("offline", "U", 0, 1)
	w.offsets.Commit("offline", "Gone", 0, 1)
	stats := func(version int32, h header.ConsumeStatsRequest) body.ConsumeStats {
		t.Helper()
		cmd, err := c.Invoke(w.ctx, w.addr, &wire.Request{Code: wire.ReqGetConsumeStats, Header: &h, Version: version, Language: wire.LanguageJava})
		if err != nil || cmd.Code != wire.Success {
			t.Fatalf("%v %v", cmd, err)
		}
		var b body.ConsumeStats
		if err := body.Unmarshal(cmd.Body, &b); err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, tc := range []struct {
		version int32
		h       header.ConsumeStatsRequest
		queues  int
		topic   string
		queue   int32
		want    body.OffsetWrapper
	}{
		{409, header.ConsumeStatsRequest{ConsumerGroup: "g"}, 4, "T", 1, body.OffsetWrapper{BrokerOffset: 4, ConsumerOffset: 2, LastTimestamp: 2000}},
		{409, header.ConsumeStatsRequest{ConsumerGroup: "g"}, 4, "T", 0, body.OffsetWrapper{BrokerOffset: 4, ConsumerOffset: 4, LastTimestamp: 4000}},
		{409, header.ConsumeStatsRequest{ConsumerGroup: "g", Topic: "U"}, 0, "U", 0, body.OffsetWrapper{}}, // it does not subscribe to it
		{473, header.ConsumeStatsRequest{ConsumerGroup: "offline"}, 8, "T", 0, body.OffsetWrapper{BrokerOffset: 4, ConsumerOffset: 1, PullOffset: 1, LastTimestamp: 1000}},
		{473, header.ConsumeStatsRequest{ConsumerGroup: "offline", Topic: "T"}, 4, "T", 1, body.OffsetWrapper{BrokerOffset: 4}},
		{473, header.ConsumeStatsRequest{ConsumerGroup: "offline", TopicList: "U;Gone;"}, 4, "U", 1, body.OffsetWrapper{}},
		{473, header.ConsumeStatsRequest{ConsumerGroup: "nobody"}, 0, "T", 0, body.OffsetWrapper{}},
	} {
		b := stats(tc.version, tc.h)
		if got := b.OffsetTable[body.MessageQueue{Topic: tc.topic, BrokerName: "broker-a", QueueID: tc.queue}]; len(b.OffsetTable) != tc.queues || got != tc.want {
			t.Errorf("%+v: %d queues, %s/%d %+v", tc.h, len(b.OffsetTable), tc.topic, tc.queue, got)
		}
	}
}

// A new group that begins at a time asks for its offset, then for that of the time.
func TestConsumeFromATimestamp(t *testing.T) {
	w, c := resetWorld(t, vfs.NewMem())
	c.heartbeat("c2", "new", "T", "*")
	c.refused(wire.QueryNotFound, &wire.Request{Code: wire.ReqQueryConsumerOffset,
		Header: &header.QueryConsumerOffsetRequest{ConsumerGroup: "new", Topic: "T", KeepNotFound: true}})
	for millis, want := range map[int64]string{500: "m0 m1 m2 m3", 2001: "m2 m3", 3000: "m2 m3", 4000: "m3"} {
		at, err := rpc.SearchOffset(w.ctx, c, w.addr, "T", 0, millis)
		if err != nil {
			t.Fatal(err)
		}
		if p := c.pull("new", "T", 0, at, 0); p.Code != wire.Success || bodies(t, p.Records) != want {
			t.Errorf("from %d: %d %q, want %q", millis, p.Code, bodies(t, p.Records), want)
		}
	}
}
