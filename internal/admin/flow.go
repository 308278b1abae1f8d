// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
)

// Flow is how fast messages come into a topic and go out to a group.
type Flow struct {
	Topic   string  `json:"topic"`
	Group   string  `json:"group,omitempty"` // "": nobody consumes the topic
	Backlog int64   `json:"backlog"`         // messages that the group has not consumed
	In      float64 `json:"inPerSecond"`     // over the last minute
	Out     float64 `json:"outPerSecond"`
	InDay   int64   `json:"inDay"` // messages in the last 24 hours, as far as the brokers have counted
	OutDay  int64   `json:"outDay"`
}

// Flows tells how fast messages come into a topic and go out to each of its groups,
// on all its brokers together. With an error come those of the brokers that answer.
func (a *Admin) Flows(ctx context.Context, topic string) ([]Flow, error) {
	route, err := a.Route(ctx, topic)
	if err != nil {
		return nil, err
	}
	in := Flow{Topic: topic}
	groups := map[string]*Flow{}
	err = a.eachNode(ctx, topicNodes(route), func(ctx context.Context, n Node) error {
		put, err := a.count(ctx, n, "TOPIC_PUT_NUMS", topic)
		if err != nil {
			return err
		}
		in.In, in.InDay = in.In+put.StatsMinute.Tps, in.InDay+day(put)
		names, err := rpc.GroupsOfTopic(ctx, a.caller, n.Addr, topic)
		if err != nil {
			return err
		}
		for _, name := range names {
			if groups[name] == nil {
				groups[name] = &Flow{Topic: topic, Group: name}
			}
			if err := a.groupFlow(ctx, n, groups[name]); err != nil {
				return err
			}
		}
		return nil
	})
	all := make([]Flow, 0, len(groups))
	for _, g := range groups {
		g.In, g.InDay = in.In, in.InDay
		all = append(all, *g)
	}
	slices.SortFunc(all, func(x, y Flow) int { return strings.Compare(x.Group, y.Group) })
	if len(all) == 0 && err == nil {
		all = append(all, in)
	}
	return all, err
}

// groupFlow adds what a broker says of a group.
func (a *Admin) groupFlow(ctx context.Context, n Node, f *Flow) error {
	got, err := a.count(ctx, n, "GROUP_GET_NUMS", f.Topic+"@"+f.Group)
	if err != nil {
		return err
	}
	f.Out, f.OutDay = f.Out+got.StatsMinute.Tps, f.OutDay+day(got)
	stats, err := rpc.ConsumeStats(ctx, a.caller, n.Addr, f.Group, f.Topic)
	if err != nil {
		return err
	}
	for _, q := range stats.OffsetTable {
		f.Backlog += max(q.BrokerOffset-q.ConsumerOffset, 0)
	}
	return nil
}

// count gives a counter of a broker, nothing where it has not counted yet.
func (a *Admin) count(ctx context.Context, n Node, name, key string) (*body.BrokerStatsData, error) {
	data, err := rpc.BrokerStats(ctx, a.caller, n.Addr, name, key)
	if errors.Is(err, rpc.SystemError) {
		return &body.BrokerStatsData{}, nil
	}
	return data, err
}

// day is the sum of a day, or of the hour while a broker has counted no longer.
func day(d *body.BrokerStatsData) int64 {
	return max(d.StatsDay.Sum, d.StatsHour.Sum, d.StatsMinute.Sum)
}

// QueueEntries gives entries of a topic's queue on the broker of a name, from an
// offset on, with the subscription of a group looked at when it is named; ErrNoBroker
// when that broker does not have the topic.
func (a *Admin) QueueEntries(ctx context.Context, topic, broker string, queue int32, from int64, count int32, group string) (entries *body.QueryConsumeQueueResponseBody, err error) {
	route, err := a.Route(ctx, topic)
	if err != nil {
		return nil, err
	}
	nodes := slices.DeleteFunc(topicNodes(route), func(n Node) bool { return n.Broker != broker })
	if len(nodes) == 0 {
		return nil, notThere(broker, topic)
	}
	err = a.eachNode(ctx, nodes, func(ctx context.Context, n Node) (err error) {
		entries, err = rpc.ConsumeQueue(ctx, a.caller, n.Addr, &header.ConsumeQueueRequest{Topic: topic, QueueID: queue, Index: from, Count: count, ConsumerGroup: group})
		return err
	})
	return entries, err
}

// Backlog is what a group has not consumed of a topic on one broker.
type Backlog struct {
	Group    string  `json:"group"`
	Topic    string  `json:"topic"`
	Messages int64   `json:"messages"`
	Out      float64 `json:"outPerSecond"`
}

// Backlogs gives the backlogs of all groups on a broker, sorted by group and topic.
func (a *Admin) Backlogs(ctx context.Context, n Node) ([]Backlog, error) {
	all := []Backlog{}
	err := a.eachNode(ctx, []Node{n}, func(ctx context.Context, n Node) error {
		list, err := rpc.BrokerConsumeStats(ctx, a.caller, n.Addr, false)
		if err != nil {
			return err
		}
		for _, byGroup := range list.ConsumeStatsList {
			for group, topics := range byGroup {
				for _, stats := range topics {
					b := Backlog{Group: group, Out: stats.ConsumeTps}
					for q, at := range stats.OffsetTable {
						b.Topic = q.Topic
						b.Messages += max(at.BrokerOffset-at.ConsumerOffset, 0)
					}
					if b.Topic != "" {
						all = append(all, b)
					}
				}
			}
		}
		return nil
	})
	slices.SortFunc(all, func(x, y Backlog) int {
		return cmp.Or(strings.Compare(x.Group, y.Group), strings.Compare(x.Topic, y.Topic))
	})
	return all, err
}
