// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package body

import (
	"bytes"
	"reflect"
	"testing"
)

// bodies returns an empty body of every type.
func bodies() []Body {
	return []Body{
		new(PopCheckPoint), new(AckMsg), new(BatchAckRequest), new(ConsumerOrderInfo), new(PopNote),
		new(BrokerStatsData), new(CheckClientRequestBody), new(ClusterInfo), new(ConsumeMessageDirectlyResult),
		new(ConsumeStats), new(ConsumeStatsList), new(ConsumerConnection), new(ConsumerFilterTable),
		new(ConsumerOffsetSerializeWrapper), new(ConsumerRunningInfo), new(CreateTopicListRequestBody), new(DataVersion),
		new(DelayOffsetSerializeWrapper), new(GetConsumerListByGroupResponseBody), new(GetConsumerStatusBody), new(GroupList),
		new(HeartbeatData), new(KVConfigSerializeWrapper), new(KVTable), new(LockBatchRequestBody), new(LockBatchResponseBody),
		new(ProducerConnection), new(ProducerTableInfo), new(QueryConsumeQueueResponseBody), new(QueryConsumeTimeSpanBody),
		new(QueryCorrectionOffsetBody), new(QuerySubscriptionResponseBody), new(RegisterBrokerBody), new(ResetOffsetBody),
		new(ResetOffsetBodyForC), new(SubscriptionGroupConfig), new(SubscriptionGroupList), new(SubscriptionGroupWrapper),
		new(TopicConfig), new(TopicConfigSerializeWrapper), new(TopicList), new(TopicRouteData), new(TopicStatsTable),
		new(TransactionList), new(TransactionStory), new(RequestModeConfig), new(RequestModeTable),
		new(QueryAssignmentRequestBody), new(QueryAssignmentResponseBody), new(GroupForbidden), new(GetBrokerMemberGroupResponseBody),
	}
}

// Every type can be written, and an empty value comes back as itself.
func TestEmptyBodies(t *testing.T) {
	for _, b := range bodies() {
		first := Marshal(b)
		if err := Unmarshal(first, b); err != nil {
			t.Errorf("%T %s: %v", b, first, err)
			continue
		}
		if second := Marshal(b); !bytes.Equal(first, second) {
			t.Errorf("%T %s comes back as %s", b, first, second)
		}
	}
}

// FuzzUnmarshal holds each decoder to: no panic, and what it made of the text
// comes back unchanged from all three ways of writing it.
func FuzzUnmarshal(f *testing.F) {
	all := bodies()
	kind := map[reflect.Type]byte{}
	for i, b := range all {
		kind[reflect.TypeOf(b)] = byte(i)
		f.Add(byte(i), Marshal(b))
	}
	for _, r := range recordedBodies(f) {
		if len(r.text) < 2000 {
			f.Add(kind[reflect.TypeOf(r.body)], r.text)
		}
	}
	for name, text := range configFiles(f) {
		if len(text) < 2000 {
			f.Add(kind[reflect.TypeOf(configBody(f, name))], text)
		}
	}
	f.Fuzz(func(t *testing.T, i byte, text []byte) {
		typ := reflect.TypeOf(all[int(i)%len(all)]).Elem()
		b := reflect.New(typ).Interface().(Body)
		if Unmarshal(text, b) != nil {
			return
		}
		first := Marshal(b)
		for _, form := range [][]byte{first, MarshalStandard(b), MarshalConfig(b)} {
			again := reflect.New(typ).Interface().(Body)
			if err := Unmarshal(form, again); err != nil {
				t.Fatalf("%T %s cannot be read again: %v", b, form, err)
			}
			if second := Marshal(again); !bytes.Equal(first, second) {
				t.Fatalf("%T %s comes back as %s", b, first, second)
			}
		}
	})
}
