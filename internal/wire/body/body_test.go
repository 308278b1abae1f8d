// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package body

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/wire/fastjson"
)

func TestUnmarshalDefaults(t *testing.T) {
	tests := []struct {
		text string
		want Body
	}{
		{`{}`, &TopicConfig{ReadQueueNums: 16, WriteQueueNums: 16, Perm: 6, TopicFilterType: "SINGLE_TAG"}},
		{`{"topicConfigTable":{"a":{"perm":2},"b":{"topicName":"B","order":null}},"new":[1]}`, &TopicConfigSerializeWrapper{
			TopicConfigTable: map[string]TopicConfig{
				"a": {TopicName: "a", ReadQueueNums: 16, WriteQueueNums: 16, Perm: 2, TopicFilterType: "SINGLE_TAG"},
				"b": {TopicName: "B", ReadQueueNums: 16, WriteQueueNums: 16, Perm: 6, TopicFilterType: "SINGLE_TAG"},
			}}},
		{`{"subscriptionGroupTable":{"g":{"consumeEnable":false}}}`, &SubscriptionGroupWrapper{
			SubscriptionGroupTable: map[string]SubscriptionGroupConfig{"g": {GroupName: "g", ConsumeFromMinEnable: true,
				ConsumeBroadcastEnable: true, NotifyConsumerIDsChangedEnable: true, RetryQueueNums: 1, RetryMaxTimes: 16,
				WhichBrokerWhenConsumeSlowly: 1}}}},
		{`{"subscriptionData":{"topic":"t","subVersion":null},"group":null}`,
			&CheckClientRequestBody{SubscriptionData: &SubscriptionData{Topic: "t", ExpressionType: "TAG"}}},
		{`{"subscriptionData":null}`, &CheckClientRequestBody{}},
	}
	for _, test := range tests {
		got := reflect.New(reflect.TypeOf(test.want).Elem()).Interface().(Body)
		if err := Unmarshal([]byte(test.text), got); err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s:\n%+v, %v; want\n%+v", test.text, got, err, test.want)
		}
	}
}

