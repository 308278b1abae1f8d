// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"strings"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// waiting finds the one message of a delay level, 1 hour and more away.
func (w *world) waiting(level int32) message.Record {
	w.t.Helper()
	list := w.stored(message.TopicSchedule, level-1)
	if len(list) != 1 {
		w.t.Fatalf("%d messages wait at level %d", len(list), level)
	}
	return list[0]
}

const hours = "1h 2h 3h 4h 5h 6h"

func TestSendBack(t *testing.T) {
	w := start(t, vfs.NewMem(), "messageDelayLevel", hours)
	c := w.client()
	g := body.NewSubscriptionGroupConfig("g")
	g.RetryMaxTimes = 2
	if err := rpc.CreateGroup(w.ctx, c, w.addr, &g); err != nil {
		t.Fatal(err)
	}
	c.send(sendHeader("T", "UNIQ_KEY", "u", "TAGS", "A"), "x")
	first := w.stored("T", 0)[0]
	id := string(message.AppendOffsetID(nil, w.advertised, first.PhysicalOffset))
	back := func(at int64, level int32) error {
		return rpc.SendBack(w.ctx, c, w.addr, &header.SendBackRequest{Offset: at, Group: "g", DelayLevel: level, OriginMsgID: "?", OriginTopic: "T"})
	}
	if err := back(first.PhysicalOffset, 0); err != nil {
		t.Fatal(err)
	}
	again := w.waiting(3)
	if again.ReconsumeTimes != 1 || string(again.Body) != "x" || again.BornHost != first.BornHost || again.BornTimestamp != 7 || again.Flag != 3 {
		t.Errorf("retry %+v", again)
	}
	w.wantProperties(&again, "UNIQ_KEY", "u", "TAGS", "A", "CLUSTER", "DefaultCluster", "DELAY", "3", "WAIT", "false", "RETRY_TOPIC", "T",
		"ORIGIN_MESSAGE_ID", id, "REAL_TOPIC", "%RETRY%g", "REAL_QID", "0")
	// The consumer's next failure is one level up; the message came from the retry
	// topic, but keeps its first id and topic.
	if err := back(again.PhysicalOffset, 0); err != nil {
		t.Fatal(err)
	}
	third := w.waiting(4)
	if third.ReconsumeTimes != 2 {
		t.Errorf("tried %d times", third.ReconsumeTimes)
	}
	w.wantProperties(&third, "UNIQ_KEY", "u", "TAGS", "A", "CLUSTER", "DefaultCluster", "DELAY", "4", "WAIT", "false", "RETRY_TOPIC", "T",
		"ORIGIN_MESSAGE_ID", id, "REAL_TOPIC", "%RETRY%g", "REAL_QID", "0")
	// All tries are used up.
	if err := back(third.PhysicalOffset, 0); err != nil {
		t.Fatal(err)
	}
	dead := w.stored("%DLQ%g", 0)
	if len(dead) != 1 || dead[0].ReconsumeTimes != 3 {
		t.Fatalf("dead letters %+v", dead)
	}
	if v, _ := dead[0].Property("DELAY"); string(v) != "0" {
		t.Errorf("a dead letter has DELAY=%s", v)
	}
	if tc, ok := w.topics.Get("%DLQ%g"); !ok || tc.ReadQueueNums != 1 {
		t.Errorf("topic of the dead letters: %+v %v", tc, ok)
	}
	// The consumer chooses: a level, or the dead letters at once.
	if err := back(first.PhysicalOffset, 6); err != nil {
		t.Fatal(err)
	}
	w.waiting(6)
	if err := back(first.PhysicalOffset, -1); err != nil || len(w.stored("%DLQ%g", 0)) != 2 {
		t.Errorf("straight to the dead letters: %v", err)
	}
	if err := back(first.PhysicalOffset+3, 0); code(err) != wire.SystemError {
		t.Errorf("no message there: %v", err)
	}
}

// The consumer's own limit counts, where it sends one.
func TestSendBackWithTheConsumersLimit(t *testing.T) {
	w := start(t, vfs.NewMem(), "messageDelayLevel", hours)
	c := w.client()
	c.send(sendHeader("T"), "x")
	at := w.stored("T", 0)[0].PhysicalOffset
	h := &header.SendBackRequest{Offset: at, Group: "g", OriginTopic: "T", MaxReconsumeTimes: 0, HasMaxReconsumeTimes: true}
	if err := rpc.SendBack(w.ctx, c, w.addr, h); err != nil {
		t.Fatal(err)
	}
	w.wantBodies("%DLQ%g", 0, "x")
}

