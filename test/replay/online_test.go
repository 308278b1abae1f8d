// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"strconv"
	"time"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/wiretest"
)

// online is the consumer whose connection a recording of mqadmin begins with, and
// what its group had.
type online struct {
	conn      int // 0: none
	group, id string
	topic     string
	messages  []int64 // of the topic, by queue
	offsets   []int64 // of the group, by queue; nil: those that the recording shows
}

// admins are the scenarios of mqadmin that are replayed.
var admins = map[string]online{
	"mqadmin-resetOffsetByTime": {conn: 3, group: "FrAdmGroupB", id: "127.0.0.1@10253#4646103436487", topic: "FrAdmB",
		messages: []int64{2, 3}, offsets: []int64{2, 3}},
	"mqadmin-consumeMessageDirectly":      {conn: 3, group: "FrAdmGroupB", id: "127.0.0.1@10253#4646103436487", topic: "FrAdmB"},
	"mqadmin-resetOffsetByTime-offline":   {topic: "FrAdm"},
	"mqadmin-skipAccumulatedMessage":      {topic: "FrAdm"},
	"mqadmin-cloneGroupOffset":            {topic: "FrAdm"},
	"mqadmin-consumerProgress":            {topic: "FrAdmB"},
	"mqadmin-consumerProgress-client-ip":  {conn: 3, group: "FrAdmGroupB", id: "127.0.0.1@10253#4646103436487", topic: "FrAdmB"},
	"mqadmin-getBrokerConfig":             {},
	"mqadmin-updateBrokerConfig":          {},
	"mqadmin-getNamesrvConfig":            {},
	"mqadmin-cleanUnusedTopic":            {},
	"mqadmin-cleanExpiredCQ":              {},
	"mqadmin-deleteExpiredCommitLog":      {},
	"mqadmin-queryCq":                     {topic: "FrAdm", messages: []int64{3, 2}},
	"mqadmin-producer":                    {},
	"mqadmin-getConsumerConfig":           {},
	"mqadmin-topicRoute-unknown-topic":    {},
	"mqadmin-updateSubGroup":              {},
	"mqadmin-updateTopic":                 {},
	"mqadmin-updateTopicPerm":             {},
	"mqadmin-deleteSubGroup":              {},
	"mqadmin-deleteTopic":                 {},
	"mqadmin-producerConnection-offline":  {},
	"mqadmin-consumerConnection-offline":  {},
	"mqadmin-brokerStatus":                {},
	"mqadmin-clusterList":                 {},
	"mqadmin-topicStatus":                 {},
	"mqadmin-brokerConsumeStats":          {},
	"mqadmin-statsAll":                    {topic: "FrAdm"},
	"mqadmin-consumer-status-from-client": {conn: 3, group: "FrAdmGroup", id: "127.0.0.1@4707#4535209641754", topic: "FrAdm"},
}

// add puts what a recording of mqadmin does not show into the world.
func (o *online) add(w *world) {
	if _, ok := w.topics[o.topic]; !ok && o.topic != "" {
		w.topics[o.topic] = body.QueueData{ReadQueueNums: 2, WriteQueueNums: 2, Perm: 6}
	}
	for q, n := range o.messages {
		w.content(queueKey{o.topic, strconv.Itoa(q)}).count = n
	}
	for q, at := range o.offsets {
		w.offsets[offsetKey{o.group, queueKey{o.topic, strconv.Itoa(q)}}] = strconv.FormatInt(at, 10)
	}
}

// connect greets the server as the consumer did before the recording began.
func (p *player) connect(o online) {
	p.t.Helper()
	if o.conn == 0 {
		return
	}
	d := body.ConsumerData{GroupName: o.group, ConsumeType: body.ConsumePassively, MessageModel: body.Clustering, ConsumeFromWhere: body.ConsumeFromFirstOffset}
	for _, topic := range []string{o.topic, "%RETRY%" + o.group} {
		d.SubscriptionDataSet = append(d.SubscriptionDataSet, body.SubscriptionData{Topic: topic, SubString: "*", ExpressionType: "TAG"})
	}
	for _, e := range p.s.Exchanges() {
		if e.Request.Kind.Code != wire.ReqGetConsumerConnectionList || e.Answer.Kind.Code != wire.Success {
			continue
		}
		var list body.ConsumerConnection
		if err := body.Unmarshal(decode(p.t, e.Answer).Body, &list); err != nil {
			p.t.Fatal(err)
		}
		d.SubscriptionDataSet = nil
		for _, s := range list.SubscriptionTable {
			d.SubscriptionDataSet = append(d.SubscriptionDataSet, s)
		}
	}
	c := p.peer(o.conn)
	c.must(p.t, &wire.Request{Code: wire.ReqHeartBeat, Language: wire.LanguageJava, Version: 409,
		Body: body.Marshal(&body.HeartbeatData{ClientID: o.id, ConsumerDataSet: []body.ConsumerData{d}})})
	if _, err := c.take(patience, pushOf(wire.ReqNotifyConsumerIDsChanged)); err != nil {
		p.t.Fatal(err)
	}
}

// answer gives the frame with which a client answers what the server asked it: the
// recorded one, but for the number of the request.
func (p *player) answer(f *wiretest.Frame, c *wire.Command) []byte {
	p.t.Helper()
	opaque, ok := p.asked[asking{f.Conn, c.Opaque}]
	if !ok {
		p.t.Fatalf("frame %d answers a request that never came", f.Number)
	}
	c.Opaque = opaque
	return wire.AppendCommand(nil, c)
}

// asking names a recorded request of the server.
type asking struct {
	conn   int
	opaque int32
}

// hourAgo is the time that resets of the replay go back to: the recorded one
// depends on the day of the recording.
func hourAgo() string { return strconv.FormatInt(time.Now().Add(-time.Hour).UnixMilli(), 10) }
