// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire/body"
)

// RequestMode is how a consumer group gets the messages of a topic from a broker.
type RequestMode struct {
	Broker string           `json:"broker"`
	Topic  string           `json:"topic"`
	Mode   body.RequestMode `json:"mode"`
	Share  int32            `json:"share"` // with how many others a client shares its queues; 0 or less: with all
}

// SetRequestMode says how a group gets the messages of a topic, at all masters of a
// cluster, the only one when it is not named, that have the topic; it gives those that
// took it. Consumers of 5.x follow within half a minute. ErrNoTopic, ErrNoGroup.
func (a *Admin) SetRequestMode(ctx context.Context, cluster, group, topic string, mode body.RequestMode, share int32) ([]Broker, error) {
	masters, err := a.masters(ctx, cluster)
	if err != nil {
		return nil, err
	}
	data, err := a.Route(ctx, topic)
	if err != nil {
		return nil, err
	}
	var done []Broker
	var errs []error
	for _, b := range masters {
		if !slices.ContainsFunc(data.QueueDatas, func(q body.QueueData) bool { return q.BrokerName == b.Name }) {
			continue
		}
		err := a.request(ctx, b.Addrs[0], func(ctx context.Context, addr string) error {
			return rpc.SetRequestMode(ctx, a.caller, addr, &body.RequestModeConfig{Topic: topic, ConsumerGroup: group, Mode: mode, PopShareQueueNum: share})
		})
		switch {
		case errors.Is(err, rpc.SubscriptionGroupNotExist):
			err = fmt.Errorf("%w: %s: %w", ErrNoGroup, group, err)
			fallthrough
		case err != nil:
			errs = append(errs, fmt.Errorf("broker %s: %w", b.Name, err))
		default:
			done = append(done, b)
		}
	}
	return done, errors.Join(errs...)
}

// RequestModes gives the modes that are set for a group, by broker and topic, at the
// masters of a cluster, or of all when it is empty. Where none is set, groups pull.
func (a *Admin) RequestModes(ctx context.Context, cluster, group string) ([]RequestMode, error) {
	list := []RequestMode{}
	err := a.everyMaster(ctx, cluster, func(ctx context.Context, n Node) error {
		table, err := rpc.RequestModes(ctx, a.caller, n.Addr)
		for topic, groups := range table {
			if c, ok := groups[group]; ok {
				list = append(list, RequestMode{n.Broker, topic, c.Mode, c.PopShareQueueNum})
			}
		}
		return err
	})
	slices.SortFunc(list, func(x, y RequestMode) int {
		return slices.Compare([]string{x.Broker, x.Topic}, []string{y.Broker, y.Topic})
	})
	return list, err
}
