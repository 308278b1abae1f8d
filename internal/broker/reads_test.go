// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// TestSearchBoundary: clients of 4.9 mean the nearest, those of 5 the lower one,
// and who says what it means gets that.
func TestSearchBoundary(t *testing.T) {
	const first = 1_700_000_000_000
	var now atomic.Int64
	w := startAt(t, vfs.NewMem(), now.Load)
	c := w.client()
	for i, at := range []int64{0, 1000, 1000, 2000} {
		now.Store(first + at)
		c.send(sendHeader("T"), fmt.Sprint(i))
	}
	w.stored("T", 0)
	for _, q := range []struct {
		at       int64
		boundary string
		version  int32
		want     int64
	}{
		{1001, "", wire.Version, 3},
		{1001, "", wire.VersionV500 - 1, 1},
		{1001, "", wire.VersionV500, 3},
		{1001, "", 481, 3},
		{1001, "LOWER", wire.Version, 3},
		{1001, "lower", 481, 3},
		{1001, "UPPER", wire.Version, 2},
		{1001, "upper", 481, 2},
		{1001, "Upper", 481, 2},
		{1001, "neither", wire.Version, 3}, // as RocketMQ 5 reads it
		{-5, "", wire.Version, 0},
		{-5, "LOWER", 481, 0},
		{-5, "UPPER", 481, 0},
		{9000, "", wire.Version, 4},
		{9000, "LOWER", 481, 4},
		{9000, "UPPER", 481, 3},
	} {
		cmd, err := c.Invoke(w.ctx, w.addr, &wire.Request{Code: wire.ReqSearchOffsetByTimestamp, Version: q.version,
			Header: &header.SearchOffsetRequest{Topic: "T", Timestamp: first + q.at, BoundaryType: q.boundary}})
		if err != nil {
			t.Fatal(err)
		}
		var res header.OffsetResponse
		if err := res.DecodeExt(cmd.Ext); err != nil || cmd.Code != wire.Success || res.Offset != q.want {
			t.Errorf("%+v: code %d, offset %d, %v", q, cmd.Code, res.Offset, err)
		}
	}
}

// TestDamagedMessage: consumers pass over what the disk has changed, and who asks
// for it is told that there is no such message.
func TestDamagedMessage(t *testing.T) {
	m := vfs.NewMem()
	w := start(t, m)
	c := w.client()
	var bad *rpc.Sent
	for i := range 5 {
		sent := c.send(sendHeader("T", message.PropertyUniqueKey, fmt.Sprint("key", i), message.PropertyTags, "A"), fmt.Sprint("message", i))
		if i == 2 {
			bad = sent
		}
	}
	w.stored("T", 0)
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	_, at, err := message.ParseOffsetID(string(bad.Header.MsgID))
	if err != nil {
		t.Fatal(err)
	}
	f, err := m.OpenFile("/store/commitlog/00000000000000000000", 2)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("M"), at+88); err != nil { // the body
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	w = start(t, m)
	c = w.client()
	c.heartbeat("c", "all", "T", "*")
	c.heartbeat("c", "tagged", "T", "A")
	for _, group := range []string{"all", "tagged"} {
		p := c.pull(group, "T", 0, 0, 0)
		if got := bodies(t, p.Records); got != "message0 message1 message3 message4" || p.Header.NextBeginOffset != 5 {
			t.Errorf("%s got %q, next %d", group, got, p.Header.NextBeginOffset)
		}
		p = c.pull(group, "T", 0, 2, 0)
		if got := bodies(t, p.Records); got != "message3 message4" {
			t.Errorf("%s got %q from the damaged one on", group, got)
		}
	}
	c.refused(wire.SystemError, &wire.Request{Code: wire.ReqViewMessageByID, Header: &header.ViewMessageRequest{Offset: at}}, "can not find message")
	c.refused(wire.QueryNotFound, &wire.Request{Code: wire.ReqQueryMessage,
		Header: &header.QueryMessageRequest{Topic: "T", Key: "key2", MaxNum: 8, EndTimestamp: 1 << 60, UniqueKey: true}})
	c.refused(wire.SystemError, &wire.Request{Code: wire.ReqConsumerSendMsgBack, Header: &header.SendBackRequest{Group: "all", Offset: at, DelayLevel: 1}}, "look message by offset failed")
	if st := w.store.Stats(); st.DamagedReads < 4 {
		t.Errorf("counted %d", st.DamagedReads)
	}
}
