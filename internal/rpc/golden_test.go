// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"reflect"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/internal/wire/wiretest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const addr = "broker:10911"

// recorded answers every request as a recording did, and keeps the request.
type recorded struct {
	t      *testing.T
	answer *wire.Command
	err    error

	sent   *wire.Command
	oneWay bool
}

func (r *recorded) take(to string, req *wire.Request) {
	r.t.Helper()
	if to != addr {
		r.t.Errorf("sent to %s", to)
	}
	var d wire.Decoder
	var c wire.Command
	if err := d.Decode(wire.AppendRequest(nil, req)[4:], &c); err != nil {
		r.t.Fatal(err)
	}
	r.sent = c.Clone()
}

func (r *recorded) Invoke(_ context.Context, to string, req *wire.Request) (*wire.Command, error) {
	r.take(to, req)
	return r.answer, r.err
}

func (r *recorded) OneWay(_ context.Context, to string, req *wire.Request) error {
	r.take(to, req)
	r.oneWay = true
	return r.err
}

func decode[H any, P interface {
	*H
	decoder
}](t *testing.T, c *wire.Command) *H {
	t.Helper()
	h := P(new(H))
	if err := h.DecodeExt(c.Ext); err != nil {
		t.Fatal(err)
	}
	return h
}

func unmarshal[B any, P interface {
	*B
	body.Body
}](t *testing.T, text []byte) *B {
	t.Helper()
	b := P(new(B))
	if err := body.Unmarshal(text, b); err != nil {
		t.Fatal(err)
	}
	return b
}

// call makes the request that was recorded by its function, and gives what the
// function returned; done is false for a request without a function.
func call(t *testing.T, c *recorded, req *wire.Command) (got []any, done bool) {
	ctx := context.Background()
	if got, done = callNamesrv(ctx, t, c, req); done {
		return got, true
	}
	if got, done = callStats(ctx, t, c, req); done {
		return got, true
	}
	if got, done = callProgress(ctx, t, c, req); done {
		return got, true
	}
	list := func(v ...any) []any { return v }
	one := func(v any, err error) []any { return []any{v, err} }
	done = true
	switch req.Code {
	case wire.ReqUpdateAndCreateTopic:
		got = list(CreateTopic(ctx, c, addr, decode[header.CreateTopicRequest](t, req)))
	case wire.ReqDeleteTopicInBroker:
		got = list(DeleteTopic(ctx, c, addr, decode[header.DeleteTopicRequest](t, req).Topic))
	case wire.ReqGetAllTopicConfig:
		got = one(AllTopics(ctx, c, addr))
	case wire.ReqUpdateAndCreateSubscriptionGroup:
		got = list(CreateGroup(ctx, c, addr, unmarshal[body.SubscriptionGroupConfig](t, req.Body)))
	case wire.ReqDeleteSubscriptionGroup:
		h := decode[header.DeleteGroupRequest](t, req)
		got = list(DeleteGroup(ctx, c, addr, h.GroupName, h.RemoveOffset))
	case wire.ReqGetAllSubscriptionGroupConfig:
		got = one(AllGroups(ctx, c, addr))
	case wire.ReqGetConsumerConnectionList:
		got = one(ConsumerConnection(ctx, c, addr, decode[header.ConsumerConnectionRequest](t, req).ConsumerGroup))
	case wire.ReqGetProducerConnectionList:
		got = one(ProducerConnection(ctx, c, addr, decode[header.ProducerConnectionRequest](t, req).ProducerGroup))
	case wire.ReqSendMessageV2:
		h := decode[header.SendRequest](t, req)
		if req.IsOneWay() {
			got = list(SendOneWay(ctx, c, addr, h, req.Body))
		} else {
			got = one(Send(ctx, c, addr, h, req.Body))
		}
	case wire.ReqSendBatchMessage:
		got = one(SendBatch(ctx, c, addr, decode[header.SendRequest](t, req), req.Body))
	case wire.ReqEndTransaction:
		h := decode[header.EndTransactionRequest](t, req)
		if req.IsOneWay() {
			got = list(EndTransactionOneWay(ctx, c, addr, h))
		} else {
			got = list(EndTransaction(ctx, c, addr, h))
		}
	case wire.ReqHeartBeat:
		got = list(Heartbeat(ctx, c, addr, unmarshal[body.HeartbeatData](t, req.Body)))
	case wire.ReqUnregisterClient:
		got = list(Unregister(ctx, c, addr, decode[header.UnregisterClientRequest](t, req)))
	case wire.ReqPullMessage:
		got = one(Pull(ctx, c, addr, decode[header.PullRequest](t, req)))
	case wire.ReqQueryConsumerOffset:
		h := decode[header.QueryConsumerOffsetRequest](t, req)
		got = one(QueryOffset(ctx, c, addr, h.ConsumerGroup, h.Topic, h.QueueID))
	case wire.ReqUpdateConsumerOffset:
		h := decode[header.UpdateConsumerOffsetRequest](t, req)
		if req.IsOneWay() {
			got = list(UpdateOffsetOneWay(ctx, c, addr, h.ConsumerGroup, h.Topic, h.QueueID, h.CommitOffset))
		} else {
			got = list(UpdateOffset(ctx, c, addr, h.ConsumerGroup, h.Topic, h.QueueID, h.CommitOffset))
		}
	case wire.ReqGetMaxOffset:
		h := decode[header.MaxOffsetRequest](t, req)
		got = one(MaxOffset(ctx, c, addr, h.Topic, h.QueueID))
	case wire.ReqGetMinOffset:
		h := decode[header.MinOffsetRequest](t, req)
		got = one(MinOffset(ctx, c, addr, h.Topic, h.QueueID))
	case wire.ReqSearchOffsetByTimestamp:
		h := decode[header.SearchOffsetRequest](t, req)
		got = one(SearchOffset(ctx, c, addr, h.Topic, h.QueueID, h.Timestamp))
	case wire.ReqGetEarliestMsgStoreTime:
		h := decode[header.EarliestStoreTimeRequest](t, req)
		got = one(EarliestStoreTime(ctx, c, addr, h.Topic, h.QueueID))
	case wire.ReqViewMessageByID:
		got = one(ViewMessage(ctx, c, addr, decode[header.ViewMessageRequest](t, req).Offset))
	case wire.ReqQueryMessage:
		records, resp, err := QueryMessage(ctx, c, addr, decode[header.QueryMessageRequest](t, req))
		got = list(records, resp, err)
	case wire.ReqGetConsumerListByGroup:
		got = one(ConsumerList(ctx, c, addr, decode[header.ConsumerListRequest](t, req).ConsumerGroup))
	case wire.ReqLockBatchMQ:
		got = one(LockBatch(ctx, c, addr, unmarshal[body.LockBatchRequestBody](t, req.Body)))
	case wire.ReqUnlockBatchMQ:
		got = list(UnlockBatch(ctx, c, addr, unmarshal[body.LockBatchRequestBody](t, req.Body)))
	case wire.ReqConsumerSendMsgBack:
		got = list(SendBack(ctx, c, addr, decode[header.SendBackRequest](t, req)))
	case wire.ReqCheckClientConfig:
		got = list(CheckClientConfig(ctx, c, addr, unmarshal[body.CheckClientRequestBody](t, req.Body)))
	default:
		return callAdmin(ctx, t, c, req)
	}
	return got, done
}

