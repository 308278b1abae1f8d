// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twostage/twostage/internal/rpc"
)

// OrderNamespace is where name servers keep which queues of ordered topics are
// always in their routes.
const OrderNamespace = "ORDER_TOPIC_CONFIG"

// ErrNoKey: no name server has the key, or its namespace.
var ErrNoKey = errors.New("no such key")

// NameServer is a name server and what it knows.
type NameServer struct {
	Addr    string `json:"addr"`
	Brokers int    `json:"brokers"` // processes
	Topics  int    `json:"topics"`
	Error   string `json:"error,omitempty"` // why it says nothing
}

// NameServers asks all name servers what they know. One that does not answer is in the
// list with its error, which is among the joined ones, too.
func (a *Admin) NameServers(ctx context.Context) ([]NameServer, error) {
	all := make([]NameServer, 0, len(a.servers))
	var errs []error
	for _, addr := range a.servers {
		s := NameServer{Addr: addr}
		err := a.request(ctx, addr, func(ctx context.Context, addr string) error {
			info, err := rpc.ClusterInfo(ctx, a.caller, addr)
			if err != nil {
				return err
			}
			for _, b := range info.BrokerAddrTable {
				s.Brokers += len(b.BrokerAddrs)
			}
			topics, err := rpc.TopicList(ctx, a.caller, addr)
			s.Topics = len(topics)
			return err
		})
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil {
			s.Error = err.Error()
			errs = append(errs, fmt.Errorf("name server %s: %w", addr, err))
		}
		all = append(all, s)
	}
	return all, errors.Join(errs...)
}

// Values gives a namespace of the name servers' values; ErrNoKey when there is
// none. One server is asked: they should all have the same.
func (a *Admin) Values(ctx context.Context, namespace string) (table map[string]string, err error) {
	err = a.ask(ctx, func(ctx context.Context, addr string) (err error) {
		table, err = rpc.ListKV(ctx, a.caller, addr, namespace)
		return err
	})
	if errors.Is(err, rpc.QueryNotFound) {
		return nil, fmt.Errorf("%w: namespace %s", ErrNoKey, namespace)
	}
	return table, err
}

// Value gives a value of the name servers; ErrNoKey when there is none.
func (a *Admin) Value(ctx context.Context, namespace, key string) (value string, err error) {
	err = a.ask(ctx, func(ctx context.Context, addr string) (err error) {
		value, err = rpc.GetKV(ctx, a.caller, addr, namespace, key)
		return err
	})
	if errors.Is(err, rpc.QueryNotFound) {
		return "", fmt.Errorf("%w: %s in namespace %s", ErrNoKey, key, namespace)
	}
	return value, err
}

// SetValue sets a value at every name server.
func (a *Admin) SetValue(ctx context.Context, namespace, key, value string) error {
	return a.each(ctx, a.servers, func(ctx context.Context, addr string) error {
		return rpc.PutKV(ctx, a.caller, addr, namespace, key, value)
	})
}

// DeleteValue deletes a value at every name server that has it; ErrNoKey when none has.
func (a *Admin) DeleteValue(ctx context.Context, namespace, key string) error {
	without := 0
	err := a.each(ctx, a.servers, func(ctx context.Context, addr string) error {
		if _, err := rpc.GetKV(ctx, a.caller, addr, namespace, key); errors.Is(err, rpc.QueryNotFound) {
			without++
			return nil
		} else if err != nil {
			return err
		}
		return rpc.DeleteKV(ctx, a.caller, addr, namespace, key)
	})
	if err == nil && without == len(a.servers) {
		return fmt.Errorf("%w: %s in namespace %s", ErrNoKey, key, namespace)
	}
	return err
}

// SetOrder sets which queues of a topic are in its routes also when a broker is
// down: so many of each broker name. With nil they are the queues to write of its
// route. It gives what was set, as name servers keep it: "broker:queues;...".
func (a *Admin) SetOrder(ctx context.Context, topic string, queues map[string]int32) (string, error) {
	if queues == nil {
		route, err := a.Route(ctx, topic)
		if err != nil {
			return "", err
		}
		queues = map[string]int32{}
		for _, q := range route.QueueDatas {
			queues[q.BrokerName] = q.WriteQueueNums
		}
	}
	var parts []string
	for _, broker := range slices.Sorted(maps.Keys(queues)) {
		if broker == "" || strings.ContainsAny(broker, ":;") || queues[broker] < 1 {
			return "", fmt.Errorf("order of topic %s: %q with %d queues; wanted is a broker's name, and at least one queue", topic, broker, queues[broker])
		}
		parts = append(parts, fmt.Sprintf("%s:%d", broker, queues[broker]))
	}
	if len(parts) == 0 {
		return "", fmt.Errorf("order of topic %s: no queues", topic)
	}
	text := strings.Join(parts, ";")
	return text, a.SetValue(ctx, OrderNamespace, topic, text)
}
