// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
)

var (
	// ErrNotOnline: a consumer group has no client at any broker.
	ErrNotOnline = errors.New("no client of the consumer group is online")
	// ErrNoGroup: no broker has the consumer group.
	ErrNoGroup = errors.New("no such consumer group")
	// ErrGroupExists: a broker has the consumer group already.
	ErrGroupExists = errors.New("the consumer group exists already")
)

// OnlineGroup is a consumer group as a broker sees it.
type OnlineGroup struct {
	Node
	*body.ConsumerConnection
}

// ConsumerGroup gives the clients of a consumer group, by client id, and their
// subscriptions, by each master that has any, of one cluster or of all when cluster is empty.
// ErrNotOnline when none has; brokers that do not answer are errors beside what the
// others say.
func (a *Admin) ConsumerGroup(ctx context.Context, cluster, group string) ([]OnlineGroup, error) {
	var list []OnlineGroup
	err := a.everyMaster(ctx, cluster, func(ctx context.Context, n Node) error {
		c, err := rpc.ConsumerConnection(ctx, a.caller, n.Addr, group)
		if code, _ := rpc.CodeOf(err); code == wire.ConsumerNotOnline {
			return nil
		}
		if err != nil {
			return err
		}
		slices.SortFunc(c.ConnectionSet, func(x, y body.Connection) int { return cmp.Compare(x.ClientID, y.ClientID) })
		list = append(list, OnlineGroup{n, c})
		return nil
	})
	if len(list) == 0 && err == nil {
		return nil, fmt.Errorf("%w: %s", ErrNotOnline, group)
	}
	return list, err
}

// Group is a consumer group as brokers are set up for it.
type Group struct {
	Name string    `json:"name"`
	At   []GroupAt `json:"at"` // by broker
}

// GroupAt is a consumer group at a broker.
type GroupAt struct {
	Cluster string                       `json:"cluster"`
	Broker  string                       `json:"broker"`
	Config  body.SubscriptionGroupConfig `json:"config"`
}

// Groups gives the consumer groups that the masters of a cluster have, or of all when
// it is empty, by name; brokers that do not answer are errors beside what the others
// say.
func (a *Admin) Groups(ctx context.Context, cluster string) ([]Group, error) {
	found := map[string]*Group{}
	err := a.everyMaster(ctx, cluster, func(ctx context.Context, n Node) error {
		w, err := rpc.AllGroups(ctx, a.caller, n.Addr)
		if err != nil {
			return err
		}
		for name, c := range w.SubscriptionGroupTable {
			if found[name] == nil {
				found[name] = &Group{Name: name}
			}
			found[name].At = append(found[name].At, GroupAt{n.Cluster, n.Broker, c})
		}
		return nil
	})
	list := make([]Group, 0, len(found))
	for _, name := range slices.Sorted(maps.Keys(found)) {
		list = append(list, *found[name])
	}
	return list, err
}

// Group gives how brokers are set up for a consumer group; ErrNoGroup when none
// knows it.
func (a *Admin) Group(ctx context.Context, cluster, name string) (*Group, error) {
	all, err := a.Groups(ctx, cluster)
	if at := slices.IndexFunc(all, func(g Group) bool { return g.Name == name }); at >= 0 {
		return &all[at], err
	}
	if err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("%w: %s", ErrNoGroup, name)
}

// CreateGroup makes a consumer group on all masters of a cluster, the only one when
// it is not named, as change leaves the settings of a new group, and gives those that
// have got it. Where some have it already, the others get the settings of the first.
// ErrGroupExists, and nothing is made, when all have it, or change would change it.
func (a *Admin) CreateGroup(ctx context.Context, cluster, name string, change func(*body.SubscriptionGroupConfig)) ([]Broker, error) {
	if err := message.CheckGroup(name); err != nil {
		return nil, err
	}
	return a.putGroup(ctx, cluster, name, func(olds []*body.SubscriptionGroupConfig) error {
		c := body.NewSubscriptionGroupConfig(name)
		change(&c)
		made := &c
		if at := slices.IndexFunc(olds, func(old *body.SubscriptionGroupConfig) bool { return old != nil }); at >= 0 {
			made = olds[at]
		}
		missing := false
		for i, old := range olds {
			if old == nil {
				olds[i], missing = made, true
				continue
			}
			changed := *old
			if change(&changed); !reflect.DeepEqual(changed, *old) {
				return fmt.Errorf("%w, with other settings", ErrGroupExists)
			}
			olds[i] = nil
		}
		if !missing {
			return ErrGroupExists
		}
		return nil
	})
}

