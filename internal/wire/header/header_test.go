// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package header

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/twostage/twostage/internal/wire"
)

// all gives an empty header of every type in the table.
func all() map[string]Codec {
	types := map[string]Codec{}
	for code := range int32(30_100) {
		for _, h := range []Codec{Request(code), Response(code)} {
			if h != nil && h != (Empty{}) {
				types[reflect.TypeOf(h).Elem().Name()] = h
			}
		}
	}
	return types
}

func TestTableIsComplete(t *testing.T) {
	if n := len(all()); n < 60 {
		t.Errorf("the table has %d types", n)
	}
	if Request(wire.ReqHeartBeat) != nil || Request(-1) != nil || Response(wire.ReqGetRouteInfoByTopic) != nil {
		t.Error("a header for what has none")
	}
	if got := encoded(t, Empty{}); len(got) != 0 || (Empty{}).DecodeExt(got) != nil {
		t.Errorf("an empty header has %d fields", len(got))
	}
}

// fill sets every field of a header to a drawn value.
func fill(rt *rapid.T, h any) {
	v := reflect.ValueOf(h).Elem()
	for i := range v.NumField() {
		f := v.Field(i)
		name := v.Type().Field(i).Name
		switch f.Kind() {
		case reflect.String:
			f.SetString(rapid.String().Draw(rt, name))
		case reflect.Slice:
			if rapid.Bool().Draw(rt, name+" there") {
				f.SetBytes([]byte(rapid.String().Draw(rt, name)))
			}
		case reflect.Int32:
			f.SetInt(int64(rapid.Int32().Draw(rt, name)))
		case reflect.Int64:
			f.SetInt(rapid.Int64().Draw(rt, name))
		case reflect.Bool:
			f.SetBool(rapid.Bool().Draw(rt, name))
		case reflect.Pointer: // Every, see TestEveryAnswer and TestEverySend
		default:
			rt.Fatalf("%T.%s is a %v", h, name, f.Kind())
		}
	}
	for i := range v.NumField() { // what is not there reads as 0
		if has := v.FieldByName("Has" + v.Type().Field(i).Name); has.IsValid() && !has.Bool() {
			v.Field(i).SetZero()
		}
	}
}

func empty(h Codec) Codec { return reflect.New(reflect.TypeOf(h).Elem()).Interface().(Codec) }

// normal makes empty and absent slices alike.
func normal(h Codec) any {
	v := reflect.ValueOf(h).Elem()
	c := reflect.New(v.Type()).Elem()
	c.Set(v)
	for i := range c.NumField() {
		if f := c.Field(i); f.Kind() == reflect.Slice && f.Len() == 0 {
			f.SetZero()
		}
	}
	return c.Interface()
}

// TestRoundTrips writes headers with drawn values and reads them again, into a
// header that was used before, through both encodings.
func TestRoundTrips(t *testing.T) {
	for name, h := range all() {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				in := empty(h)
				fill(rt, in)
				switch in := in.(type) {
				case *SendResponse:
					if in.MsgID == nil { // an answer that stored nothing
						in.MsgID = []byte{}
					}
					in.TraceOn = in.TraceOn || in.Region == nil
				case *SendRequestV1:
					in.BrokerName = nil // has no long name
				}
				for _, enc := range []wire.Encoding{wire.JSON, wire.Binary} {
					frame := wire.AppendRequest(nil, &wire.Request{Header: in, Encoding: enc})
					var d wire.Decoder
					var c wire.Command
					if err := d.Decode(frame[4:], &c); err != nil {
						rt.Fatal(err)
					}
					out := empty(h)
					fill(rt, out)
					if err := out.DecodeExt(c.Ext); err != nil {
						rt.Fatalf("%v: %v", enc, err)
					}
					if a, b := normal(in), normal(out); !reflect.DeepEqual(a, b) {
						rt.Fatalf("%v:\n%+v becomes\n%+v", enc, a, b)
					}
				}
			})
		})
	}
}

