// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"testing"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// TestPullAllocs pins the way of a pull through the whole broker, from the socket
// to the socket: one with a filter costs no more than one without.
func TestPullAllocs(t *testing.T) {
	if raceEnabled {
		t.Log("the race detector allocates by itself: only the answers are looked at")
	}
	w := start(t, vfs.OS(), "storePathRootDir", t.TempDir(), "maxHashSlotNum", "10000", "maxIndexNum", "400000", "mappedFileSizeCommitLog", "67108864", "mappedFileSizeConsumeQueue", "6000000")
	c := w.client()
	for range 32 {
		c.send(sendHeader("T", "TAGS", "A", "n", "7"), "a message")
	}
	w.stored("T", 0)
	c.heartbeat("all", "all", "T", "*")
	c.subscribeSQL("sql", "n > 6 AND TAGS = 'A'")
	tag := body.ConsumerData{GroupName: "tag", ConsumeType: body.ConsumePassively, MessageModel: body.Clustering, ConsumeFromWhere: body.ConsumeFromFirstOffset,
		SubscriptionDataSet: []body.SubscriptionData{{Topic: "T", SubString: "A", SubVersion: 1, TagsSet: []string{"A"}, CodeSet: []int32{message.HashCode("A")}}}}
	if err := rpc.Heartbeat(w.ctx, c, w.addr, &body.HeartbeatData{ClientID: "tag", ConsumerDataSet: []body.ConsumerData{tag}}); err != nil {
		t.Fatal(err)
	}
	plain := 0.0
	for _, tc := range []struct{ group, kind, expression string }{
		{"all", "", ""},
		{"tag", "", ""},
		{"sql", "", ""},
		{"all", "TAG", "*"},
		{"all", "TAG", "A || B"},
		{"all", "SQL92", "n > 6 AND TAGS = 'A'"},
	} {
		h := &header.PullRequest{ConsumerGroup: []byte(tc.group), Topic: []byte("T"), MaxMsgNums: 32, SubVersion: 1}
		if tc.kind != "" {
			h.SysFlag, h.ExpressionType, h.Subscription = header.PullSubscription, []byte(tc.kind), []byte(tc.expression)
		}
		n := w.allocsOfPull(h)
		t.Logf("%+v: %v allocations", tc, n)
		if plain == 0 {
			plain = n
		}
		if raceEnabled {
			continue
		}
		if n > pullAllocs+0.2 || n > plain+0.2 {
			t.Errorf("%+v: %v allocations a pull, %v one of everything", tc, n, plain)
		}
	}
}

// pullAllocs is what one pull allocates.
const pullAllocs = 3

// allocsOfPull counts what a pull of 32 messages allocates.
func (w *world) allocsOfPull(h *header.PullRequest) float64 {
	nc, err := net.Dial("tcp", w.addr)
	if err != nil {
		w.t.Fatal(err)
	}
	defer nc.Close()
	const pulls = 16
	var burst []byte
	for range pulls {
		burst = append(burst, wire.AppendRequest(nil, &wire.Request{Code: wire.ReqPullMessage, Opaque: 7, Header: h})...)
	}
	buf := make([]byte, 64<<10)
	round := func() {
		if _, err := nc.Write(burst); err != nil {
			w.t.Fatal(err)
		}
		for range pulls {
			if _, err := io.ReadFull(nc, buf[:4]); err != nil {
				w.t.Fatal(err)
			}
			frame := buf[:binary.BigEndian.Uint32(buf)]
			if _, err := io.ReadFull(nc, frame); err != nil {
				w.t.Fatal(err)
			}
			if !bytes.Contains(frame, []byte(`"code":0`)) || bytes.Count(frame, []byte("a message")) != 32 {
				w.t.Fatalf("answered %.300q", frame)
			}
		}
	}
	for range 20 {
		round()
	}
	return testing.AllocsPerRun(100, round) / pulls
}