func callNamesrv(ctx context.Context, t *testing.T, c *recorded, req *wire.Command) (got []any, done bool) {
	list := func(v ...any) []any { return v }
	one := func(v any, err error) []any { return []any{v, err} }
	switch req.Code {
	case wire.ReqRegisterBroker:
		h := decode[header.RegisterBrokerRequest](t, req)
		b := unmarshal[body.RegisterBrokerBody](t, req.Body)
		h.BodyCRC32 = 0 // the function computes it
		if req.IsOneWay() {
			got = list(RegisterBrokerOneWay(ctx, c, addr, h, b))
		} else {
			got = one(RegisterBroker(ctx, c, addr, h, b))
		}
	case wire.ReqUnregisterBroker:
		got = list(UnregisterBroker(ctx, c, addr, decode[header.UnregisterBrokerRequest](t, req)))
	case wire.ReqGetRouteInfoByTopic:
		got = one(Route(ctx, c, addr, decode[header.RouteRequest](t, req).Topic))
	case wire.ReqGetBrokerClusterInfo:
		got = one(ClusterInfo(ctx, c, addr))
	case wire.ReqGetAllTopicListFromNameServer:
		got = one(TopicList(ctx, c, addr))
	case wire.ReqDeleteTopicInNamesrv:
		h := decode[header.DeleteTopicNamesrvRequest](t, req)
		got = list(DeleteTopicInNamesrv(ctx, c, addr, h.Topic, h.ClusterName))
	case wire.ReqWipeWritePermOfBroker:
		got = one(WipeWritePerm(ctx, c, addr, decode[header.BrokerNameRequest](t, req).BrokerName))
	case wire.ReqAddWritePermOfBroker:
		got = one(AddWritePerm(ctx, c, addr, decode[header.BrokerNameRequest](t, req).BrokerName))
	case wire.ReqPutKVConfig:
		h := decode[header.PutKVRequest](t, req)
		got = list(PutKV(ctx, c, addr, h.Namespace, h.Key, h.Value))
	case wire.ReqGetKVConfig:
		h := decode[header.GetKVRequest](t, req)
		got = one(GetKV(ctx, c, addr, h.Namespace, h.Key))
	case wire.ReqDeleteKVConfig:
		h := decode[header.DeleteKVRequest](t, req)
		got = list(DeleteKV(ctx, c, addr, h.Namespace, h.Key))
	case wire.ReqGetNamesrvConfig:
		got = one(NamesrvConfig(ctx, c, addr))
	default:
		return nil, false
	}
	return got, true
}