// When sending back fails, a consumer sends the message to the retry topic itself.
func TestSendToTheRetryTopic(t *testing.T) {
	w := start(t, vfs.NewMem(), "messageDelayLevel", hours)
	c := w.client()
	c.heartbeat("c", "g", "T", "*") // makes group and topic
	h := sendHeader("%RETRY%g", "DELAY", "4", "RETRY_TOPIC", "T")
	h.ReconsumeTimes, h.MaxReconsumeTimes, h.HasMaxReconsumeTimes = 1, 2, true
	c.send(h, "again")
	if rec := w.waiting(4); rec.ReconsumeTimes != 1 {
		t.Errorf("tried %d times", rec.ReconsumeTimes)
	}
	h.ReconsumeTimes = 3
	c.send(h, "dead")
	w.wantBodies("%DLQ%g", 0, "dead")
	w.wantBodies("%RETRY%g", 0, "")
	dead := w.stored("%DLQ%g", 0)[0]
	w.wantProperties(&dead, "DELAY", "4", "RETRY_TOPIC", "T", "CLUSTER", "DefaultCluster", "DLQ_ORIGIN_TOPIC", "T")

	// Who consumes in order sends what has used up its tries, without counting the
	// last one.
	queues := &body.LockBatchRequestBody{ConsumerGroup: "g", ClientID: "c", MqSet: []body.MessageQueue{{Topic: "T", BrokerName: "broker-a"}}}
	cmd, err := c.Invoke(w.ctx, w.addr, &wire.Request{Code: wire.ReqLockBatchMQ, Body: body.Marshal(queues)})
	if err != nil || cmd.Code != wire.Success {
		t.Fatal(cmd, err)
	}
	h.ReconsumeTimes = 2
	c.send(h, "dead in order")
	w.wantBodies("%DLQ%g", 0, "dead dead in order")
}

// TestRetryPolicy: a group's own waits replace delay levels.
func TestRetryPolicy(t *testing.T) {
	w := start(t, vfs.NewMem(), "messageDelayLevel", hours)
	c := w.client()
	g := body.NewSubscriptionGroupConfig("g")
	g.GroupRetryPolicy = &body.GroupRetryPolicy{Type: "EXPONENTIAL", ExponentialRetryPolicy: &body.ExponentialRetryPolicy{Initial: 1, Max: 10, Multiplier: 2}}
	if err := rpc.CreateGroup(w.ctx, c, w.addr, &g); err != nil {
		t.Fatal(err)
	}
	c.heartbeat("c", "g", "T", "*", "%RETRY%g", "*")
	c.send(sendHeader("T", "UNIQ_KEY", "u", "DELAY", "0"), "x")
	topic, at := "T", int64(0)
	for times := int32(1); times <= 2; times++ {
		rec := w.stored(topic, 0)[at]
		if err := rpc.SendBack(w.ctx, c, w.addr, &header.SendBackRequest{Offset: rec.PhysicalOffset, Group: "g", OriginTopic: "T"}); err != nil {
			t.Fatal(err)
		}
		if times == 2 {
			at = 1
		}
		topic = "%RETRY%g"
		if p := c.pull("g", topic, 0, at, time.Minute); p.Code != wire.Success {
			t.Fatalf("retry %d: answered %d", times, p.Code)
		}
		again := w.stored(topic, 0)[at]
		if again.ReconsumeTimes != times || again.StoreTimestamp < rec.StoreTimestamp+int64(times) {
			t.Errorf("retry %d: %d times, %d ms after", times, again.ReconsumeTimes, again.StoreTimestamp-rec.StoreTimestamp)
		}
	}
}

