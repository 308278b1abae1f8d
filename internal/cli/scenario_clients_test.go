// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// connect gives a connection of a client, which answers what a broker asks of it.
// It lasts until the scenario ends.
func (s *stage) connect(t *testing.T, answer remoting.Handler) *remoting.Client {
	c := remoting.NewClient(remoting.ClientConfig{Language: wire.LanguageJava, Version: wire.Version, Unknown: answer})
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// standIn is `@ consumer GROUP TOPIC CLIENT [TAGS]`: a client of a consumer group that
// is online, has queue 0 of the topic, and consumes what it is given directly, unless
// the text is "poison".
func standIn(t *testing.T, s *stage, args []string) {
	group, topic, id, tags := args[0], args[1], args[2], "*"
	sub := body.SubscriptionData{Topic: topic, SubString: tags, SubVersion: 1}
	if len(args) > 3 {
		sub.SubString, sub.TagsSet = args[3], []string{args[3]}
	}
	c := s.connect(t, func(r *remoting.Request) {
		switch r.Code {
		case wire.ReqGetConsumerRunningInfo:
			info := body.ConsumerRunningInfo{
				Properties: map[string]string{"PROP_CONSUMEORDERLY": "false"}, SubscriptionSet: []body.SubscriptionData{sub},
				MqTable:     map[body.MessageQueue]body.ProcessQueueInfo{{Topic: topic, BrokerName: "broker-a"}: {CommitOffset: 2, CachedMsgCount: 3}},
				StatusTable: map[string]body.ConsumeStatus{topic: {PullTPS: 1.5, ConsumeFailedMsgs: 4}},
			}
			if stacks, _ := r.Ext.Get("jstackEnable"); string(stacks) == "true" {
				info.Jstack = "TID: 1 STATE: RUNNABLE\n\tat main()\n"
			}
			r.Reply(&wire.Response{Body: body.Marshal(&info)})
		case wire.ReqConsumeMessageDirectly:
			res := body.ConsumeMessageDirectlyResult{ConsumeResult: "CR_SUCCESS", SpentTimeMills: 7}
			if strings.Contains(string(r.Body), "poison") {
				res = body.ConsumeMessageDirectlyResult{ConsumeResult: "CR_THROW_EXCEPTION", Remark: "it is poison"}
			}
			r.Reply(&wire.Response{Body: body.Marshal(&res)})
		}
	})
	err := rpc.Heartbeat(t.Context(), c, s.server.Broker, &body.HeartbeatData{ClientID: id, ConsumerDataSet: []body.ConsumerData{{
		GroupName: group, ConsumeType: body.ConsumePassively, MessageModel: body.Clustering, ConsumeFromWhere: body.ConsumeFromFirstOffset,
		SubscriptionDataSet: []body.SubscriptionData{sub},
	}}})
	if err != nil {
		t.Fatal(err)
	}
}

// producerStandIn is `@ producer GROUP CLIENT`: a client of a producer group.
func producerStandIn(t *testing.T, s *stage, args []string) {
	err := rpc.Heartbeat(t.Context(), s.connect(t, nil), s.server.Broker, &body.HeartbeatData{
		ClientID: args[1], ProducerDataSet: []body.ProducerData{{GroupName: args[0]}},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// commit is `@ commit GROUP TOPIC QUEUE OFFSET`: the group has consumed up to there.
func commit(t *testing.T, s *stage, args []string) {
	queue, offset := number(t, args[2]), number(t, args[3])
	if err := rpc.UpdateOffset(t.Context(), s.connect(t, nil), s.server.Broker, args[0], args[1], int32(queue), offset); err != nil {
		t.Fatal(err)
	}
}

// giveUp is `@ giveup GROUP TOPIC QUEUE OFFSET`: the group sends a message back that
// is not to be tried again.
func giveUp(t *testing.T, s *stage, args []string) {
	c := s.connect(t, nil)
	got, err := rpc.Pull(t.Context(), c, s.server.Broker, &header.PullRequest{
		ConsumerGroup: []byte(args[0]), Topic: []byte(args[1]), QueueID: int32(number(t, args[2])), QueueOffset: number(t, args[3]), MaxMsgNums: 1,
		SysFlag: header.PullSubscription, Subscription: []byte("*"),
	})
	if err != nil {
		t.Fatal(err)
	}
	list, err := message.DecodeReceived(got.Records)
	if err != nil || len(list) != 1 {
		t.Fatal(len(list), err)
	}
	err = rpc.SendBack(t.Context(), c, s.server.Broker, &header.SendBackRequest{
		Offset: list[0].PhysicalOffset, Group: args[0], DelayLevel: -1, OriginMsgID: list[0].OffsetID(), OriginTopic: args[1],
	})
	if err != nil {
		t.Fatal(err)
	}
}

// popped is `@ popped GROUP TOPIC`: a dead letter of a group that pops.
func popped(t *testing.T, s *stage, args []string) {
	_, err := rpc.Send(t.Context(), s.connect(t, nil), s.server.Broker, &header.SendRequest{
		ProducerGroup: []byte("popped"), Topic: []byte(message.DLQTopic(args[0])), DefaultTopic: []byte(message.TopicAutoCreate), DefaultTopicQueueNums: 1,
		Properties: message.Properties{
			message.PropertyUniqueKey: "7F000001000012345678ABCDEF010000", message.PropertyFirstPopTime: "1", message.PropertyDLQOriginTopic: args[1],
		}.Append(nil),
	}, []byte("popped"))
	if err != nil {
		t.Fatal(err)
	}
}

// trace is `@ trace ID RECORD ...`: a client's trace of a message, whose records have
// their fields split by commas.
func trace(t *testing.T, s *stage, args []string) {
	var text strings.Builder
	for _, record := range args[1:] {
		text.WriteString(strings.ReplaceAll(record, ",", "\x01") + "\x02")
	}
	_, err := rpc.Send(t.Context(), s.connect(t, nil), s.server.Broker, &header.SendRequest{
		ProducerGroup: []byte("_INNER_TRACE_PRODUCER"), Topic: []byte(message.TopicTrace), DefaultTopic: []byte(message.TopicAutoCreate), DefaultTopicQueueNums: 1,
		Properties: message.Properties{message.PropertyKeys: args[0]}.Append(nil),
	}, []byte(text.String()))
	if err != nil {
		t.Fatal(err)
	}
}

func number(t *testing.T, text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatal(fmt.Errorf("a directive's number: %w", err))
	}
	return n
}
