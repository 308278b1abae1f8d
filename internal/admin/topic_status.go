// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// TopicAt is a topic as one broker has it.
type TopicAt struct {
	Broker string `json:"broker"`
	body.TopicConfig
}

// QueueEnds is a queue and what it holds.
type QueueEnds struct {
	Broker string    `json:"broker"`
	Queue  int32     `json:"queue"`
	Min    int64     `json:"min"`           // offset of the first message
	Max    int64     `json:"max"`           // of the next one
	Last   time.Time `json:"last,omitzero"` // when the last one was stored
}

// TopicStatus is all about a topic.
type TopicStatus struct {
	Name     string      `json:"topic"`
	Order    string      `json:"order,omitempty"` // the queues that stay in its routes, "broker:queues;..."
	Messages int64       `json:"messages"`        // between the ends of its queues
	Groups   []string    `json:"groups"`          // that consume it, or have
	Brokers  []TopicAt   `json:"brokers"`
	Queues   []QueueEnds `json:"queues"`
}

// TopicStatus asks every master that has a topic for all about it. With an error
// comes what the others say; ErrNoTopic when there is none.
func (a *Admin) TopicStatus(ctx context.Context, topic string) (*TopicStatus, error) {
	route, err := a.Route(ctx, topic)
	if err != nil {
		return nil, err
	}
	s := &TopicStatus{Name: topic, Order: route.OrderTopicConf, Groups: []string{}, Brokers: []TopicAt{}, Queues: []QueueEnds{}}
	err = a.eachNode(ctx, topicNodes(route), func(ctx context.Context, n Node) error {
		c, err := a.topicAt(ctx, n, topic)
		if err != nil {
			return err
		}
		s.Brokers = append(s.Brokers, TopicAt{n.Broker, *c})
		stats, err := rpc.TopicStats(ctx, a.caller, n.Addr, topic)
		if err != nil {
			return err
		}
		for q, ends := range stats.OffsetTable {
			e := QueueEnds{Broker: n.Broker, Queue: q.QueueID, Min: ends.MinOffset, Max: ends.MaxOffset}
			if ends.LastUpdateTimestamp > 0 {
				e.Last = time.UnixMilli(ends.LastUpdateTimestamp)
			}
			s.Queues = append(s.Queues, e)
			s.Messages += e.Max - e.Min
		}
		groups, err := rpc.GroupsOfTopic(ctx, a.caller, n.Addr, topic)
		s.Groups = append(s.Groups, groups...)
		return err
	})
	slices.Sort(s.Groups)
	s.Groups = slices.Compact(s.Groups)
	slices.SortFunc(s.Queues, func(x, y QueueEnds) int {
		if c := strings.Compare(x.Broker, y.Broker); c != 0 {
			return c
		}
		return int(x.Queue) - int(y.Queue)
	})
	return s, err
}

// topicNodes are the masters that a route names, in its order; a slave where there
// is no master.
func topicNodes(route *body.TopicRouteData) []Node {
	var nodes []Node
	for _, q := range route.QueueDatas {
		for _, b := range route.BrokerDatas {
			if ids := slices.Sorted(maps.Keys(b.BrokerAddrs)); b.BrokerName == q.BrokerName && len(ids) > 0 {
				nodes = append(nodes, Node{b.Cluster, b.BrokerName, ids[0], b.BrokerAddrs[ids[0]]})
			}
		}
	}
	return nodes
}

// topicAt gives a topic of a broker; brokers of 4.9 can only be asked for all.
func (a *Admin) topicAt(ctx context.Context, n Node, topic string) (*body.TopicConfig, error) {
	c, err := rpc.TopicConfig(ctx, a.caller, n.Addr, topic)
	if !errors.Is(err, rpc.NotSupported) {
		return c, err
	}
	all, err := rpc.AllTopics(ctx, a.caller, n.Addr)
	if err != nil {
		return nil, err
	}
	if c, ok := all.TopicConfigTable[topic]; ok {
		return &c, nil
	}
	return nil, fmt.Errorf("%w: %s", ErrNoTopic, topic)
}

