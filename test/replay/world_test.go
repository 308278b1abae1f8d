// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/fastjson"
	"github.com/twostage/twostage/internal/wire/wiretest"
	"github.com/twostage/twostage/message"
)

// world is what a recording shows to have been there before its first frame.
type world struct {
	topics  map[string]body.QueueData
	queues  map[queueKey]*content
	groups  []string
	offsets map[offsetKey]string // committed before
}

type queueKey struct {
	topic string
	id    string
}

type offsetKey struct {
	group string
	queueKey
}

// content is what a queue held: count messages, of which the recording shows
// some.
type content struct {
	count   int64
	fixed   bool // by the offset of the first message that the scenario sends
	records map[int64]message.Record
}

// builtin topics are there in any broker of the recording's configuration.
var builtin = map[string]bool{
	"TBW102": true, "BenchmarkTest": true, "RMQ_SYS_TRACE_TOPIC": true, "DefaultCluster_REPLY_TOPIC": true,
}

func decode(t *testing.T, f *wiretest.Frame) *wire.Command {
	t.Helper()
	var d wire.Decoder
	var c wire.Command
	if err := d.Decode(f.Payload(), &c); err != nil {
		t.Fatalf("frame %d of the recording: %v", f.Number, err)
	}
	return c.Clone()
}

func ext(c *wire.Command, names ...string) string {
	for _, name := range names {
		if v, ok := c.Ext.Get(name); ok {
			return string(v)
		}
	}
	return ""
}

func number(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64)
	return n
}

func deriveWorld(t *testing.T, s *wiretest.Scenario) *world {
	t.Helper()
	w := &world{topics: map[string]body.QueueData{}, queues: map[queueKey]*content{}, offsets: map[offsetKey]string{}}
	asked := map[string]bool{}
	committed := map[offsetKey]bool{}
	for _, e := range s.Exchanges() {
		if e.Request.From != "client" {
			continue
		}
		req := decode(t, e.Request)
		if req.Code == wire.ReqUpdateConsumerOffset {
			committed[offsetOf(req)] = true
		}
		if e.Answer == nil {
			continue
		}
		ans := decode(t, e.Answer)
		switch req.Code {
		case wire.ReqGetRouteInfoByTopic:
			topic := ext(req, "topic")
			if asked[topic] || builtin[topic] {
				continue
			}
			asked[topic] = true
			if ans.Code == wire.Success {
				w.topics[topic] = routed(t, ans.Body)
			}
		case wire.ReqSendMessage, wire.ReqSendMessageV2, wire.ReqSendBatchMessage:
			if ans.Code == wire.Success {
				w.sent(req, ans)
			}
		case wire.ReqPullMessage:
			w.pulled(t, req, ans)
		case wire.ReqViewMessageByID:
			w.viewed(t, ans)
		case wire.ReqGetConsumeStats:
			w.progress(t, req, ans, committed)
		case wire.ReqGetTopicStatsInfo, wire.ReqGetBrokerConsumeStats:
			w.figures(t, req, ans)
		case wire.ReqGetMaxOffset:
			w.atLeast(queueKey{ext(req, "topic"), ext(req, "queueId")}, number(ext(ans, "offset")))
		case wire.ReqQueryConsumerOffset:
			k := offsetOf(req)
			if !committed[k] && number(ext(ans, "offset")) > 0 {
				w.offsets[k] = ext(ans, "offset")
			}
			committed[k] = true
		}
	}
	return w
}

func offsetOf(c *wire.Command) offsetKey {
	return offsetKey{ext(c, "consumerGroup"), queueKey{ext(c, "topic"), ext(c, "queueId")}}
}

func routed(t *testing.T, text []byte) body.QueueData {
	t.Helper()
	var route body.TopicRouteData
	if err := fastjson.Unmarshal(text, &route); err != nil {
		t.Fatal(err)
	}
	if len(route.QueueDatas) != 1 {
		t.Fatalf("a route of %d brokers in the recording: %s", len(route.QueueDatas), text)
	}
	return route.QueueDatas[0]
}

func (w *world) content(k queueKey) *content {
	c := w.queues[k]
	if c == nil {
		c = &content{records: map[int64]message.Record{}}
		w.queues[k] = c
	}
	return c
}

// elsewhere says whether the offset that answers a send belongs to another topic:
// of a half message or a delayed one.
func elsewhere(req *wire.Command) bool {
	p := []byte(ext(req, "i", "properties"))
	_, half := message.Property(p, message.PropertyTransactionPrepared)
	_, delayed := message.Property(p, message.PropertyDelay)
	return half || delayed
}

// sent fixes what stood in a queue before the scenario's first send to it.
func (w *world) sent(req, ans *wire.Command) {
	if elsewhere(req) {
		return
	}
	c := w.content(queueKey{ext(req, "b", "topic"), ext(ans, "queueId")})
	if !c.fixed {
		c.fixed, c.count = true, number(ext(ans, "queueOffset"))
	}
}

