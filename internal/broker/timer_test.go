// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"encoding/base64"
	"errors"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/broker/delay"
	"github.com/twostage/twostage/internal/broker/timer"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

func inMillis(ms int64) string { return strconv.FormatInt(time.Now().UnixMilli()+ms, 10) }

// A message with a time of delivery comes to a held pull at that time, across a
// restart of the broker.
func TestTimer(t *testing.T) {
	m := vfs.NewMem()
	w := start(t, m)
	c := w.client()
	c.send(sendHeader("T", "UNIQ_KEY", "now", "TIMER_DELIVER_MS", inMillis(-5)), "now")
	at := inMillis(400)
	c.send(sendHeader("T", "UNIQ_KEY", "u", "TIMER_DELIVER_MS", at), "later")
	c.send(sendHeader("T", "UNIQ_KEY", "v", "TIMER_DELAY_MS", "900"), "last")
	w.wantBodies("T", 0, "now")
	c.heartbeat("id", "g", "T", "*")
	if p := c.pull("g", "T", 0, 1, patience); bodies(t, p.Records) != "later" {
		t.Errorf("pulled %q", bodies(t, p.Records))
	}
	rec := w.stored("T", 0)[1]
	if deliver, _ := strconv.ParseInt(at, 10, 64); rec.StoreTimestamp < deliver {
		t.Errorf("delivered at %d for %s", rec.StoreTimestamp, at)
	}
	for _, name := range []string{"TIMER_OUT_MS", "TIMER_ENQUEUE_MS", "TIMER_DEQUEUE_MS", "REAL_TOPIC"} {
		if _, ok := rec.Property(name); !ok {
			t.Errorf("no %s in %q", name, rec.Properties)
		}
	}
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	w = start(t, m)
	c = w.client()
	c.heartbeat("id", "g", "T", "*")
	if p := c.pull("g", "T", 0, 2, patience); bodies(t, p.Records) != "last" {
		t.Errorf("pulled %q", bodies(t, p.Records))
	}
	w.wantBodies("T", 0, "now later last")
}

func TestTimerRefused(t *testing.T) {
	w := start(t, vfs.NewMem(), "timerMaxDelaySec", "60")
	c := w.client()
	send := func(props ...string) *wire.Request {
		return &wire.Request{Code: wire.ReqSendMessageV2, Header: sendHeader("T", props...), Body: []byte("x")}
	}
	c.refused(wire.MessageIllegal, send("TIMER_DELAY_SEC", "61"), "timerMaxDelaySec", "60000")
	c.refused(wire.MessageIllegal, send("TIMER_DELAY_SEC", "9223372036854775807"), "timerMaxDelaySec")
	c.refused(wire.MessageIllegal, send("TIMER_DELIVER_MS", "tomorrow"), "tomorrow")
	c.refused(wire.MessageIllegal, send("TIMER_DELIVER_MS", "1", "TIMER_DEL_UNIQKEY", "T+u"), "recalled")
	c.refused(wire.MessageIllegal, send("TIMER_DELAY_SEC", "61", "TRAN_MSG", "true", "PGROUP", "p", "UNIQ_KEY", "u"), "timerMaxDelaySec")
	c.refused(wire.NoPermission, &wire.Request{Code: wire.ReqSendMessageV2, Header: sendHeader(message.TopicTimer), Body: []byte("x")}, "forbidden")
	// A level wins, and the time goes.
	c.send(sendHeader("T", "DELAY", "18", "TIMER_DELAY_SEC", "61"), "x")
	rec := w.waiting(18)
	w.wantProperties(&rec, "DELAY", "18", "CLUSTER", "DefaultCluster", "REAL_TOPIC", "T", "REAL_QID", "0")

	w = start(t, vfs.NewMem(), "timerWheelEnable", "false")
	c = w.client()
	c.refused(wire.SystemError, send("TIMER_DELAY_SEC", "1"), "timerWheelEnable is false")
}

// A half message waits from the commit on.
func TestTimerCommitted(t *testing.T) {
	w := start(t, vfs.NewMem())
	c := w.client()
	c.produces("id", "p")
	h := sendHeader("T", "TRAN_MSG", "true", "PGROUP", "p", "UNIQ_KEY", "u", "TIMER_DELAY_MS", "300")
	h.SysFlag = int32(message.TransactionPrepared)
	c.send(h, "half")
	half := w.stored(message.TopicHalf, 0)[0]
	begin := time.Now().UnixMilli()
	cmd, err := c.Invoke(w.ctx, w.addr, &wire.Request{Code: wire.ReqEndTransaction, Header: &header.EndTransactionRequest{
		ProducerGroup: "p", TranStateTableOffset: half.QueueOffset, CommitLogOffset: half.PhysicalOffset,
		CommitOrRollback: int32(message.TransactionCommit), MsgID: "u", TransactionID: "u"}})
	if err != nil || cmd.Code != wire.Success {
		t.Fatalf("%+v, %v", cmd, err)
	}
	if n := len(w.stored(message.TopicTimer, 0)); n != 1 {
		t.Errorf("%d messages wait", n)
	}
	c.heartbeat("id", "g", "T", "*")
	if p := c.pull("g", "T", 0, 0, patience); bodies(t, p.Records) != "half" || w.stored("T", 0)[0].StoreTimestamp < begin+300 {
		t.Errorf("pulled %q", bodies(t, p.Records))
	}
}

