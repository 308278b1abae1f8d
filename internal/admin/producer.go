// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twostage/twostage/internal/rpc"
)

// Producer is a client of a producer group.
type Producer struct {
	Group    string    `json:"group"`
	ClientID string    `json:"clientId"`
	Address  string    `json:"address"` // ip:port
	Language string    `json:"language"`
	Version  int32     `json:"version"`       // ordinal of Java's MQVersion
	Brokers  []string  `json:"brokers"`       // that it is connected to
	Seen     time.Time `json:"seen,omitzero"` // last heartbeat, by the broker's clock
}

// ErrNoProducer: a producer group has no client at any broker.
var ErrNoProducer = errors.New("no client of the producer group is online")

// Producers gives the clients of all producer groups, or of one, at the masters of a
// cluster, or of all when that is empty, by group and client id; brokers that do not
// answer are errors beside what the others say.
func (a *Admin) Producers(ctx context.Context, cluster, group string) ([]Producer, error) {
	all := []Producer{}
	known := map[[2]string]int{} // by group and client id
	err := a.everyMaster(ctx, cluster, func(ctx context.Context, n Node) error {
		table, err := rpc.Producers(ctx, a.caller, n.Addr)
		for name, clients := range table {
			if group != "" && name != group {
				continue
			}
			for _, c := range clients {
				at, ok := known[[2]string{name, c.ClientID}]
				if !ok {
					at = len(all)
					known[[2]string{name, c.ClientID}] = at
					all = append(all, Producer{
						Group: name, ClientID: c.ClientID, Address: strings.TrimPrefix(c.RemoteIP, "/"), Language: c.Language, Version: c.Version,
					})
				}
				all[at].Brokers = append(all[at].Brokers, n.Broker)
				if seen := time.UnixMilli(c.LastUpdateTimestamp); c.LastUpdateTimestamp > 0 && seen.After(all[at].Seen) {
					all[at].Seen = seen
				}
			}
		}
		return err
	})
	slices.SortFunc(all, func(x, y Producer) int {
		return cmp.Or(cmp.Compare(x.Group, y.Group), cmp.Compare(x.ClientID, y.ClientID))
	})
	if len(all) == 0 && group != "" && err == nil {
		return nil, fmt.Errorf("%w: %s", ErrNoProducer, group)
	}
	return all, err
}
