// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package header

import (
	"errors"
	"reflect"
	"testing"

	"github.com/twostage/twostage/internal/wire"
)

// fuzzFamily reads fields drawn by the fuzzer (as a command in a frame) into
// each type of a family; what it reads must come back from what it writes.
func fuzzFamily(f *testing.F, types ...Codec) {
	wanted := map[reflect.Type]bool{}
	for _, h := range types {
		wanted[reflect.TypeOf(h)] = true
	}
	var d wire.Decoder
	var c wire.Command
	seeds := 0
	for _, s := range golden(f) {
		for i := range s.Frames {
			fr := &s.Frames[i]
			h := Request(fr.Kind.Code)
			if fr.Kind.Response {
				h = Response(fr.Kind.Request)
			}
			if h != nil && wanted[reflect.TypeOf(h)] && seeds < 40 {
				seeds++
				f.Add(fr.Payload())
			}
		}
	}
	f.Add([]byte{1, 0, 0, 21, 0, 10, 9, 1, 0x99, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, frame []byte) {
		if d.Decode(frame, &c) != nil {
			return
		}
		for _, h := range types {
			h := empty(h)
			if err := h.DecodeExt(c.Ext); err != nil {
				var e *Error
				if !errors.As(err, &e) || e.Header != reflect.TypeOf(h).Elem().Name() {
					t.Fatalf("%T: %v", h, err)
				}
				continue
			}
			again := empty(h)
			if err := again.DecodeExt(encoded(t, h)); err != nil {
				t.Fatalf("%T: %v", h, err)
			}
			if a, b := normal(h), normal(again); !reflect.DeepEqual(a, b) {
				t.Fatalf("%+v becomes\n%+v", a, b)
			}
		}
	})
}

func FuzzSend(f *testing.F) {
	fuzzFamily(f, &SendRequest{}, &SendRequestV1{}, &SendResponse{}, &ReplyRequest{})
}

func FuzzPull(f *testing.F) { fuzzFamily(f, &PullRequest{}, &PullResponse{}) }

func FuzzOffset(f *testing.F) {
	fuzzFamily(f, &QueryConsumerOffsetRequest{}, &UpdateConsumerOffsetRequest{}, &SearchOffsetRequest{},
		&MaxOffsetRequest{}, &MinOffsetRequest{}, &EarliestStoreTimeRequest{}, &OffsetResponse{}, &StoreTimeResponse{})
}

func FuzzQuery(f *testing.F) {
	fuzzFamily(f, &QueryMessageRequest{}, &QueryMessageResponse{}, &ViewMessageRequest{})
}

func FuzzClient(f *testing.F) {
	fuzzFamily(f, &UnregisterClientRequest{}, &ConsumerListRequest{}, &ConsumerIDsChangedRequest{},
		&ConsumerConnectionRequest{}, &ProducerConnectionRequest{}, &SendBackRequest{})
}

func FuzzTransaction(f *testing.F) {
	fuzzFamily(f, &EndTransactionRequest{}, &CheckTransactionRequest{}, &ResumeCheckRequest{})
}

func FuzzTopicAndGroup(f *testing.F) {
	fuzzFamily(f, &CreateTopicRequest{}, &DeleteTopicRequest{}, &DeleteTopicNamesrvRequest{}, &TopicRequest{},
		&AllTopicConfigRequest{}, &AllTopicConfigResponse{}, &GroupRequest{}, &DeleteGroupRequest{},
		&AllGroupConfigRequest{}, &ConsumeStatsRequest{}, &ConsumeTimeSpanRequest{}, &CorrectionOffsetRequest{},
		&CloneGroupOffsetRequest{}, &SubscriptionRequest{}, &GroupForbiddenRequest{})
}

func FuzzAdmin(f *testing.F) {
	fuzzFamily(f, &ResetOffsetRequest{}, &ConsumerStatusRequest{}, &RunningInfoRequest{}, &ConsumeDirectlyRequest{},
		&BrokerStatsRequest{}, &BrokerConsumeStatsRequest{}, &ConsumeQueueRequest{}, &BrokerConfigResponse{})
}

func FuzzNamesrv(f *testing.F) {
	fuzzFamily(f, &PutKVRequest{}, &GetKVRequest{}, &GetKVResponse{}, &DeleteKVRequest{}, &KVListRequest{},
		&RegisterBrokerRequest{}, &RegisterBrokerResponse{}, &UnregisterBrokerRequest{}, &DataVersionRequest{},
		&DataVersionResponse{}, &BrokerHeartbeatRequest{}, &RouteRequest{}, &ClusterTopicsRequest{},
		&BrokerNameRequest{}, &WipeWritePermResponse{}, &AddWritePermResponse{}, &MemberGroupRequest{})
}

func FuzzInspector(f *testing.F) {
	fuzzFamily(f, &TxListRequest{}, &TxRequest{}, &TxDecideRequest{}, &TxResponse{})
}