// required lists the fields that each type demands, by the annotations of the
// header classes of 4.9.8 (5.x for BROKER_HEARTBEAT).
var required = map[string]string{
	"SendRequest":                 "a b c d e f g h",
	"SendRequestV1":               "producerGroup topic defaultTopic defaultTopicQueueNums queueId sysFlag bornTimestamp flag",
	"SendResponse":                "msgId queueId queueOffset",
	"PullRequest":                 "consumerGroup topic queueId queueOffset maxMsgNums sysFlag commitOffset suspendTimeoutMillis subVersion",
	"PullResponse":                "suggestWhichBrokerId nextBeginOffset minOffset maxOffset",
	"QueryMessageRequest":         "topic key maxNum beginTimestamp endTimestamp",
	"QueryMessageResponse":        "indexLastUpdateTimestamp indexLastUpdatePhyoffset",
	"QueryConsumerOffsetRequest":  "consumerGroup topic queueId",
	"UpdateConsumerOffsetRequest": "consumerGroup topic queueId commitOffset",
	"SearchOffsetRequest":         "topic queueId timestamp",
	"MaxOffsetRequest":            "topic queueId",
	"MinOffsetRequest":            "topic queueId",
	"EarliestStoreTimeRequest":    "topic queueId",
	"OffsetResponse":              "offset",
	"StoreTimeResponse":           "timestamp",
	"ViewMessageRequest":          "offset",
	"UnregisterClientRequest":     "clientID",
	"SendBackRequest":             "offset group delayLevel",
	"ConsumerListRequest":         "consumerGroup",
	"ConsumerIDsChangedRequest":   "consumerGroup",
	"EndTransactionRequest":       "producerGroup tranStateTableOffset commitLogOffset commitOrRollback msgId",
	"CheckTransactionRequest":     "tranStateTableOffset commitLogOffset",
	"ResumeCheckRequest":          "",
	"ReplyRequest":                "producerGroup topic defaultTopic defaultTopicQueueNums queueId sysFlag bornTimestamp flag bornHost storeHost storeTimestamp",
	"CreateTopicRequest":          "topic defaultTopic readQueueNums writeQueueNums perm topicFilterType order",
	"DeleteTopicRequest":          "topic",
	"DeleteTopicNamesrvRequest":   "topic",
	"TopicRequest":                "topic",
	"AllTopicConfigRequest":       "",
	"AllTopicConfigResponse":      "",
	"GroupRequest":                "group",
	"DeleteGroupRequest":          "groupName",
	"AllGroupConfigRequest":       "",
	"ConsumeStatsRequest":         "consumerGroup",
	"ConsumeTimeSpanRequest":      "topic group",
	"CorrectionOffsetRequest":     "compareGroup topic",
	"CloneGroupOffsetRequest":     "srcGroup destGroup",
	"SubscriptionRequest":         "group",
	"ConsumerConnectionRequest":   "consumerGroup",
	"ProducerConnectionRequest":   "producerGroup",
	"ResetOffsetRequest":          "topic group timestamp isForce",
	"ConsumerStatusRequest":       "topic group",
	"RunningInfoRequest":          "consumerGroup clientId",
	"ConsumeDirectlyRequest":      "consumerGroup",
	"BrokerStatsRequest":          "statsName statsKey",
	"BrokerConsumeStatsRequest":   "isOrder",
	"ConsumeQueueRequest":         "topic queueId index count",
	"BrokerConfigResponse":        "version",
	"PutKVRequest":                "namespace key value",
	"GetKVRequest":                "namespace key",
	"GetKVResponse":               "",
	"DeleteKVRequest":             "namespace key",
	"KVListRequest":               "namespace",
	"RegisterBrokerRequest":       "brokerName brokerAddr clusterName haServerAddr brokerId",
	"RegisterBrokerResponse":      "",
	"UnregisterBrokerRequest":     "brokerName brokerAddr clusterName brokerId",
	"DataVersionRequest":          "brokerName brokerAddr clusterName brokerId",
	"DataVersionResponse":         "changed",
	"BrokerHeartbeatRequest":      "brokerName brokerAddr clusterName",
	"RouteRequest":                "topic",
	"ClusterTopicsRequest":        "cluster",
	"BrokerNameRequest":           "brokerName",
	"MemberGroupRequest":          "clusterName brokerName",
	"GroupForbiddenRequest":       "group topic",
	"WipeWritePermResponse":       "wipeTopicCount",
	"AddWritePermResponse":        "addTopicCount",
	"TxListRequest":               "",
	"TxRequest":                   "id",
	"TxDecideRequest":             "id outcome",
	"TxResponse":                  "queueOffset",
	"PopRequest":                  "consumerGroup topic queueId maxMsgNums invisibleTime pollTime initMode",
	"PopResponse":                 "popTime invisibleTime reviveQid restNum",
	"AckRequest":                  "consumerGroup topic queueId extraInfo offset",
	"PeekRequest":                 "topic queueId maxMsgNums consumerGroup",
	"ChangeInvisibleRequest":      "consumerGroup topic queueId extraInfo offset invisibleTime",
	"ChangeInvisibleResponse":     "popTime invisibleTime reviveQid",
	"NotificationRequest":         "consumerGroup topic queueId pollTime",
	"NotificationResponse":        "hasMsg",
	"PollingInfoRequest":          "consumerGroup topic queueId",
	"PollingInfoResponse":         "pollingNum",
}

