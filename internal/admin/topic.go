// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// Topic says what a topic is to be.
type Topic struct {
	Name    string
	Cluster string // "": the only one there is
	Queues  int32  // to write and to read, on each broker; at least 1
	Perm    int32  // 4 read, 2 write, the sum of those that hold; 0 is 6
	Order   bool   // queues keep their place when a broker is down
}

// ErrTopicExists: brokers have the topic already.
var ErrTopicExists = errors.New("the topic exists already")

// CreateTopic makes a topic on all masters of its cluster that do not have it, and
// gives those. ErrTopicExists, and nothing is made, when all have it, or one has it
// otherwise than t says.
func (a *Admin) CreateTopic(ctx context.Context, t Topic) ([]Broker, error) {
	if err := message.CheckTopic(t.Name); err != nil {
		return nil, err
	}
	if t.Queues < 1 {
		return nil, fmt.Errorf("topic %s: %d queues, at least 1", t.Name, t.Queues)
	}
	if t.Perm == 0 {
		t.Perm = 6
	}
	if t.Perm < 0 || t.Perm > 7 {
		return nil, fmt.Errorf("topic %s: permission %d, accepted is a sum of 4 (read) and 2 (write)", t.Name, t.Perm)
	}
	masters, err := a.masters(ctx, t.Cluster)
	if err != nil {
		return nil, err
	}
	h := &header.CreateTopicRequest{
		Topic: t.Name, DefaultTopic: message.TopicAutoCreate, ReadQueueNums: t.Queues, WriteQueueNums: t.Queues,
		Perm: t.Perm, TopicFilterType: body.SingleTag, Order: t.Order,
	}
	var missing, done []Broker
	var errs []error
	for _, b := range masters {
		switch c, err := a.topicAt(ctx, Node{b.Cluster, b.Name, 0, b.Addrs[0]}, t.Name); {
		case errors.Is(err, ErrNoTopic), errors.Is(err, rpc.TopicNotExist):
			missing = append(missing, b)
		case err != nil:
			errs = append(errs, fmt.Errorf("broker %s: %w", b.Name, err))
		case c.ReadQueueNums != t.Queues || c.WriteQueueNums != t.Queues || c.Perm != t.Perm || c.Order != t.Order:
			return nil, fmt.Errorf("%w: %s at broker %s, with %d queues to read, %d to write, permission %d, order %t",
				ErrTopicExists, t.Name, b.Name, c.ReadQueueNums, c.WriteQueueNums, c.Perm, c.Order)
		}
	}
	if len(missing) == 0 && len(errs) == 0 {
		return nil, fmt.Errorf("%w: %s at all brokers", ErrTopicExists, t.Name)
	}
	for _, b := range missing {
		err := a.request(ctx, b.Addrs[0], func(ctx context.Context, addr string) error {
			return rpc.CreateTopic(ctx, a.caller, addr, h)
		})
		if err != nil {
			errs = append(errs, fmt.Errorf("broker %s: %w", b.Name, err))
			continue
		}
		done = append(done, b)
	}
	return done, errors.Join(errs...)
}

// Topics gives the names of all topics, sorted.
func (a *Admin) Topics(ctx context.Context) (names []string, err error) {
	err = a.ask(ctx, func(ctx context.Context, addr string) (err error) {
		names, err = rpc.TopicList(ctx, a.caller, addr)
		return err
	})
	slices.Sort(names)
	return names, err
}

// Route says where a topic is; ErrNoTopic when it is nowhere.
func (a *Admin) Route(ctx context.Context, topic string) (data *body.TopicRouteData, err error) {
	err = a.ask(ctx, func(ctx context.Context, addr string) (err error) {
		data, err = rpc.Route(ctx, a.caller, addr, topic)
		return err
	})
	if errors.Is(err, rpc.TopicNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrNoTopic, topic)
	}
	return data, err
}

// AwaitRoute waits until the route of a topic has all of these brokers, or ctx
// ends.
func (a *Admin) AwaitRoute(ctx context.Context, topic string, brokers []Broker) error {
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		data, err := a.Route(ctx, topic)
		if err == nil && covers(data, brokers) {
			return nil
		}
		if err != nil && !errors.Is(err, ErrNoTopic) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("topic %s is not in the routes of all its brokers yet: %w", topic, context.Cause(ctx))
		case <-again.C:
		}
	}
}

func covers(data *body.TopicRouteData, brokers []Broker) bool {
	return !slices.ContainsFunc(brokers, func(b Broker) bool {
		return !slices.ContainsFunc(data.QueueDatas, func(q body.QueueData) bool { return q.BrokerName == b.Name })
	})
}

// noTopic is a key of OrderNamespace that no topic has: ? is in no topic's name.
const noTopic = "?"

// DeleteTopic deletes a topic with its messages on all masters of a cluster, the
// only one when it is not named, and takes it out of the routes and of its order, in
// which the brokers of other clusters stay. It gives the brokers that have deleted it,
// also beside an error. A name server that is not there, or that lets us change
// nothing, ends it before anything is deleted.
func (a *Admin) DeleteTopic(ctx context.Context, topic, cluster string) (done []Broker, err error) {
	masters, err := a.masters(ctx, cluster)
	if err != nil {
		return nil, err
	}
	clusters, err := a.clusterInfo(ctx)
	if err != nil {
		return nil, err
	}
	err = a.each(ctx, a.servers, func(ctx context.Context, addr string) error {
		return rpc.DeleteKV(ctx, a.caller, addr, OrderNamespace, noTopic)
	})
	if err != nil {
		return nil, fmt.Errorf("topic %s: nothing is deleted, as not every name server takes it out of its routes: %w", topic, err)
	}
	var errs []error
	for _, b := range masters {
		err := a.request(ctx, b.Addrs[0], func(ctx context.Context, addr string) error {
			return rpc.DeleteTopic(ctx, a.caller, addr, topic)
		})
		if err != nil {
			errs = append(errs, fmt.Errorf("broker %s: %w", b.Name, err))
			continue
		}
		done = append(done, b)
	}
	if len(errs) > 0 {
		return done, errors.Join(errs...) // it would come back with the next registration
	}
	return done, a.each(ctx, a.servers, func(ctx context.Context, addr string) error {
		return errors.Join(
			rpc.DeleteTopicInNamesrv(ctx, a.caller, addr, topic, masters[0].Cluster),
			a.leaveOrder(ctx, addr, topic, masters[0].Cluster, clusters))
	})
}
