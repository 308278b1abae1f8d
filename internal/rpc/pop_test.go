// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
)

func fields(pairs ...string) (f wire.Fields) {
	for i := 0; i < len(pairs); i += 2 {
		f = append(f, wire.Field{Key: []byte(pairs[i]), Value: []byte(pairs[i+1])})
	}
	return f
}

// wantSent compares the fields of the request that was sent with name, value, ...
func (r *recorded) wantSent(code int32, pairs ...string) {
	r.t.Helper()
	if r.sent.Code != code || len(r.sent.Ext) != len(pairs)/2 {
		r.t.Errorf("sent %d with %d fields, want %d with %d", r.sent.Code, len(r.sent.Ext), code, len(pairs)/2)
	}
	for i := 0; i < len(pairs); i += 2 {
		if v, ok := r.sent.Ext.Get(pairs[i]); !ok || string(v) != pairs[i+1] {
			r.t.Errorf("field %s: sent %q, %v, want %q", pairs[i], v, ok, pairs[i+1])
		}
	}
}

func TestPop(t *testing.T) {
	c := &recorded{t: t, answer: &wire.Command{Body: []byte("records"), Ext: fields(
		"popTime", "5", "invisibleTime", "6", "reviveQid", "7", "restNum", "8", "startOffsetInfo", "0 1 2", "msgOffsetInfo", "0 1 2")}}
	h := &header.PopRequest{ConsumerGroup: "g", Topic: "T", QueueID: -1, MaxMsgNums: 32, InvisibleTime: 60000, PollTime: 15000, BornTime: 9, InitMode: 1, ExpType: "TAG", Exp: "a || b", Order: true, AttemptID: "x"}
	p, err := Pop(t.Context(), c, addr, h)
	want := header.PopResponse{PopTime: 5, InvisibleTime: 6, ReviveQID: 7, RestNum: 8, StartOffsetInfo: "0 1 2", MsgOffsetInfo: "0 1 2"}
	if err != nil || p.Code != wire.Success || string(p.Records) != "records" || p.Header != want {
		t.Errorf("%+v, %v", p, err)
	}
	c.wantSent(wire.ReqPopMessage, "consumerGroup", "g", "topic", "T", "queueId", "-1", "maxMsgNums", "32", "invisibleTime", "60000",
		"pollTime", "15000", "bornTime", "9", "initMode", "1", "expType", "TAG", "exp", "a || b", "order", "true", "attemptId", "x")
	for _, code := range []int32{wire.PollingTimeout, wire.PollingFull, wire.PullNotFound} {
		c.answer = &wire.Command{Code: code} // some say nothing in the header then
		if p, err := Pop(t.Context(), c, addr, h); err != nil || p.Code != code || len(p.Records) != 0 {
			t.Errorf("answered %d: %+v, %v", code, p, err)
		}
	}
	c.answer = &wire.Command{}
	if _, err := Pop(t.Context(), c, addr, h); err == nil || !strings.Contains(err.Error(), "popTime") {
		t.Errorf("an answer without header: %v", err)
	}
	c.answer = &wire.Command{Code: wire.NoPermission}
	if _, err := Pop(t.Context(), c, addr, h); !errors.Is(err, NoPermission) {
		t.Errorf("%v", err)
	}
}

func TestAcks(t *testing.T) {
	c := &recorded{t: t, answer: &wire.Command{}}
	if err := Ack(t.Context(), c, addr, &header.AckRequest{ConsumerGroup: "g", Topic: "T", QueueID: 1, ExtraInfo: "handle", Offset: 2}); err != nil {
		t.Error(err)
	}
	c.wantSent(wire.ReqAckMessage, "consumerGroup", "g", "topic", "T", "queueId", "1", "extraInfo", "handle", "offset", "2")
	batch := &body.BatchAckRequest{BrokerName: "b", Acks: []body.BatchAck{{ConsumerGroup: "g", Topic: "T", Retry: "0", QueueID: 1, PopTime: 5, InvisibleTime: 6, ReviveQueueID: 7}}}
	batch.Acks[0].SetOffsets(100, 100, 103, 109)
	if err := AckBatch(t.Context(), c, addr, batch); err != nil || !reflect.DeepEqual(unmarshal[body.BatchAckRequest](t, c.sent.Body), batch) {
		t.Errorf("%s, %v", c.sent.Body, err)
	}
	c.wantSent(wire.ReqBatchAckMessage)
	c.answer = &wire.Command{Code: wire.NoMessage}
	if err := Ack(t.Context(), c, addr, &header.AckRequest{}); !errors.Is(err, Code(wire.NoMessage)) {
		t.Errorf("%v", err)
	}
}

func TestChangeInvisible(t *testing.T) {
	c := &recorded{t: t, answer: &wire.Command{Ext: fields("popTime", "5", "invisibleTime", "6", "reviveQid", "7")}}
	h := &header.ChangeInvisibleRequest{ConsumerGroup: "g", Topic: "T", QueueID: 1, ExtraInfo: "handle", Offset: 2, InvisibleTime: 3}
	resp, err := ChangeInvisible(t.Context(), c, addr, h)
	if err != nil || resp != (header.ChangeInvisibleResponse{PopTime: 5, InvisibleTime: 6, ReviveQID: 7}) {
		t.Errorf("%+v, %v", resp, err)
	}
	c.wantSent(wire.ReqChangeMessageInvisibleTime, "consumerGroup", "g", "topic", "T", "queueId", "1", "extraInfo", "handle", "offset", "2", "invisibleTime", "3")
	c.answer = &wire.Command{}
	if _, err := ChangeInvisible(t.Context(), c, addr, h); err == nil || !strings.Contains(err.Error(), "popTime") {
		t.Errorf("an answer without header: %v", err)
	}
}

func TestAssignment(t *testing.T) {
	c := &recorded{t: t, answer: &wire.Command{Body: []byte(`{"messageQueueAssignments":[{"messageQueue":{"topic":"T","brokerName":"b","queueId":-1},"mode":"POP"}]}`)}}
	q := &body.QueryAssignmentRequestBody{Topic: "T", ConsumerGroup: "g", ClientID: "c", StrategyName: "AVG", MessageModel: body.Clustering}
	all, ok, err := Assignment(t.Context(), c, addr, q)
	want := []body.MessageQueueAssignment{{MessageQueue: body.MessageQueue{Topic: "T", BrokerName: "b", QueueID: -1}, Mode: body.RequestPop}}
	if err != nil || !ok || !reflect.DeepEqual(all, want) || *unmarshal[body.QueryAssignmentRequestBody](t, c.sent.Body) != *q || c.sent.Code != wire.ReqQueryAssignment {
		t.Errorf("%+v, %v, %v; sent %s", all, ok, err, c.sent.Body)
	}
	c.answer.Body = []byte(`{"messageQueueAssignments":[]}`)
	if all, ok, err := Assignment(t.Context(), c, addr, q); err != nil || !ok || len(all) != 0 {
		t.Errorf("nothing: %+v, %v, %v", all, ok, err)
	}
	c.answer.Body = []byte(`{}`)
	if _, ok, err := Assignment(t.Context(), c, addr, q); err != nil || ok {
		t.Errorf("as before: %v, %v", ok, err)
	}
}