// A wait of the group's that can't be had is cut, or gives way to the levels: what is
// sent back is taken.
func TestRetryPolicyBeyondTheTimers(t *testing.T) {
	const wait = 4 * 24 * time.Hour // timerMaxDelaySec is 3 days
	for timers, topic := range map[string]string{"true": message.TopicTimer, "false": message.TopicSchedule} {
		w := start(t, vfs.NewMem(), "messageDelayLevel", hours, "timerWheelEnable", timers)
		c := w.client()
		g := body.NewSubscriptionGroupConfig("g")
		g.RetryMaxTimes = 1
		g.GroupRetryPolicy = &body.GroupRetryPolicy{Type: "CUSTOMIZED", CustomizedRetryPolicy: &body.CustomizedRetryPolicy{Next: []int64{wait.Milliseconds()}}}
		if err := rpc.CreateGroup(w.ctx, c, w.addr, &g); err != nil {
			t.Fatal(err)
		}
		c.send(sendHeader("T", "UNIQ_KEY", "u"), "x")
		back := func(rec *message.Record) {
			t.Helper()
			if err := rpc.SendBack(w.ctx, c, w.addr, &header.SendBackRequest{Offset: rec.PhysicalOffset, Group: "g", OriginTopic: "T"}); err != nil {
				t.Fatal(err)
			}
		}
		back(&w.stored("T", 0)[0])
		queue, name, value := int32(0), message.PropertyTimerDelayMillis, "259200000"
		if timers == "false" {
			queue, name, value = 2, message.PropertyDelay, "3"
		}
		list := w.stored(topic, queue)
		if len(list) != 1 {
			t.Fatalf("timers %s: %d messages wait", timers, len(list))
		}
		if v, _ := list[0].Property(name); string(v) != value || list[0].ReconsumeTimes != 1 {
			t.Errorf("timers %s: %s=%s, tried %d times", timers, name, v, list[0].ReconsumeTimes)
		}
		back(&list[0]) // that was the last try
		w.wantBodies("%DLQ%g", 0, "x")
	}
}

// Where a dead letter comes from is left out when there is no room for it.
func TestDeadLetterWithoutRoomForItsOrigin(t *testing.T) {
	w := start(t, vfs.NewMem(), "messageDelayLevel", hours)
	c := w.client()
	c.heartbeat("c", "g", "T", "*")
	for i, n := range []int{32_000, 32_620} {
		pad := strings.Repeat("p", n)
		c.send(sendHeader("T", "UNIQ_KEY", "u", "PAD", pad), "x")
		if err := rpc.SendBack(w.ctx, c, w.addr, &header.SendBackRequest{Offset: w.stored("T", 0)[i].PhysicalOffset, Group: "g", DelayLevel: -1, OriginTopic: "T"}); err != nil {
			t.Fatal(err)
		}
		h := sendHeader("%RETRY%g", "DELAY", "4", "RETRY_TOPIC", "T", "PAD", pad, "MORE", strings.Repeat("m", 80))
		h.ReconsumeTimes, h.MaxReconsumeTimes, h.HasMaxReconsumeTimes = 3, 2, true
		c.send(h, "x")
		for _, dead := range w.stored("%DLQ%g", 0)[2*i:] {
			origin, ok := dead.Property(message.PropertyDLQOriginTopic)
			kept, _ := dead.Property("PAD")
			if ok != (i == 0) || ok && string(origin) != "T" || string(kept) != pad {
				t.Errorf("%d bytes: origin %q, %d bytes of the message's own", n, origin, len(kept))
			}
		}
	}
	w.wantBodies("%DLQ%g", 0, "x x x x")
}

// TestTransactionOverTheWire: hidden half, check to another process of the group,
// its commit, all with the requests of clients.
func TestTransactionOverTheWire(t *testing.T) {
	w := start(t, vfs.NewMem(), "transactionTimeOut", "50", "transactionCheckInterval", "60000")
	sender, other := w.client(), w.client()
	half := func(key string) (queue, physical int64) {
		h := sendHeader("T", "TRAN_MSG", "true", "PGROUP", "p", "UNIQ_KEY", key, "WAIT", "true")
		h.SysFlag = int32(message.TransactionPrepared)
		sent := sender.send(h, key)
		_, physical, err := message.ParseOffsetID(string(sent.Header.MsgID))
		if err != nil {
			t.Fatal(err)
		}
		return sent.Header.QueueOffset, physical
	}
	end := func(c *client, queue, physical int64, what message.SysFlag) error {
		return rpc.EndTransaction(w.ctx, c, w.addr, &header.EndTransactionRequest{ProducerGroup: "p", TranStateTableOffset: queue, CommitLogOffset: physical,
			CommitOrRollback: int32(what), MsgID: "u"})
	}
	q, p := half("rolled-back")
	if err := end(sender, q, p, message.TransactionRollback); err != nil {
		t.Fatal(err)
	}
	if err := end(sender, q, p, message.TransactionCommit); code(err) != wire.IllegalOperation {
		t.Errorf("commit after rollback: %v", err)
	}
	if err := end(sender, q, p, message.FlagMultiTags); code(err) != wire.SystemError {
		t.Errorf("neither commit nor rollback: %v", err)
	}
	q, p = half("checked")
	w.wantBodies("T", 0, "")
	unknown := &header.EndTransactionRequest{ProducerGroup: "p", TranStateTableOffset: q, CommitLogOffset: p, MsgID: "u"}
	if err := rpc.EndTransactionOneWay(w.ctx, sender, w.addr, unknown); err != nil {
		t.Fatal(err)
	}
	other.produces("other", "p")
	cmd := other.expect(wire.ReqCheckTransactionState)
	var h header.CheckTransactionRequest
	if err := h.DecodeExt(cmd.Ext); err != nil || h.TranStateTableOffset != q || h.CommitLogOffset != p || h.TransactionID != "checked" {
		t.Fatalf("check %+v %v", h, err)
	}
	if got := bodies(t, cmd.Body); got != "checked" {
		t.Errorf("the check is about %q", got)
	}
	if err := end(other, h.TranStateTableOffset, h.CommitLogOffset, message.TransactionCommit); err != nil {
		t.Fatal(err)
	}
	w.wantBodies("T", 0, "checked")
	if st := w.txn.Stats(); st.Finished["T"].Committed != 1 || st.Finished["T"].RolledBack != 1 || len(st.Pending) != 0 {
		t.Errorf("%+v", st)
	}
}

