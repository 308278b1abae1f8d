// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"fmt"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// Group is the consumer group that Drain pulls as. It stores no offsets.
const Group = "rig_reader"

// SendHeader is the header of a plain send with a UNIQ_KEY.
func SendHeader(topic string, queue int32, key string) *header.SendRequest {
	return &header.SendRequest{
		ProducerGroup: []byte("rig_sender"), Topic: []byte(topic), DefaultTopic: []byte(message.TopicAutoCreate),
		DefaultTopicQueueNums: 4, QueueID: queue, BornTimestamp: 1_800_000_000_000,
		Properties: message.AppendProperty(nil, message.PropertyUniqueKey, key),
	}
}

// TopicHeader is the header of a request to create a topic.
func TopicHeader(topic string, queues int32) *header.CreateTopicRequest {
	return &header.CreateTopicRequest{
		Topic: topic, DefaultTopic: message.TopicAutoCreate, ReadQueueNums: queues, WriteQueueNums: queues,
		Perm: 6, TopicFilterType: "SINGLE_TAG",
	}
}

// PullHeader asks for messages of a queue by offset, of all tags.
func PullHeader(topic string, queue int32, offset int64) *header.PullRequest {
	return &header.PullRequest{
		ConsumerGroup: []byte(Group), Topic: []byte(topic), QueueID: queue, QueueOffset: offset, MaxMsgNums: 32,
		SysFlag: header.PullSubscription, Subscription: []byte("*"),
	}
}

// Drain pulls what a queue holds from offset on, calls fn for each record, and
// gives the offset behind the last. A record is valid during the call only.
func Drain(ctx context.Context, c rpc.Caller, addr, topic string, queue int32, offset int64, fn func(*message.Record) error) (int64, error) {
	for {
		p, err := rpc.Pull(ctx, c, addr, PullHeader(topic, queue, offset))
		if err != nil {
			return offset, err
		}
		switch p.Code {
		case wire.PullNotFound:
			return offset, nil
		case wire.PullOffsetMoved:
			return offset, fmt.Errorf("topic %s queue %d: offset %d moved to %d", topic, queue, offset, p.Header.NextBeginOffset)
		case wire.Success:
			if err := message.RangeRecords(p.Records, true, fn); err != nil {
				return offset, fmt.Errorf("topic %s queue %d at %d: %w", topic, queue, offset, err)
			}
		}
		if p.Header.NextBeginOffset <= offset {
			return offset, fmt.Errorf("topic %s queue %d: a pull at %d (%s) goes on at %d", topic, queue, offset, wire.ResponseName(p.Code), p.Header.NextBeginOffset)
		}
		offset = p.Header.NextBeginOffset
	}
}