func TestRecall(t *testing.T) {
	w := start(t, vfs.NewMem(), "recallMessageEnable", "true")
	c := w.client()
	at := inMillis(2500)
	cmd, err := c.Invoke(w.ctx, w.addr, &wire.Request{Code: wire.ReqSendMessageV2, Header: sendHeader("T", "UNIQ_KEY", "u", "TIMER_DELIVER_MS", at), Body: []byte("gone")})
	if err != nil || cmd.Code != wire.Success {
		t.Fatalf("%+v, %v", cmd, err)
	}
	var answer header.SendResponse
	if err := answer.DecodeExt(cmd.Ext); err != nil {
		t.Fatal(err)
	}
	handle := string(answer.RecallHandle)
	out, _ := w.stored(message.TopicTimer, 0)[0].Property(message.PropertyTimerOut)
	ms, _ := strconv.ParseInt(string(out), 10, 64)
	if raw, err := base64.URLEncoding.DecodeString(handle); err != nil || string(raw) != "v1 T broker-a "+strconv.FormatInt(ms+1, 10)+" u" {
		t.Fatalf("handle %q, %v", raw, err)
	}
	recall := func(topic, handle string) *wire.Request {
		return &wire.Request{Code: wire.ReqRecallMessage, Header: &header.RecallRequest{ProducerGroup: "p", Topic: topic, RecallHandle: handle}}
	}
	made := func(text string) string { return base64.URLEncoding.EncodeToString([]byte(text)) }
	c.send(sendHeader("Other"), "x")
	c.refused(wire.TopicNotExist, recall("None", handle), "None")
	c.refused(wire.IllegalOperation, recall("T", "%%%"), "handle is invalid")
	c.refused(wire.IllegalOperation, recall("T", made("v2 T broker-a 1 u")), "handle is invalid")
	c.refused(wire.IllegalOperation, recall("Other", handle), "topic not match")
	c.refused(wire.IllegalOperation, recall("T", made("v1 T broker-b "+at+" u")), "broker-b")
	c.refused(wire.IllegalOperation, recall("T", made("v1 T broker-a "+inMillis(-1)+" u")), "timestamp invalid")
	c.refused(wire.IllegalOperation, recall("T", made("v1 T broker-a "+inMillis(1e12)+" u")), "timestamp invalid")
	cmd, err = c.Invoke(w.ctx, w.addr, recall("T", handle))
	var got header.RecallResponse
	if err != nil || cmd.Code != wire.Success || got.DecodeExt(cmd.Ext) != nil || got.MsgID != "u" || got.Region != "DefaultRegion" {
		t.Fatalf("%+v, %+v, %v", cmd, got, err)
	}
	c.send(sendHeader("T", "UNIQ_KEY", "v", "TIMER_DELIVER_MS", at), "kept")
	c.heartbeat("id", "g", "T", "*")
	if p := c.pull("g", "T", 0, 0, patience); bodies(t, p.Records) != "kept" {
		t.Errorf("pulled %q", bodies(t, p.Records))
	}
	if n := w.timers.Recalled(); n != 1 {
		t.Errorf("%d recalled", n)
	}
	w = start(t, vfs.NewMem())
	c = w.client()
	c.refused(wire.NoPermission, recall("T", handle), "recallMessageEnable")
}

// A system topic of the broker's own, to which clients may not send, can be a
// target.
func TestTimerForSystemTopic(t *testing.T) {
	w := start(t, vfs.NewMem())
	props := message.AppendProperty(nil, message.PropertyTimerDeliver, inMillis(100))
	q, out, ok, err := w.waits().Rewrite("rmq_sys_REVIVE_LOG_DefaultCluster", 5, props, nil)
	if !ok || err != nil {
		t.Fatalf("%t, %v", ok, err)
	}
	var b store.Batch
	if err := errors.Join(b.Add(q, &message.Record{Body: []byte("ck"), Properties: out, BornHost: w.advertised, StoreHost: w.advertised}), w.store.Append(&b)); err != nil {
		t.Fatal(err)
	}
	for w.timers.Delivered() == 0 && w.ctx.Err() == nil {
		runtime.Gosched()
	}
	w.wantBodies("rmq_sys_REVIVE_LOG_DefaultCluster", 5, "ck")
}

// A half message that was taken while there were timers is committed without
// them, but not without a word.
func TestTakenWithoutTimers(t *testing.T) {
	w := waits{levels: &delay.Service{}}
	props := message.AppendProperty(nil, message.PropertyTimerDeliver, "99999999999999")
	if _, _, ok, err := (taken{w}).Rewrite("T", 0, props, nil); ok || !errors.Is(err, timer.ErrNotEnabled) {
		t.Errorf("%t, %v", ok, err)
	}
	if _, out, ok, err := (taken{w}).Rewrite("T", 0, nil, []byte("x")); ok || err != nil || string(out) != "x" {
		t.Errorf("without a time: %q, %t, %v", out, ok, err)
	}
}
