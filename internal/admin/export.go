// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"maps"
	"slices"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
)

// ownGroups are the groups that every broker has from its first start.
var ownGroups = []string{
	message.GroupTools, message.GroupFilterServer, message.GroupSelfTestConsumer, message.GroupONSHTTPProxy,
	message.GroupONSPermission, message.GroupONSOwner, message.GroupONSPull,
}

// Metadata is what the masters of a cluster keep beside messages and offsets.
type Metadata struct {
	Broker string                         `json:"broker"`
	Topics []body.TopicConfig             `json:"topics"` // by name, those of the system left out
	Groups []body.SubscriptionGroupConfig `json:"groups"` // by name, likewise
}

// Export gives the topics and groups of every master of a cluster, of all when it is
// empty; those of the masters that answer come beside an error.
func (a *Admin) Export(ctx context.Context, cluster string) ([]Metadata, error) {
	nodes, err := a.Nodes(ctx, cluster)
	if err != nil {
		return nil, err
	}
	all := []Metadata{}
	err = a.eachNode(ctx, Masters(nodes), func(ctx context.Context, n Node) error {
		topics, err := rpc.AllTopics(ctx, a.caller, n.Addr)
		if err != nil {
			return err
		}
		groups, err := rpc.AllGroups(ctx, a.caller, n.Addr)
		if err != nil {
			return err
		}
		m := Metadata{Broker: n.Broker, Topics: []body.TopicConfig{}, Groups: []body.SubscriptionGroupConfig{}}
		own := []string{n.Broker, n.Cluster, n.Cluster + "_" + message.ReplySuffix}
		for _, name := range slices.Sorted(maps.Keys(topics.TopicConfigTable)) {
			if !message.IsSystemTopic(name) && !slices.Contains(own, name) {
				m.Topics = append(m.Topics, topics.TopicConfigTable[name])
			}
		}
		for _, name := range slices.Sorted(maps.Keys(groups.SubscriptionGroupTable)) {
			if !message.IsSystemGroup(name) && !slices.Contains(ownGroups, name) {
				m.Groups = append(m.Groups, groups.SubscriptionGroupTable[name])
			}
		}
		all = append(all, m)
		return nil
	})
	return all, err
}