// beside are fields that clients add to the header of a request, or that only some
// write.
var beside = map[string]bool{"Signature": true, "AccessKey": true, "SecurityToken": true, "ReqT": true, "bname": true}

// TestGolden makes every request that was recorded between clients and RocketMQ
// 4.9.8 and for which there is a function: the function must write the recorded
// fields and body, and read the recorded answer.
func TestGolden(t *testing.T) {
	all, err := wiretest.Load(os.DirFS("../../testdata/golden/frames"))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int32]bool{}
	for _, s := range all {
		for _, x := range s.Exchanges() {
			var d wire.Decoder
			var c wire.Command
			if err := d.Decode(x.Request.Payload(), &c); err != nil {
				t.Fatal(err)
			}
			req := c.Clone()
			if x.Answer == nil && !req.IsOneWay() {
				continue
			}
			rec := &recorded{t: t}
			if x.Answer != nil {
				if err := d.Decode(x.Answer.Payload(), &c); err != nil {
					t.Fatal(err)
				}
				rec.answer = c.Clone()
			}
			t.Run(fmt.Sprintf("%s/%d", s.Name, x.Request.Number), func(t *testing.T) {
				rec.t = t
				if got, ok := call(t, rec, req); ok {
					seen[req.Code] = true
					checkRequest(t, req, rec)
					checkResult(t, req, rec.answer, got)
				}
			})
		}
	}
	if len(seen) < 45 {
		t.Errorf("%d kinds of requests were made", len(seen))
	}
}

func checkRequest(t *testing.T, want *wire.Command, rec *recorded) {
	have := rec.sent
	if have.Code != want.Code || rec.oneWay != want.IsOneWay() || have.Version != wire.Version {
		t.Errorf("sent %+v, recorded %+v", have, want)
	}
	for _, f := range want.Ext {
		key := string(f.Key)
		v, ok := have.Ext.Get(key)
		if beside[key] || key == "bodyCrc32" || key == "m" || !ok && len(f.Value) == 0 {
			continue
		}
		if !ok || !bytes.Equal(v, f.Value) {
			t.Errorf("field %s: sent %q, recorded %q", key, v, f.Value)
		}
	}
	if want.Code == wire.ReqRegisterBroker {
		if sum, _ := have.Ext.Get("bodyCrc32"); string(sum) != fmt.Sprint(body.Checksum(have.Body)) {
			t.Errorf("bodyCrc32 %s", sum)
		}
	}
	if len(want.Body) > 0 && want.Body[0] == '{' {
		var bodies = map[int32]func() body.Body{
			wire.ReqRegisterBroker:                   func() body.Body { return new(body.RegisterBrokerBody) },
			wire.ReqHeartBeat:                        func() body.Body { return new(body.HeartbeatData) },
			wire.ReqLockBatchMQ:                      func() body.Body { return new(body.LockBatchRequestBody) },
			wire.ReqUnlockBatchMQ:                    func() body.Body { return new(body.LockBatchRequestBody) },
			wire.ReqCheckClientConfig:                func() body.Body { return new(body.CheckClientRequestBody) },
			wire.ReqUpdateAndCreateSubscriptionGroup: func() body.Body { return new(body.SubscriptionGroupConfig) },
		}
		if empty := bodies[want.Code]; empty != nil {
			h, w := empty(), empty()
			if err := body.Unmarshal(have.Body, h); err != nil {
				t.Fatal(err)
			}
			if err := body.Unmarshal(want.Body, w); err != nil || !reflect.DeepEqual(h, w) {
				t.Errorf("body\nsent     %s\nrecorded %s, %v", have.Body, want.Body, err)
			}
			return
		}
	}
	if !bytes.Equal(have.Body, want.Body) {
		t.Errorf("body: sent %q, recorded %q", have.Body, want.Body)
	}
}