func TestTransactionsCanBeRejected(t *testing.T) {
	w := start(t, vfs.NewMem(), "rejectTransactionMessage", "true")
	h := sendHeader("T", "TRAN_MSG", "true", "PGROUP", "p")
	w.client().refused(wire.NoPermission, &wire.Request{Code: wire.ReqSendMessageV2, Header: h, Body: []byte("x")}, "rejectTransactionMessage")
}

// Retry and dead letter topics take no half messages; what a consumer sends back
// of a committed message is none, though TRAN_MSG is left over.
func TestRule11NoHalfMessageForARetry(t *testing.T) {
	w := start(t, vfs.NewMem(), "messageDelayLevel", hours)
	c := w.client()
	c.heartbeat("c", "g", "T", "*")
	for _, topic := range []string{"%RETRY%g", "%DLQ%g"} {
		h := sendHeader(topic, "TRAN_MSG", "true", "PGROUP", "p", "UNIQ_KEY", "k")
		h.SysFlag = int32(message.TransactionPrepared)
		if topic == "%DLQ%g" { // it comes into being with the first dead letter
			h2 := sendHeader("%RETRY%g", "DELAY", "4", "RETRY_TOPIC", "T")
			h2.ReconsumeTimes, h2.MaxReconsumeTimes, h2.HasMaxReconsumeTimes = 3, 2, true
			c.send(h2, "dead")
		}
		c.refused(wire.MessageIllegal, &wire.Request{Code: wire.ReqSendMessageV2, Header: h, Body: []byte("x")}, topic, "TRAN_MSG")
	}
	h := sendHeader("%RETRY%g", "DELAY", "4", "RETRY_TOPIC", "T", "TRAN_MSG", "true", "PGROUP", "p", "UNIQ_KEY", "k")
	h.ReconsumeTimes, h.SysFlag = 1, int32(message.TransactionPrepared)
	c.send(h, "again")
	if rec := w.waiting(4); rec.SysFlag.Transaction() != message.TransactionNone || string(rec.Body) != "again" {
		t.Errorf("stored %+v", rec)
	}
	if n := len(w.txn.Stats().Pending); n != 0 {
		t.Errorf("%d topics with half messages", n)
	}
}

// A batch is not transactional.
func TestRule11NoBatchOfHalfMessages(t *testing.T) {
	w := start(t, vfs.NewMem())
	c := w.client()
	b := message.AppendBatch(nil, 1, []byte("x"), nil)
	for _, props := range [][]string{{"TRAN_MSG", "true", "PGROUP", "p"}, {}} {
		h := sendHeader("T", props...)
		h.Batch, h.SysFlag = true, int32(message.TransactionPrepared)
		c.refused(wire.MessageIllegal, &wire.Request{Code: wire.ReqSendBatchMessage, Header: h, Body: b}, "batch", "transactional", "one by one")
	}
	if n := len(w.stored("T", 0)) + len(w.stored(message.TopicHalf, 0)); n != 0 {
		t.Errorf("%d records", n)
	}
}
