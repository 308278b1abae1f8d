// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
)

var (
	// ErrNameServer: no name server answers.
	ErrNameServer = errors.New("no name server answers")
	// ErrNoTopic: no name server knows the topic.
	ErrNoTopic = errors.New("no such topic")
	// ErrCluster: there is no such cluster, or several and none was named.
	ErrCluster = errors.New("which cluster")
)

// requestTimeout bounds one request.
const requestTimeout = 5 * time.Second

// timed is a Caller that gives up each request after some time.
type timed struct {
	rpc.Caller
	patience time.Duration
}

// Invoke waits for the answer as long as there is patience.
func (t timed) Invoke(ctx context.Context, addr string, req *wire.Request) (*wire.Command, error) {
	ctx, cancel := context.WithTimeout(ctx, t.patience)
	defer cancel()
	return t.Caller.Invoke(ctx, addr, req)
}

// Admin looks after a cluster. New makes one.
type Admin struct {
	caller  rpc.Caller // waits requestTimeout for each answer
	relay   rpc.Caller // waits relayPatience
	servers []string
	addrs   func() ([]net.Addr, error) // of this machine
}

// New makes an Admin that sends through c and asks the given name servers, each
// host:port; none will do where only brokers with an address are asked.
func New(c rpc.Caller, nameServers []string) *Admin {
	return &Admin{caller: timed{c, requestTimeout}, relay: timed{c, relayPatience}, servers: slices.Clone(nameServers), addrs: net.InterfaceAddrs}
}

// ask calls fn with one name server after the other until one answers, be it
// with a refusal.
func (a *Admin) ask(ctx context.Context, fn func(ctx context.Context, addr string) error) error {
	var silent []error
	for _, addr := range a.servers {
		err := a.request(ctx, addr, fn)
		if _, answered := rpc.CodeOf(err); err == nil || answered {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		silent = append(silent, err)
	}
	return fmt.Errorf("%w: %w", ErrNameServer, errors.Join(silent...))
}

// each calls fn with all of them, one after the other, and joins the errors.
func (a *Admin) each(ctx context.Context, addrs []string, fn func(ctx context.Context, addr string) error) error {
	var errs []error
	for _, addr := range addrs {
		if err := a.request(ctx, addr, fn); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// request calls fn, which has requestTimeout for all that it asks.
func (a *Admin) request(ctx context.Context, addr string, fn func(ctx context.Context, addr string) error) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	return fn(ctx, addr)
}

// Broker is a broker of a cluster.
type Broker struct {
	Cluster, Name string
	Addrs         map[int64]string // host:port by broker id, 0 is the master
}

// Brokers gives all brokers, sorted by cluster and name.
func (a *Admin) Brokers(ctx context.Context) ([]Broker, error) {
	info, err := a.clusterInfo(ctx)
	if err != nil {
		return nil, err
	}
	var all []Broker
	for _, cluster := range slices.Sorted(maps.Keys(info.ClusterAddrTable)) {
		for _, name := range slices.Sorted(slices.Values(info.ClusterAddrTable[cluster])) {
			if b, ok := info.BrokerAddrTable[name]; ok {
				all = append(all, Broker{Cluster: cluster, Name: name, Addrs: b.BrokerAddrs})
			}
		}
	}
	return all, nil
}

func (a *Admin) clusterInfo(ctx context.Context) (info *body.ClusterInfo, err error) {
	err = a.ask(ctx, func(ctx context.Context, addr string) (err error) {
		info, err = rpc.ClusterInfo(ctx, a.caller, addr)
		return err
	})
	return info, err
}

// masters gives the masters of a cluster; with an empty name those of the only
// one there is.
func (a *Admin) masters(ctx context.Context, cluster string) ([]Broker, error) {
	all, err := a.Brokers(ctx)
	if err != nil {
		return nil, err
	}
	var clusters []string
	var found []Broker
	for _, b := range all {
		clusters = append(clusters, b.Cluster)
		if (cluster == "" || b.Cluster == cluster) && b.Addrs[0] != "" {
			found = append(found, b)
		}
	}
	clusters = slices.Compact(clusters)
	known := strings.Join(clusters, ", ")
	switch {
	case len(clusters) == 0:
		return nil, fmt.Errorf("%w: no broker is registered at %s", ErrCluster, strings.Join(a.servers, ";"))
	case cluster == "" && len(clusters) > 1:
		return nil, fmt.Errorf("%w: there are several, name one of %s", ErrCluster, known)
	case !slices.Contains(clusters, cluster) && cluster != "":
		return nil, fmt.Errorf("%w: there is no cluster %q, only %s", ErrCluster, cluster, known)
	case len(found) == 0:
		return nil, fmt.Errorf("%w: no master of cluster %s is registered", ErrCluster, known)
	}
	return found, nil
}