// TestRequiredFields reads each type from its required fields alone, and then
// without each of them in turn.
func TestRequiredFields(t *testing.T) {
	for name, h := range all() {
		names, ok := required[name]
		if !ok {
			t.Errorf("%s is not in the list of required fields", name)
		}
		var fields wire.Fields
		for _, field := range strings.Fields(names) {
			fields = append(fields, wire.Field{Key: []byte(field), Value: []byte("1")})
		}
		if err := h.DecodeExt(fields); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for i, f := range fields {
			without := append(append(wire.Fields{}, fields[:i]...), fields[i+1:]...)
			var e *Error
			if err := h.DecodeExt(without); !errors.As(err, &e) || e.Header != name ||
				strings.Fields(e.Field)[0] != string(f.Key) || e.Reason != "is missing" {
				t.Errorf("%s without %s: %v", name, f.Key, err)
			}
		}
	}
}

func TestNumbers(t *testing.T) {
	for text, want := range map[string]string{
		"0": "", "-1": "", "+7": "", "2147483647": "", "-2147483648": "", "007": "",
		"":                     "is missing",
		"2147483648":           "is 2147483648, beyond 32 bits",
		"-2147483649":          "is -2147483649, beyond 32 bits",
		"9223372036854775808":  "is 9223372036854775808, beyond 64 bits",
		"-9223372036854775809": "is -9223372036854775809, beyond 64 bits",
		"99999999999999999999": "is 99999999999999999999, beyond 64 bits",
		"x":                    `is "x", not a whole number`,
		"-":                    `is "-", not a whole number`,
		"1.0":                  `is "1.0", not a whole number`,
		" 1":                   `is " 1", not a whole number`,
		"1:":                   `is "1:", not a whole number`,
	} {
		var h ConsumeQueueRequest
		err := h.DecodeExt(wire.Fields{
			{Key: []byte("topic")}, {Key: []byte("queueId"), Value: []byte(text)},
			{Key: []byte("index"), Value: []byte("-9223372036854775808")}, {Key: []byte("count"), Value: []byte("3")},
		})
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasSuffix(err.Error(), "field queueId "+want)) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
		if h.Index != -1<<63 || h.Count != 3 {
			t.Errorf("%q: %+v", text, h)
		}
	}
}

