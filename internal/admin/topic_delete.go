// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire/body"
)

// TopicIn is a topic as a cluster has it.
type TopicIn struct {
	Name     string
	Cluster  string
	Brokers  []string
	Messages int64 // between the ends of its queues
}

// TopicIn says where in a cluster a topic is, the only cluster when it is not named, and
// how many messages it has there. ErrNoTopic when no name server knows it there.
func (a *Admin) TopicIn(ctx context.Context, topic, cluster string) (*TopicIn, error) {
	masters, err := a.masters(ctx, cluster)
	if err != nil {
		return nil, err
	}
	t := &TopicIn{Name: topic, Cluster: masters[0].Cluster}
	err = a.each(ctx, a.servers, func(ctx context.Context, addr string) error {
		route, err := rpc.Route(ctx, a.caller, addr, topic)
		if errors.Is(err, rpc.TopicNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, n := range topicNodes(route) {
			if n.Cluster == t.Cluster && !slices.Contains(t.Brokers, n.Broker) {
				t.Brokers = append(t.Brokers, n.Broker)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(t.Brokers) == 0 {
		return nil, fmt.Errorf("%w: %s in cluster %s", ErrNoTopic, topic, t.Cluster)
	}
	var nodes []Node
	for _, b := range masters {
		if slices.Contains(t.Brokers, b.Name) {
			nodes = append(nodes, Node{b.Cluster, b.Name, 0, b.Addrs[0]})
		}
	}
	err = a.eachNode(ctx, nodes, func(ctx context.Context, n Node) error {
		stats, err := rpc.TopicStats(ctx, a.caller, n.Addr, topic)
		if errors.Is(err, rpc.TopicNotExist) {
			return nil // deleted there, and still in a route
		}
		if err != nil {
			return err
		}
		for _, ends := range stats.OffsetTable {
			t.Messages += ends.MaxOffset - ends.MinOffset
		}
		return nil
	})
	return t, err
}

// leaveOrder takes the brokers of a cluster out of the order that a name server keeps of a
// topic, and deletes it where no other cluster is left in it.
func (a *Admin) leaveOrder(ctx context.Context, addr, topic, cluster string, clusters *body.ClusterInfo) error {
	text, err := rpc.GetKV(ctx, a.caller, addr, OrderNamespace, topic)
	if errors.Is(err, rpc.QueryNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	elsewhere := false
	var stay []string
	for part := range strings.SplitSeq(text, ";") {
		name, _, _ := strings.Cut(part, ":")
		if slices.Contains(clusters.ClusterAddrTable[cluster], name) {
			continue
		}
		_, up := clusters.BrokerAddrTable[name]
		elsewhere = elsewhere || up
		stay = append(stay, part)
	}
	switch left := strings.Join(stay, ";"); {
	case !elsewhere:
		return rpc.DeleteKV(ctx, a.caller, addr, OrderNamespace, topic)
	case left != text:
		return rpc.PutKV(ctx, a.caller, addr, OrderNamespace, topic, left)
	}
	return nil
}