// A C++ client writes with blanks and a line end, leaves empty sets out, and
// sends subVersion as a string. Enums may be ordinals.
func TestHeartbeatOfOtherClients(t *testing.T) {
	text := ` {"clientID" : "c", "consumerDataSet":[{"groupName":"g","consumeType":1,"messageModel":0,"consumeFromWhere":4,
"subscriptionDataSet":[{"topic":"t","subString":"A || B","subVersion":"1795362583431289453","tagsSet":["A"],"codeSet":["-65",66]}]}]}
`
	got := HeartbeatData{ProducerDataSet: []ProducerData{{GroupName: "left over"}}}
	if err := Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	want := HeartbeatData{ClientID: "c", ConsumerDataSet: []ConsumerData{{
		GroupName: "g", ConsumeType: ConsumePassively, MessageModel: Broadcasting, ConsumeFromWhere: ConsumeFromFirstOffset,
		SubscriptionDataSet: []SubscriptionData{{Topic: "t", SubString: "A || B", ExpressionType: "TAG",
			SubVersion: 1795362583431289453, TagsSet: []string{"A"}, CodeSet: []int32{-65, 66}}},
	}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
}

// The 5.x forms go through unchanged.
func TestNewerForms(t *testing.T) {
	tests := []struct {
		body Body
		text string
	}{
		{new(DataVersion), `{"counter":3,"stateVersion":1,"timestamp":1795363558012}`},
		{new(HeartbeatData), `{"clientID":"c","consumerDataSet":[{"consumeType":"CONSUME_POP","groupName":"g","messageModel":"NEW","subscriptionDataSet":[],"unitMode":true}],"heartbeatFingerprint":-5,"producerDataSet":[{"groupName":"p"}],"withoutSub":true}`},
		{new(TopicConfig), `{"attributes":{"message.type":"FIFO"},"order":true,"perm":7,"readQueueNums":1,"topicFilterType":"MULTI_TAG","topicName":"t","topicSysFlag":1,"writeQueueNums":2}`},
		{new(SubscriptionGroupConfig), `{"attributes":{"a":"b"},"brokerId":0,"consumeBroadcastEnable":true,"consumeEnable":true,"consumeFromMinEnable":true,"consumeMessageOrderly":true,"consumeTimeoutMinute":15,"groupName":"g","groupRetryPolicy":{"customizedRetryPolicy":{"next":[1000,5000]},"exponentialRetryPolicy":{"initial":5000,"max":7200000,"multiplier":2},"type":"CUSTOMIZED"},"groupSysFlag":1,"notifyConsumerIdsChangedEnable":true,"retryMaxTimes":16,"retryQueueNums":1,"subscriptionDataSet":[{"expression":"*","expressionType":"TAG","topic":"t","version":7}],"whichBrokerWhenConsumeSlowly":1}`},
		{new(SubscriptionGroupWrapper), `{"dataVersion":{"counter":0,"timestamp":0},"forbiddenTable":{"g":{"t":4}},"subscriptionGroupTable":{}}`},
		{new(ConsumerOffsetSerializeWrapper), `{"dataVersion":{"counter":9,"timestamp":1},"offsetTable":{"t@g":{0:7,1:9223372036854775807,10:-1}}}`},
		{new(DelayOffsetSerializeWrapper), `{"dataVersion":{"counter":9,"timestamp":1},"offsetTable":{1:5,18:2}}`},
		{new(TopicConfigSerializeWrapper), `{"dataVersion":{"counter":0,"timestamp":0},"mappingDataVersion":{"counter":1,"timestamp":2},"topicConfigTable":{},"topicQueueMappingInfoMap":{"t":{"bname":"b","currIdMap":{0:1},"dirty":false,"epoch":3,"scope":"__global__","topic":"t","totalQueues":2}}}`},
		{new(TopicRouteData), `{"brokerDatas":[{"brokerAddrs":{0:"h:1",1:"h:2"},"brokerName":"b","cluster":"c","enableActingMaster":true,"zoneName":"z"}],"filterServerTable":{"h:1":["f"]},"orderTopicConf":"b:4","queueDatas":[],"topicQueueMappingByBroker":{"b":{"currIdMap":{},"dirty":true,"epoch":0,"totalQueues":0}}}`},
		{new(LockBatchRequestBody), `{"clientId":"c","consumerGroup":"g","mqSet":[],"onlyThisBroker":true}`},
		{new(TopicStatsTable), `{"offsetTable":{{"brokerName":"b","queueId":9,"topic":"t"}:{"lastUpdateTimestamp":1,"maxOffset":2,"minOffset":0},{"brokerName":"b","queueId":10,"topic":"t"}:{"lastUpdateTimestamp":1,"maxOffset":2,"minOffset":0}},"topicPutTps":1.5}`},
		{new(GetConsumerStatusBody), `{"consumerTable":{"c":{{"brokerName":"b","queueId":0,"topic":"t"}:5}},"messageQueueTable":{}}`},
		{new(QueryConsumeTimeSpanBody), `{"consumeTimeSpanSet":[{"consumeTimeStamp":3,"delayTime":4,"maxTimeStamp":2,"messageQueue":{"brokerName":"b","queueId":0,"topic":"t"},"minTimeStamp":1}]}`},
		{new(QueryCorrectionOffsetBody), `{"correctionOffsets":{0:5,3:9}}`},
		{new(ResetOffsetBodyForC), `{"offsetTable":[{"brokerName":"b","offset":5,"queueId":0,"topic":"t"}]}`},
		{new(KVConfigSerializeWrapper), `{"configTable":{"ORDER_TOPIC_CONFIG":{"t":"b:4"}}}`},
		{new(CreateTopicListRequestBody), `{"topicConfigList":[{"order":false,"perm":6,"readQueueNums":8,"topicFilterType":"SINGLE_TAG","topicName":"t","topicSysFlag":0,"writeQueueNums":8}]}`},
		{new(SubscriptionGroupList), `{"groupConfigList":[]}`},
		{new(QuerySubscriptionResponseBody), `{"group":"g","subscriptionData":{"classFilterMode":false,"codeSet":[],"expressionType":"SQL92","subString":"a > 1","subVersion":0,"tagsSet":[],"topic":"t"},"topic":"t"}`},
	}
	for _, test := range tests {
		if err := Unmarshal([]byte(test.text), test.body); err != nil {
			t.Errorf("%T: %v", test.body, err)
			continue
		}
		if got := Marshal(test.body); string(got) != test.text {
			t.Errorf("%T comes out as\n%s, was\n%s", test.body, got, test.text)
		}
		standard := MarshalStandard(test.body)
		if err := Unmarshal(standard, test.body); err != nil || string(Marshal(test.body)) != test.text {
			t.Errorf("%T from standard JSON: %v, %s", test.body, err, Marshal(test.body))
		}
		if err := Unmarshal(MarshalConfig(test.body), test.body); err != nil || string(Marshal(test.body)) != test.text {
			t.Errorf("%T from config layout: %v, %s", test.body, err, Marshal(test.body))
		}
	}
}

// The name server's two answers for the same route.
func TestRouteDialects(t *testing.T) {
	route := &TopicRouteData{BrokerDatas: []BrokerData{{Cluster: "c", BrokerName: "b", BrokerAddrs: map[int64]string{1: "h:2", 0: "h:1"}}}}
	bare := `{"brokerDatas":[{"brokerAddrs":{0:"h:1",1:"h:2"},"brokerName":"b","cluster":"c"}],"filterServerTable":{},"queueDatas":[]}`
	if got := string(Marshal(route)); got != bare {
		t.Errorf("dialect: %s", got)
	}
	standard := strings.NewReplacer(`{0:`, `{"0":`, `,1:`, `,"1":`).Replace(bare)
	if got := string(MarshalStandard(route)); got != standard {
		t.Errorf("standard: %s", got)
	}
}

func TestUnmarshalErrors(t *testing.T) {
	tests := []struct {
		body       Body
		text, want string
	}{
		{new(HeartbeatData), ``, "heartbeat: empty"},
		{new(HeartbeatData), " \n", "heartbeat: empty"},
		{new(HeartbeatData), `null`, "heartbeat: not a JSON object"},
		{new(HeartbeatData), `[]`, "heartbeat: not a JSON object"},
		{new(HeartbeatData), `{"clientID":"c"`, "heartbeat: byte 15: the text ends where '}' is wanted"},
		{new(HeartbeatData), `{"clientID":1}`, "heartbeat: field clientID: have number, want string"},
		{new(HeartbeatData), `{"consumerDataSet":{}}`, "heartbeat: field consumerDataSet: have object, want []body.ConsumerData"},
		{new(HeartbeatData), `{"consumerDataSet":[{"unitMode":"true"}]}`, "heartbeat: field consumerDataSet.unitMode: have string, want bool"},
		{new(HeartbeatData), `{"consumerDataSet":[{"consumeType":3}]}`, "heartbeat: field consumerDataSet.consumeType: have number 3, want body.ConsumeType"},
		{new(HeartbeatData), `{"consumerDataSet":[{"messageModel":-1}]}`, "heartbeat: field consumerDataSet.messageModel: have number -1, want body.MessageModel"},
		{new(HeartbeatData), `{"consumerDataSet":[{"consumeFromWhere":true}]}`, "heartbeat: field consumerDataSet.consumeFromWhere: have bool, want string"},
		{new(HeartbeatData), `{"consumerDataSet":[{"subscriptionDataSet":[{"subVersion":"x"}]}]}`,
			`heartbeat: field consumerDataSet.subscriptionDataSet.subVersion: have string "x", want int64`},
		{new(HeartbeatData), `{"consumerDataSet":[{"subscriptionDataSet":[{"codeSet":[2147483648]}]}]}`,
			`heartbeat: field consumerDataSet.subscriptionDataSet.codeSet: have number 2147483648, want int32`},
		{new(HeartbeatData), `{"consumerDataSet":[{"subscriptionDataSet":[null]}]}`, "heartbeat: null entry in a table"},
		{new(LockBatchRequestBody), `{"mqSet":[null]}`, "lock request: null entry in a table"},
		{new(LockBatchRequestBody), `{"mqSet":[{"queueId":4294967296}]}`, "lock request: field mqSet.queueId: have number 4294967296, want int32"},
		{new(TopicConfigSerializeWrapper), `{"topicConfigTable":{"t":null}}`, "topic table: null entry in a table"},
		{new(TopicConfigSerializeWrapper), `{"topicConfigTable":{"t":{"perm":6.5}}}`, "topic table: field topicConfigTable.perm: have number 6.5, want int32"},
		{new(TopicConfigSerializeWrapper), `{"topicConfigTable":{"t":[]}}`, "topic table: field topicConfigTable: have array, want body.topicConfig"},
		{new(SubscriptionGroupWrapper), `{"subscriptionGroupTable":{"g":null}}`, "subscription group table: null entry in a table"},
		{new(TopicRouteData), `{"brokerDatas":[{"brokerAddrs":{"x":"h:1"}}]}`, "topic route: field brokerDatas.brokerAddrs: have number x, want int64"},
		{new(TopicRouteData), `{"brokerDatas":[{"brokerAddrs":{9223372036854775808:"h:1"}}]}`,
			"topic route: field brokerDatas.brokerAddrs: have number 9223372036854775808, want int64"},
		{new(TopicStatsTable), `{"offsetTable":{"x":{}}}`, "topic stats: invalid character 'x' looking for beginning of value"},
		{new(TopicStatsTable), `{"offsetTable":{{"queueId":"0"}:{}}}`, "topic stats: field offsetTable.queueId: have string, want int32"},
		{new(ConsumerOffsetSerializeWrapper), `{"offsetTable":{"t@g":{0:"1"}}}`, "consumer offset table: field offsetTable: have string, want int64"},
	}
	for _, test := range tests {
		if err := Unmarshal([]byte(test.text), test.body); err == nil || err.Error() != test.want {
			t.Errorf("%T %s: %v, want %s", test.body, test.text, err, test.want)
		}
	}
}

func TestUnmarshalBounds(t *testing.T) {
	groups := func(n int) []byte {
		return []byte(`{"producerDataSet":[` + strings.Repeat(`{},`, n-1) + `{}]}`)
	}
	if err := Unmarshal(groups(1000), new(HeartbeatData)); err != nil {
		t.Error(err)
	}
	for name, text := range map[string][]byte{
		"groups":  groups(1 << 16),
		"nesting": []byte(`{"x":` + strings.Repeat(`[`, 16) + strings.Repeat(`]`, 16) + `}`),
		"size":    []byte(`{"clientID":"` + strings.Repeat("x", 4<<20) + `"}`),
	} {
		if err := Unmarshal(text, new(HeartbeatData)); !errors.Is(err, fastjson.ErrLimit) {
			t.Errorf("%s: %v, want ErrLimit", name, err)
		}
	}
}