func TestSendErrors(t *testing.T) {
	var h SendRequest
	f := wire.Fields{{Key: []byte("d"), Value: []byte("four")}}
	if err := h.Decode(wire.ReqSendBatchMessage, f); err == nil || err.Error() != `header SendRequest: field d is "four", not a whole number` {
		t.Error(err)
	}
	if err := h.Decode(wire.ReqSendReplyMessageV2, nil); err == nil || err.Error() != "header SendRequest: field a (producerGroup) is missing" {
		t.Error(err)
	}
	if err := h.Decode(wire.ReqSendReplyMessage, nil); err == nil || err.Error() != "header SendRequestV1: field producerGroup is missing" {
		t.Error(err)
	}
}

func TestBooleans(t *testing.T) {
	for text, want := range map[string]bool{"true": true, "TRUE": true, "True": true, "false": false, "1": false, "": false, "trueish": false, "ｔrue": false} {
		if got := parseBool([]byte(text)); got != want {
			t.Errorf("%q is %v", text, got)
		}
	}
	// committed and setZeroIfNotFound are true unless refused.
	for text, want := range map[string]bool{"true": false, "false": true, "": false} {
		var h MaxOffsetRequest
		err := h.DecodeExt(wire.Fields{{Key: []byte("topic")}, {Key: []byte("queueId"), Value: []byte("1")}, {Key: []byte("committed"), Value: []byte(text)}})
		if err != nil || h.Uncommitted != want {
			t.Errorf("committed %q: %+v, %v", text, h, err)
		}
	}
	// Either name of the wish to drop a group's offsets counts.
	for _, name := range []string{"removeOffset", "cleanOffset"} {
		var h DeleteGroupRequest
		err := h.DecodeExt(wire.Fields{{Key: []byte("groupName")}, {Key: []byte(name), Value: []byte("true")}})
		if err != nil || !h.RemoveOffset {
			t.Errorf("%s: %+v, %v", name, h, err)
		}
	}
}

// TestEveryAnswer: what is written beforehand is what is written each time.
func TestEveryAnswer(t *testing.T) {
	for _, h := range []SendResponse{{}, {MsgID: []byte("id"), QueueID: 3, QueueOffset: 4}, {MsgID: []byte("id"), RecallHandle: []byte("h")}} {
		for _, traceOn := range []bool{true, false} {
			each, once := h, h
			each.Region, each.TraceOn = []byte("Region \"é\" \x01"), traceOn
			once.Every = EveryAnswer("Region \"é\" \x01", traceOn)
			if got, want := encoded(t, &once), encoded(t, &each); !reflect.DeepEqual(got, want) {
				t.Errorf("%+v: %q, want %q", h, got, want)
			}
		}
	}
}

// TestEverySend: likewise of requests.
func TestEverySend(t *testing.T) {
	for _, batch := range []bool{false, true} {
		h := SendRequest{Topic: []byte("T"), QueueID: 3, SysFlag: 1, BornTimestamp: 4, Flag: 5, Properties: []byte("p"), BrokerName: []byte("b")}
		each, once := h, h
		each.ProducerGroup, each.DefaultTopic, each.DefaultTopicQueueNums, each.Batch = []byte("g \"é\""), []byte("D"), 4, batch
		once.Every = EverySend("g \"é\"", "D", 4, batch)
		got, want := encoded(t, &once), encoded(t, &each)
		sameFields(t, "every send", got, want)
		var read SendRequest
		if err := read.DecodeV2(got); err != nil || !reflect.DeepEqual(read, each) {
			t.Errorf("%+v, want %+v: %v", read, each, err)
		}
	}
}

// TestSendResponseWithoutMessage: an answer that stored nothing has the region only.
func TestSendResponseWithoutMessage(t *testing.T) {
	got := encoded(t, &SendResponse{Region: []byte("DefaultRegion"), TraceOn: true, QueueID: 3})
	if len(got) != 2 {
		t.Errorf("%d fields: %s", len(got), got)
	}
	sameFields(t, "refused send", got, wire.Fields{
		{Key: []byte("MSG_REGION"), Value: []byte("DefaultRegion")}, {Key: []byte("TRACE_ON"), Value: []byte("true")},
	})
}
