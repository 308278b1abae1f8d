// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package body

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

// TestPopGoldens holds the bodies to the text that Java writes and reads: names
// and order of fields are those of its annotated classes.
func TestPopGoldens(t *testing.T) {
	for text, want := range map[string]Body{
		`{"bm":5,"bn":"b","c":"g","d":[0,2],"it":60000,"n":2,"pt":17,"q":3,"ro":0,"rp":"1","so":9,"t":"T"}`: &PopCheckPoint{
			BitMap: 5, BrokerName: "b", Group: "g", QueueOffsetDiff: []int32{0, 2}, InvisibleTime: 60000, Num: 2, PopTime: 17, QueueID: 3, RePutTimes: "1", StartOffset: 9, Topic: "T"},
		`{"ao":11,"bn":"b","c":"g","pt":17,"q":3,"so":9,"t":"T"}`:              &AckMsg{AckOffset: 11, BrokerName: "b", Group: "g", PopTime: 17, QueueID: 3, StartOffset: 9, Topic: "T"},
		`{"ao":-1,"aol":[9,11],"bn":"b","c":"g","pt":17,"q":3,"so":9,"t":"T"}`: &AckMsg{AckOffset: -1, AckOffsetList: []int64{9, 11}, BrokerName: "b", Group: "g", PopTime: 17, QueueID: 3, StartOffset: 9, Topic: "T"},
		`{"acks":[{"b":"BQ==","c":"g","it":60000,"pt":17,"q":3,"r":"1","rq":4,"so":9,"t":"T"}],"brokerName":"b"}`: &BatchAckRequest{BrokerName: "b",
			Acks: []BatchAck{{BitSet: "BQ==", ConsumerGroup: "g", InvisibleTime: 60000, PopTime: 17, QueueID: 3, Retry: "1", ReviveQueueID: 4, StartOffset: 9, Topic: "T"}}},
		`{"table":{"T@g":{3:{"a":"at","cm":2,"i":60000,"l":18,"o":[9,2],"oc":{9:1},"ot":{9:77},"popTime":17}}}}`: &ConsumerOrderInfo{
			Table: map[string]map[int32]*OrderInfo{"T@g": {3: {AttemptID: "at", Committed: 2, Invisible: 60000, Last: 18, Offsets: []int64{9, 2},
				Consumed: map[int64]int32{9: 1}, NextVisible: map[int64]int64{9: 77}, PopTime: 17}}}},
		`{"table":{"T@g":{3:{"ak":[11,14],"at":4711,"cm":0,"i":60000,"l":18,"o":[9],"popTime":17}}}}`: &ConsumerOrderInfo{
			Table: map[string]map[int32]*OrderInfo{"T@g": {3: {Invisible: 60000, Last: 18, Offsets: []int64{9}, PopTime: 17, Acked: []int64{11, 14}, At: 4711}}}},
	} {
		if got := string(Marshal(want)); got != text {
			t.Errorf("written\n%s, want\n%s", got, text)
		}
		got := reflect.New(reflect.TypeOf(want).Elem()).Interface().(Body)
		if err := Unmarshal([]byte(text), got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s is read as %+v, %v", text, got, err)
		}
	}
	var a AckMsg
	if err := Unmarshal([]byte(`{"ackOffset":5,"consumerGroup":"g","topic":"T","popTime":8,"queueId":1,"startOffset":4}`), &a); err != nil ||
		!reflect.DeepEqual(a, AckMsg{AckOffset: 5, Group: "g", Topic: "T", PopTime: 8, QueueID: 1, StartOffset: 4}) {
		t.Errorf("long names: %+v, %v", a, err)
	}
}

func TestBatchAckOffsets(t *testing.T) {
	var b BatchAck
	b.SetOffsets(100, 100, 101, 108, 131)
	if b.BitSet != "AwEAgA==" {
		t.Errorf("the bit set is %q", b.BitSet)
	}
	if got, err := b.Offsets(); err != nil || !slices.Equal(got, []int64{100, 101, 108, 131}) {
		t.Errorf("%d, %v", got, err)
	}
	b.BitSet = "%"
	if _, err := b.Offsets(); err == nil {
		t.Error("no error for what is not base64")
	}
}

func TestPopRefusals(t *testing.T) {
	falling := `{"table":{"T@g":{0:{"o":[9],"ak":[14,11]}}}}`
	if err := Unmarshal([]byte(falling), new(ConsumerOrderInfo)); err == nil || !strings.Contains(err.Error(), "do not rise") {
		t.Errorf("%s: %v", falling, err)
	}
	for text, words := range map[string]string{
		`{"t":"T","c":"g","n":33}`:            "33 messages",
		`{"t":"T","c":"g","n":2,"d":[0]}`:     "1 offsets",
		`{"t":"T","c":"g","n":1,"d":[-1]}`:    "before its start",
		`{"t":"T","c":"g","so":-1}`:           "at -1",
		`{"t":"T","c":"g","n":1,"d":{"a":1}}`: "have object",
	} {
		if err := Unmarshal([]byte(text), new(PopCheckPoint)); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v, want %q", text, err, words)
		}
	}
}
