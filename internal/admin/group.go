// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
)

// ErrNotOnline: a consumer group has no client at any broker.
var ErrNotOnline = errors.New("no client of the consumer group is online")

// OnlineGroup is a consumer group as a broker sees it.
type OnlineGroup struct {
	Broker Broker
	*body.ConsumerConnection
}

// ConsumerGroup gives the clients of a consumer group and their subscriptions, by
// each master that has any, of one cluster or of all when cluster is empty.
// ErrNotOnline when none has; brokers that do not answer are errors beside what the
// others say.
func (a *Admin) ConsumerGroup(ctx context.Context, cluster, group string) ([]OnlineGroup, error) {
	brokers, err := a.Brokers(ctx)
	if err != nil {
		return nil, err
	}
	var list []OnlineGroup
	var errs []error
	for _, b := range brokers {
		if cluster != "" && b.Cluster != cluster || b.Addrs[0] == "" {
			continue
		}
		err := a.request(ctx, b.Addrs[0], func(ctx context.Context, addr string) error {
			c, err := rpc.ConsumerConnection(ctx, a.caller, addr, group)
			if err == nil {
				list = append(list, OnlineGroup{b, c})
			}
			return err
		})
		if code, _ := rpc.CodeOf(err); err != nil && code != wire.ConsumerNotOnline {
			errs = append(errs, fmt.Errorf("broker %s: %w", b.Name, err))
		}
	}
	if len(list) == 0 && len(errs) == 0 {
		return nil, fmt.Errorf("%w: %s", ErrNotOnline, group)
	}
	return list, errors.Join(errs...)
}

// GroupNames gives the consumer groups of all masters, sorted; those of the brokers
// that answer come beside an error.
func (a *Admin) GroupNames(ctx context.Context) ([]string, error) {
	nodes, err := a.Nodes(ctx, "")
	if err != nil {
		return nil, err
	}
	all := map[string]bool{}
	err = a.eachNode(ctx, Masters(nodes), func(ctx context.Context, n Node) error {
		groups, err := rpc.AllGroups(ctx, a.caller, n.Addr)
		if err == nil {
			for name := range groups.SubscriptionGroupTable {
				all[name] = true
			}
		}
		return err
	})
	return slices.Sorted(maps.Keys(all)), err
}