// TopicChange says what of a topic changes; nil stays.
type TopicChange struct {
	Read, Write *int32 // queues on each broker
	Perm        *int32 // 4 read, 2 write, the sum of those that hold
	Order       *bool
	Broker      string // only on the broker of this name; "": on all that have it
}

// UpdateTopic changes a topic where it is, and gives it as it is then. Those that
// took it come beside an error; ErrNoTopic when there is none. The order that name
// servers have follows, or clients would not see the queues that come.
func (a *Admin) UpdateTopic(ctx context.Context, topic string, change TopicChange) (done []TopicAt, err error) {
	route, err := a.Route(ctx, topic)
	if err != nil {
		return nil, err
	}
	nodes := slices.DeleteFunc(topicNodes(route), func(n Node) bool { return n.ID != 0 || change.Broker != "" && n.Broker != change.Broker })
	if len(nodes) == 0 {
		return nil, notThere(change.Broker, topic)
	}
	err = a.eachNode(ctx, nodes, func(ctx context.Context, n Node) error {
		c, err := a.topicAt(ctx, n, topic)
		if err != nil {
			return err
		}
		for to, from := range map[*int32]*int32{&c.ReadQueueNums: change.Read, &c.WriteQueueNums: change.Write, &c.Perm: change.Perm} {
			if from != nil {
				*to = *from
			}
		}
		if change.Order != nil {
			c.Order = *change.Order
		}
		h := &header.CreateTopicRequest{
			Topic: topic, DefaultTopic: message.TopicAutoCreate, ReadQueueNums: c.ReadQueueNums, WriteQueueNums: c.WriteQueueNums,
			Perm: c.Perm, TopicFilterType: c.TopicFilterType, TopicSysFlag: c.TopicSysFlag, Order: c.Order,
		}
		if err := rpc.CreateTopic(ctx, a.caller, n.Addr, h); err != nil {
			return err
		}
		done = append(done, TopicAt{n.Broker, *c})
		return nil
	})
	if change.Write != nil || change.Order != nil {
		err = errors.Join(err, a.followOrder(ctx, topic, done, change.Order))
	}
	return done, err
}

// followOrder brings the order that name servers have of a topic in line with what
// brokers took: decided says whether the topic was just made ordered, or not to be.
func (a *Admin) followOrder(ctx context.Context, topic string, done []TopicAt, decided *bool) error {
	text, err := a.Value(ctx, OrderNamespace, topic)
	none := errors.Is(err, ErrNoKey)
	switch {
	case err != nil && !none:
		return err
	case len(done) == 0 || none && (decided == nil || !*decided):
		return nil
	case decided != nil && !*decided:
		return a.DeleteValue(ctx, OrderNamespace, topic)
	}
	queues := map[string]int32{}
	for part := range strings.SplitSeq(text, ";") {
		broker, number, _ := strings.Cut(part, ":")
		if n, err := strconv.ParseInt(number, 10, 32); err == nil {
			queues[broker] = int32(n)
		}
	}
	for _, t := range done {
		queues[t.Broker] = t.WriteQueueNums
	}
	_, err = a.SetOrder(ctx, topic, queues)
	return err
}

// Unread gives how many messages are in queues that a change would take from those
// that can be read. ErrNoTopic when the topic is not there.
func (a *Admin) Unread(ctx context.Context, topic string, change TopicChange) (messages int64, err error) {
	if change.Read == nil {
		return 0, nil
	}
	s, err := a.TopicStatus(ctx, topic)
	if err != nil {
		return 0, err
	}
	read := map[string]int32{} // by broker
	for _, b := range s.Brokers {
		if change.Broker == "" || change.Broker == b.Broker {
			read[b.Broker] = b.ReadQueueNums
		}
	}
	for _, q := range s.Queues {
		if q.Queue >= *change.Read && q.Queue < read[q.Broker] {
			messages += q.Max - q.Min
		}
	}
	return messages, nil
}

func notThere(broker, topic string) error {
	return fmt.Errorf("%w: %s has no topic %s", ErrNoBroker, broker, topic)
}