// atLeast: the queue had n messages, but for those that the scenario sent.
func (w *world) atLeast(k queueKey, n int64) {
	// What stands in these is the broker's doing.
	if strings.HasPrefix(k.topic, message.RetryPrefix) || strings.HasPrefix(k.topic, message.DLQPrefix) {
		return
	}
	if c := w.content(k); !c.fixed {
		c.count = max(c.count, n)
	}
}

func (w *world) pulled(t *testing.T, req, ans *wire.Command) {
	t.Helper()
	k := queueKey{ext(req, "topic"), ext(req, "queueId")}
	w.atLeast(k, number(ext(ans, "maxOffset")))
	if ans.Code != wire.Success {
		return
	}
	c := w.content(k)
	err := message.RangeRecords(ans.Body, true, func(r *message.Record) error {
		c.records[r.QueueOffset] = *r
		return nil
	})
	if err != nil {
		t.Fatalf("records in the recording: %v", err)
	}
}

// progress: what a group had consumed, unless the scenario says so itself before.
func (w *world) progress(t *testing.T, req, ans *wire.Command, committed map[offsetKey]bool) {
	t.Helper()
	var stats body.ConsumeStats
	if err := body.Unmarshal(ans.Body, &stats); err != nil {
		t.Fatal(err)
	}
	queues := map[string]int32{}
	for mq := range stats.OffsetTable {
		queues[mq.Topic]++
	}
	for topic, n := range queues {
		if _, ok := w.topics[topic]; !ok {
			w.topics[topic] = body.QueueData{ReadQueueNums: n, WriteQueueNums: n, Perm: 6}
		}
	}
	for mq, at := range stats.OffsetTable {
		k := offsetKey{ext(req, "consumerGroup"), queueKey{mq.Topic, strconv.Itoa(int(mq.QueueID))}}
		w.atLeast(k.queueKey, at.BrokerOffset)
		if !committed[k] {
			w.offsets[k] = strconv.FormatInt(at.ConsumerOffset, 10)
		}
	}
}

// viewed: a message that was asked for by its place in the log.
func (w *world) viewed(t *testing.T, ans *wire.Command) {
	t.Helper()
	var r message.Record
	if _, err := message.DecodeRecord(ans.Body, &r, true); err != nil {
		t.Fatalf("a record in the recording: %v", err)
	}
	k := queueKey{string(r.Topic), strconv.Itoa(int(r.QueueID))}
	w.atLeast(k, r.QueueOffset+1)
	w.content(k).records[r.QueueOffset] = r
}

// build makes the world on a server, and gives its commit log offsets by the
// recorded ones.
func (w *world) build(t *testing.T, broker *peer) map[string]string {
	t.Helper()
	physical := map[string]string{}
	for topic, q := range w.topics {
		broker.must(t, createTopic(topic, q.ReadQueueNums, q.WriteQueueNums, q.Perm))
	}
	for _, group := range w.groups {
		broker.must(t, &wire.Request{Code: wire.ReqUpdateAndCreateSubscriptionGroup, Body: body.Marshal(&body.SubscriptionGroupConfig{GroupName: group, ConsumeEnable: true, RetryQueueNums: 1})})
	}
	for k, c := range w.queues {
		for i := range c.count {
			r, ok := c.records[i]
			if !ok {
				r = message.Record{Body: []byte("not in the recording")}
			}
			ans := broker.must(t, preload(k, &r))
			if got := ext(ans, "queueOffset"); got != strconv.FormatInt(i, 10) {
				t.Fatalf("message %d of %v got offset %s", i, k, got)
			}
			if ok {
				physical[strconv.FormatInt(r.PhysicalOffset, 10)] = offsetIn(t, ext(ans, "msgId"))
			}
		}
	}
	for k, at := range w.offsets {
		broker.must(t, &wire.Request{Code: wire.ReqUpdateConsumerOffset, Fields: fields(
			"consumerGroup", k.group, "topic", k.topic, "queueId", k.id, "commitOffset", at)})
	}
	return physical
}

func createTopic[N ~int32 | ~int](topic string, read, write, perm N) *wire.Request {
	return &wire.Request{Code: wire.ReqUpdateAndCreateTopic, Fields: fields("topic", topic, "defaultTopic", "TBW102",
		"readQueueNums", fmt.Sprint(read), "writeQueueNums", fmt.Sprint(write), "perm", fmt.Sprint(perm),
		"topicFilterType", "SINGLE_TAG", "topicSysFlag", "0", "order", "false")}
}

// preload sends a record as a client sent it: without what the broker adds, or
// would act on again.
func preload(k queueKey, r *message.Record) *wire.Request {
	props := message.ParseProperties(r.Properties)
	for _, name := range []string{message.PropertyCluster, message.PropertyWait, message.PropertyDelay, message.PropertyTransactionPrepared} {
		delete(props, name)
	}
	return &wire.Request{Code: wire.ReqSendMessageV2, Body: r.Body, Fields: fields(
		"a", "before", "b", k.topic, "c", "TBW102", "d", "4", "e", k.id, "f", fmt.Sprint(int32(r.SysFlag.WithTransaction(message.TransactionNone))),
		"g", fmt.Sprint(r.BornTimestamp), "h", fmt.Sprint(r.Flag), "i", string(props.Append(nil)), "j", "0", "k", "false", "m", "false")}
}
