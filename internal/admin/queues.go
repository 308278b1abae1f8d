// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// Queue is a queue of a topic and where it is read.
type Queue struct {
	Topic  string `json:"topic"`
	Broker string `json:"broker"`
	ID     int32  `json:"queue"`
	addr   string
}

func (q Queue) String() string { return fmt.Sprintf("%s/%s/%d", q.Topic, q.Broker, q.ID) }

func (q Queue) wire() body.MessageQueue {
	return body.MessageQueue{Topic: q.Topic, BrokerName: q.Broker, QueueID: q.ID}
}

// wrap names the queue in an error.
func (q Queue) wrap(err error) error { return fmt.Errorf("queue %s: %w", q, err) }

// Queues gives the queues of a topic that can be read, by broker and id; those of
// one cluster, or all when cluster is empty. ErrNoTopic when the topic is not there.
func (a *Admin) Queues(ctx context.Context, cluster, topic string) ([]Queue, error) {
	data, err := a.Route(ctx, topic)
	if err != nil {
		return nil, err
	}
	var all []Queue
	for _, q := range data.QueueDatas {
		at := slices.IndexFunc(data.BrokerDatas, func(b body.BrokerData) bool { return b.BrokerName == q.BrokerName })
		if at < 0 {
			continue
		}
		b := data.BrokerDatas[at]
		if len(b.BrokerAddrs) == 0 || cluster != "" && b.Cluster != cluster {
			continue
		}
		addr := b.BrokerAddrs[slices.Min(slices.Collect(maps.Keys(b.BrokerAddrs)))]
		for id := range q.ReadQueueNums {
			all = append(all, Queue{Topic: topic, Broker: q.BrokerName, ID: id, addr: addr})
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: %s has no queue to read in cluster %q", ErrNoTopic, topic, cluster)
	}
	slices.SortFunc(all, func(x, y Queue) int { return cmp.Or(cmp.Compare(x.Broker, y.Broker), cmp.Compare(x.ID, y.ID)) })
	return all, nil
}

// Ends gives the offset of a queue's first message and the one that its next
// message gets.
func (a *Admin) Ends(ctx context.Context, q Queue) (first, next int64, err error) {
	err = a.request(ctx, q.addr, func(ctx context.Context, addr string) (err error) {
		if first, err = rpc.MinOffset(ctx, a.caller, addr, q.Topic, q.ID); err != nil {
			return err
		}
		next, err = rpc.MaxOffset(ctx, a.caller, addr, q.Topic, q.ID)
		return err
	})
	if err != nil {
		return 0, 0, q.wrap(err)
	}
	return first, next, nil
}

// offsetAt gives the offset of a queue's first message that was stored at a time
// in milliseconds or later; brokers before 5.0 give the nearest.
func (a *Admin) offsetAt(ctx context.Context, q Queue, millis int64) (at int64, err error) {
	err = a.request(ctx, q.addr, func(ctx context.Context, addr string) (err error) {
		at, err = rpc.SearchOffset(ctx, a.caller, addr, q.Topic, q.ID, millis)
		return err
	})
	if err != nil {
		return 0, q.wrap(err)
	}
	return max(at, 0), nil
}

// pull reads messages of a queue from an offset on, at most limit; next is where to
// go on, also when there are none. No group's place is touched.
func (a *Admin) pull(ctx context.Context, q Queue, offset int64, limit int32) (list []*message.Received, next int64, err error) {
	h := &header.PullRequest{
		ConsumerGroup: []byte(message.GroupTools), Topic: []byte(q.Topic), QueueID: q.ID, QueueOffset: offset, MaxMsgNums: limit,
		SysFlag: header.PullSubscription, Subscription: []byte("*"),
	}
	var got *rpc.Pulled
	err = a.request(ctx, q.addr, func(ctx context.Context, addr string) (err error) {
		got, err = rpc.Pull(ctx, a.caller, addr, h)
		return err
	})
	if err != nil {
		return nil, 0, q.wrap(err)
	}
	if got.Code != wire.Success {
		return nil, got.Header.NextBeginOffset, nil
	}
	if list, err = message.DecodeReceived(got.Records); err != nil {
		return nil, 0, q.wrap(fmt.Errorf("from %d: %w", offset, err))
	}
	for _, m := range list {
		m.BrokerName = q.Broker
	}
	return list, got.Header.NextBeginOffset, nil
}

// scanPage is how many messages of a queue are read at once.
const scanPage = 32

// Span says what to read of a topic. The zero Span is all of it.
type Span struct {
	Begin, End int64 // store time in milliseconds, both included; End 0: up to what is there now
	Queue      int32 // only the queue of this id, when Broker is not empty
	Broker     string
}

// Scan calls fn for messages of a topic that are there when it begins, in the order
// in which they were stored, until fn says stop. Bodies are as stored.
func (a *Admin) Scan(ctx context.Context, topic string, s Span, fn func(*message.Received) (stop bool, err error)) error {
	queues, err := a.Queues(ctx, "", topic)
	if err != nil {
		return err
	}
	var all []*cursor
	for _, q := range queues {
		if s.Broker != "" && (q.Broker != s.Broker || q.ID != s.Queue) {
			continue
		}
		c := &cursor{Queue: q}
		if c.next, c.end, err = a.Ends(ctx, q); err != nil {
			return err
		}
		if s.Begin > 0 && c.next < c.end {
			at, err := a.offsetAt(ctx, q, s.Begin)
			if err != nil {
				return err
			}
			c.next = max(c.next, at)
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		return fmt.Errorf("%w: %s has no queue %d at broker %s", ErrNoQueue, topic, s.Queue, s.Broker)
	}
	for {
		var first *cursor
		for _, c := range all {
			if err := c.fill(ctx, a, s); err != nil {
				return err
			}
			if len(c.pulled) > 0 && (first == nil || c.pulled[0].StoreTime.Before(first.pulled[0].StoreTime)) {
				first = c
			}
		}
		if first == nil {
			return nil
		}
		m := first.pulled[0]
		first.pulled = first.pulled[1:]
		if stop, err := fn(m); stop || err != nil {
			return err
		}
	}
}

// ErrNoQueue: a topic has no such queue.
var ErrNoQueue = errors.New("no such queue")

// cursor is a place in a queue.
type cursor struct {
	Queue
	next, end int64
	pulled    []*message.Received
}

// fill reads on until the cursor has a message of the span or its end is reached.
func (c *cursor) fill(ctx context.Context, a *Admin, s Span) error {
	for len(c.pulled) == 0 && c.next < c.end {
		list, next, err := a.pull(ctx, c.Queue, c.next, int32(min(scanPage, c.end-c.next)))
		if err != nil {
			return err
		}
		if next <= c.next { // the queue was emptied
			c.next = c.end
			return nil
		}
		c.next = next
		for _, m := range list {
			at := m.StoreTime.UnixMilli()
			if s.End > 0 && at > s.End {
				c.next = c.end
				break
			}
			if at >= s.Begin {
				c.pulled = append(c.pulled, m)
			}
		}
	}
	return nil
}