// UpdateGroup changes the settings of a consumer group on all masters of a cluster
// that have it, and gives those. ErrNoGroup when none has it.
func (a *Admin) UpdateGroup(ctx context.Context, cluster, name string, change func(*body.SubscriptionGroupConfig)) ([]Broker, error) {
	changed, err := a.putGroup(ctx, cluster, name, func(olds []*body.SubscriptionGroupConfig) error {
		for _, old := range olds {
			if old != nil {
				change(old)
			}
		}
		return nil
	})
	if len(changed) == 0 && err == nil {
		return nil, fmt.Errorf("%w: %s", ErrNoGroup, name)
	}
	return changed, err
}

// putGroup asks all masters for the settings of a group before it changes one of
// them. decide gets those of each, nil where the group is not, and puts what they are to
// be in their place, nil to leave them.
func (a *Admin) putGroup(ctx context.Context, cluster, name string, decide func(settings []*body.SubscriptionGroupConfig) error) ([]Broker, error) {
	masters, err := a.masters(ctx, cluster)
	if err != nil {
		return nil, err
	}
	wanted := make([]*body.SubscriptionGroupConfig, len(masters))
	for i, b := range masters {
		err := a.request(ctx, b.Addrs[0], func(ctx context.Context, addr string) error {
			w, err := rpc.AllGroups(ctx, a.caller, addr)
			if err != nil {
				return err
			}
			if c, ok := w.SubscriptionGroupTable[name]; ok {
				wanted[i] = &c
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("group %s: broker %s: %w", name, b.Name, err)
		}
	}
	if err := decide(wanted); err != nil {
		return nil, fmt.Errorf("group %s: %w", name, err)
	}
	var done []Broker
	var errs []error
	for i, b := range masters {
		if wanted[i] == nil {
			continue
		}
		err := a.request(ctx, b.Addrs[0], func(ctx context.Context, addr string) error {
			return rpc.CreateGroup(ctx, a.caller, addr, wanted[i])
		})
		if err != nil {
			errs = append(errs, fmt.Errorf("broker %s: %w", b.Name, err))
			continue
		}
		done = append(done, b)
	}
	return done, errors.Join(errs...)
}

// DeleteGroup deletes a consumer group on all masters of a cluster, the only one when
// it is not named: its settings, its offsets unless they are kept, its retry topic,
// and with deadLetters those as well. ErrNoGroup when none has it.
func (a *Admin) DeleteGroup(ctx context.Context, cluster, name string, keepOffsets, deadLetters bool) ([]Broker, error) {
	masters, err := a.masters(ctx, cluster)
	if err != nil {
		return nil, err
	}
	cluster = masters[0].Cluster
	g, err := a.Group(ctx, cluster, name)
	if err != nil {
		return nil, err
	}
	var done []Broker
	var errs []error
	for _, b := range masters {
		if !slices.ContainsFunc(g.At, func(at GroupAt) bool { return at.Broker == b.Name }) {
			continue
		}
		err := a.request(ctx, b.Addrs[0], func(ctx context.Context, addr string) error {
			return rpc.DeleteGroup(ctx, a.caller, addr, name, !keepOffsets)
		})
		if err != nil {
			errs = append(errs, fmt.Errorf("broker %s: %w", b.Name, err))
			continue
		}
		done = append(done, b)
	}
	if err := errors.Join(errs...); err != nil {
		return done, err // who has the group still needs its topics
	}
	topics := []string{message.RetryTopic(name)}
	if deadLetters {
		topics = append(topics, message.DLQTopic(name))
	}
	for _, topic := range topics {
		if _, err := a.Route(ctx, topic); errors.Is(err, ErrNoTopic) {
			continue
		} else if err != nil {
			return done, err
		}
		if _, err := a.DeleteTopic(ctx, topic, cluster); err != nil {
			return done, err
		}
	}
	return done, nil
}

// GroupNames gives the consumer groups of all masters, sorted; those of the brokers
// that answer come beside an error.
func (a *Admin) GroupNames(ctx context.Context) ([]string, error) {
	groups, err := a.Groups(ctx, "")
	names := make([]string, len(groups))
	for i := range groups {
		names[i] = groups[i].Name
	}
	return names, err
}
