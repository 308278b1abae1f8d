// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire/body"
)

// relayPatience bounds what a broker asks a client for us: brokers wait 10 s.
const relayPatience = 12 * time.Second

// relaysAtOnce is how many clients are asked at the same time.
const relaysAtOnce = 16

// Member is a client of a consumer group and what it says of itself.
type Member struct {
	body.Connection
	Brokers []string                  `json:"brokers"` // that it is connected to
	Info    *body.ConsumerRunningInfo `json:"-"`
	Err     error                     `json:"-"` // why there is no Info
	addr    string                    // of a broker that it is connected to
}

// Members gives the clients of a consumer group, by client id, and asks each through
// a broker how it is doing, when info says so; with stacks also what its threads do.
// One that does not tell has Err. ErrNotOnline when the group has none.
func (a *Admin) Members(ctx context.Context, cluster, group string, info, stacks bool) ([]Member, error) {
	online, err := a.ConsumerGroup(ctx, cluster, group)
	if len(online) == 0 {
		return nil, err
	}
	var all []Member
	known := map[string]int{} // by client id
	for _, g := range online {
		for _, c := range g.ConnectionSet {
			at, ok := known[c.ClientID]
			if !ok {
				at = len(all)
				known[c.ClientID] = at
				all = append(all, Member{Connection: c, addr: g.Addr})
			}
			all[at].Brokers = append(all[at].Brokers, g.Broker)
		}
	}
	slices.SortFunc(all, func(x, y Member) int { return cmp.Compare(x.ClientID, y.ClientID) })
	if info {
		a.askAll(ctx, all, group, stacks)
	}
	return all, errors.Join(err, context.Cause(ctx))
}

// askAll asks clients how they are doing: a few that are stuck keep nobody else.
func (a *Admin) askAll(ctx context.Context, all []Member, group string, stacks bool) {
	var asking sync.WaitGroup
	defer asking.Wait()
	free := make(chan struct{}, relaysAtOnce)
	for i := range all {
		select {
		case <-ctx.Done():
			return
		case free <- struct{}{}:
		}
		m := &all[i]
		asking.Go(func() {
			m.Info, m.Err = a.runningInfo(ctx, m.addr, group, m.ClientID, stacks)
			<-free
		})
	}
}

// Member gives one client of a consumer group and how it is doing. ErrNotOnline when
// it is not there.
func (a *Admin) Member(ctx context.Context, cluster, group, clientID string, stacks bool) (*Member, error) {
	all, err := a.Members(ctx, cluster, group, false, false)
	at := slices.IndexFunc(all, func(m Member) bool { return m.ClientID == clientID })
	if at < 0 {
		return nil, cmp.Or(err, fmt.Errorf("%w: %s of group %s", ErrNotOnline, clientID, group))
	}
	m := &all[at]
	m.Info, m.Err = a.runningInfo(ctx, m.addr, group, clientID, stacks)
	return m, m.Err
}

func (a *Admin) runningInfo(ctx context.Context, addr, group, clientID string, stacks bool) (*body.ConsumerRunningInfo, error) {
	return rpc.RunningInfo(ctx, a.relay, addr, group, clientID, stacks)
}
