// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/twostage/twostage/internal/admin"
	"github.com/twostage/twostage/internal/bench"
	"github.com/twostage/twostage/internal/wire/body"
)

const (
	creating     = 16  // topics that are made at a time
	creatingStep = 500 // topics between two lines of progress
)

// targets finds the brokers and queues to load, and makes the topics that there
// are not.
func (f *benchFlags) targets(ctx context.Context) (targets []bench.Target, err error) {
	if f.addr != "" {
		return []bench.Target{{Addr: f.addr, Queues: f.queues}}, nil
	}
	err = f.admin(func(a *admin.Admin) error {
		var data *body.TopicRouteData
		if f.load.Topics > 1 {
			if err := f.createTopics(ctx, a); err != nil {
				return err
			}
			data, err = a.Route(ctx, f.load.TopicName(0))
		} else {
			data, err = f.oneTopic(ctx, a)
		}
		if err != nil {
			return err
		}
		for _, q := range data.QueueDatas {
			for _, b := range data.BrokerDatas {
				if b.BrokerName == q.BrokerName && b.BrokerAddrs[0] != "" {
					targets = append(targets, bench.Target{Addr: b.BrokerAddrs[0], Broker: b.BrokerName, Queues: min(q.WriteQueueNums, q.ReadQueueNums)})
				}
			}
		}
		if len(targets) == 0 {
			return fmt.Errorf("topic %s has no broker that can be loaded", f.load.TopicName(0))
		}
		return nil
	})
	return targets, err
}

// oneTopic is the route of the topic, which it makes if there is none.
func (f *benchFlags) oneTopic(ctx context.Context, a *admin.Admin) (*body.TopicRouteData, error) {
	data, err := a.Route(ctx, f.load.Topic)
	if !errors.Is(err, admin.ErrNoTopic) {
		return data, err
	}
	c := f.cluster
	c.Stdout = c.Stderr // standard output is for the result
	if err := createTopic(ctx, &c, a, admin.Topic{Name: f.load.Topic, Queues: f.queues}); err != nil {
		return nil, err
	}
	return a.Route(ctx, f.load.Topic)
}

// createTopics makes those of the topics that no name server knows. All are taken
// to have the queues of the first one.
func (f *benchFlags) createTopics(ctx context.Context, a *admin.Admin) error {
	known, err := a.Topics(ctx)
	if err != nil {
		return err
	}
	var missing []string
	for i := range f.load.Topics {
		name := f.load.TopicName(i)
		if _, ok := slices.BinarySearch(known, name); !ok {
			missing = append(missing, name)
		}
	}
	for at := 0; at < len(missing); at += creatingStep {
		fmt.Fprintf(f.Stderr, "creating topics: %d of %d\n", at, len(missing))
		part := missing[at:min(at+creatingStep, len(missing))]
		err := bench.Several(ctx, len(part), creating, func(ctx context.Context, i int) error {
			done, err := a.CreateTopic(ctx, admin.Topic{Name: part[i], Queues: f.queues})
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(ctx, routePatience)
			defer cancel()
			return a.AwaitRoute(ctx, part[i], done)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