// successes are codes besides Success that come back without an error.
var successes = map[int32][]int32{
	wire.ReqPullMessage: {wire.PullNotFound, wire.PullRetryImmediately, wire.PullOffsetMoved},
}

func checkResult(t *testing.T, req, answer *wire.Command, got []any) {
	err, _ := got[len(got)-1].(error)
	if answer == nil {
		if err != nil {
			t.Error(err)
		}
		return
	}
	if answer.Code != wire.Success && !slices.Contains(successes[req.Code], answer.Code) {
		if code, ok := CodeOf(err); !ok || code != answer.Code {
			t.Errorf("error %v for the code %d", err, answer.Code)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range got[:len(got)-1] {
		checkValue(t, req, answer, v)
	}
}

func checkValue(t *testing.T, req, answer *wire.Command, v any) {
	field := func(key string, have any) {
		t.Helper()
		if want, _ := answer.Ext.Get(key); string(want) != fmt.Sprint(have) {
			t.Errorf("%s: have %v, recorded %s", key, have, want)
		}
	}
	switch v := v.(type) {
	case *Sent:
		field("msgId", string(v.Header.MsgID))
		field("queueId", v.Header.QueueID)
		field("queueOffset", v.Header.QueueOffset)
	case *Pulled:
		field("nextBeginOffset", v.Header.NextBeginOffset)
		field("maxOffset", v.Header.MaxOffset)
		if v.Code != answer.Code || !bytes.Equal(v.Records, answer.Body) {
			t.Errorf("code %d, %d bytes", v.Code, len(v.Records))
		}
	case header.QueryMessageResponse:
		field("indexLastUpdateTimestamp", v.IndexLastUpdateTimestamp)
	case int64:
		if req.Code == wire.ReqGetEarliestMsgStoreTime {
			field("timestamp", v)
		} else {
			field("offset", v)
		}
	case int32:
		field(map[bool]string{true: "wipeTopicCount", false: "addTopicCount"}[req.Code == wire.ReqWipeWritePermOfBroker], v)
	case string:
		field("value", v)
	case []byte:
		if !bytes.Equal(v, answer.Body) {
			t.Errorf("%d bytes of %d", len(v), len(answer.Body))
		}
	case []string:
		for _, s := range v {
			if !bytes.Contains(answer.Body, []byte(`"`+s+`"`)) {
				t.Errorf("%q is not in %s", s, answer.Body)
			}
		}
		if want := bytes.Count(answer.Body, []byte(`"`))/2 - 1; len(v) != want {
			t.Errorf("%d names of %s", len(v), answer.Body)
		}
	case map[string]string: // properties, or a table in JSON
		for name, value := range v {
			if !bytes.Contains(answer.Body, []byte(`"`+name+`":"`+value+`"`)) && !bytes.Contains(answer.Body, []byte(name+"="+value+"\n")) {
				t.Errorf("%q: %q is not in %s", name, value, answer.Body)
			}
		}
		want := bytes.Count(answer.Body, []byte(`":"`))
		if answer.Body[0] != '{' {
			want = bytes.Count(answer.Body, []byte("\n")) - bytes.Count(answer.Body, []byte("\n\n"))
		}
		if len(v) != want {
			t.Errorf("%d values of %d: %s", len(v), want, answer.Body)
		}
	case map[body.MessageQueue]int64:
		checkOffsets(t, answer, v)
	case []body.MessageQueue:
		if want := bytes.Count(answer.Body, []byte("queueId")); len(v) != want {
			t.Errorf("%d queues of %s", len(v), answer.Body)
		}
	case body.DataVersion:
		field("version", string(body.Marshal(&v)))
	case map[string][]body.ProducerInfo:
		checkValue(t, req, answer, &body.ProducerTableInfo{Data: v})
	case *Registration:
		if len(v.OrderConf) != 0 || v.OrderConf == nil {
			t.Errorf("order configuration %v of %s", v.OrderConf, answer.Body)
		}
		field("masterAddr", v.MasterAddr)
		field("haServerAddr", v.HAServerAddr)
	case body.Body:
		// Reading is tested where the type is: here, that it is this answer.
		want := reflect.New(reflect.TypeOf(v).Elem()).Interface().(body.Body)
		if err := body.Unmarshal(answer.Body, want); err != nil || !reflect.DeepEqual(v, want) {
			t.Errorf("have %+v, recorded %s, %v", v, answer.Body, err)
		}
	default:
		t.Errorf("%T is not checked", v)
	}
}
