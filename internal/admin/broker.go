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

	"github.com/twostage/twostage/internal/rpc"
)

// ErrNoBroker: no broker of that name or address is registered.
var ErrNoBroker = errors.New("no such broker")

// Node is a broker process: a master or a slave of a broker name.
type Node struct {
	Cluster string `json:"cluster"`
	Broker  string `json:"broker"`
	ID      int64  `json:"id"`   // 0 is the master
	Addr    string `json:"addr"` // host:port
}

// Nodes gives the broker processes of a cluster, of all when it is empty, sorted by
// cluster, broker and id. ErrCluster when there is no such cluster.
func (a *Admin) Nodes(ctx context.Context, cluster string) ([]Node, error) {
	brokers, err := a.Brokers(ctx)
	if err != nil {
		return nil, err
	}
	var nodes []Node
	for _, b := range brokers {
		if cluster != "" && b.Cluster != cluster {
			continue
		}
		for _, id := range slices.Sorted(maps.Keys(b.Addrs)) {
			nodes = append(nodes, Node{b.Cluster, b.Name, id, b.Addrs[id]})
		}
	}
	if len(nodes) == 0 && cluster != "" {
		return nil, fmt.Errorf("%w: there is no cluster %q", ErrCluster, cluster)
	}
	return nodes, nil
}

// Node finds a broker: the master of a broker name, or the process at host:port,
// which need not be registered.
func (a *Admin) Node(ctx context.Context, which string) (Node, error) {
	if _, _, err := net.SplitHostPort(which); err == nil {
		if len(a.servers) > 0 {
			nodes, err := a.Nodes(ctx, "")
			if i := slices.IndexFunc(nodes, func(n Node) bool { return n.Addr == which }); err == nil && i >= 0 {
				return nodes[i], nil
			}
		}
		return Node{Addr: which, ID: -1}, nil
	}
	nodes, err := a.Nodes(ctx, "")
	if err != nil {
		return Node{}, err
	}
	for _, n := range nodes {
		if n.Broker == which && n.ID == 0 {
			return n, nil
		}
	}
	return Node{}, fmt.Errorf("%w: %s", ErrNoBroker, which)
}

// Masters are the masters among nodes.
func Masters(nodes []Node) []Node {
	return slices.DeleteFunc(slices.Clone(nodes), func(n Node) bool { return n.ID > 0 })
}

// Name is what people call the node: the broker's name, or its address where that
// is not known.
func (n Node) Name() string {
	switch {
	case n.Broker == "":
		return n.Addr
	case n.ID > 0:
		return fmt.Sprintf("%s/%d", n.Broker, n.ID)
	}
	return n.Broker
}

// eachNode calls fn with all of them, one after the other, and joins the errors,
// each with the name of its node. fn may ask a node as often as it needs to: each
// answer has its own time.
func (a *Admin) eachNode(ctx context.Context, nodes []Node, fn func(ctx context.Context, n Node) error) error {
	var errs []error
	for _, n := range nodes {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := fn(ctx, n); err != nil {
			errs = append(errs, fmt.Errorf("broker %s: %w", n.Name(), err))
		}
	}
	return errors.Join(errs...)
}

// Status is a broker process and what it says of itself.
type Status struct {
	Node
	*Figures
	Error string `json:"error,omitempty"` // why it says nothing
}

// Statuses asks all of them for their figures. A node that does not answer is in the
// list with its error, which is among the joined ones, too.
func (a *Admin) Statuses(ctx context.Context, nodes []Node) ([]Status, error) {
	all := make([]Status, 0, len(nodes))
	var errs []error
	for _, n := range nodes {
		s := Status{Node: n}
		table, err := a.Runtime(ctx, n)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil {
			s.Error = err.Error()
			errs = append(errs, err)
		} else {
			s.Figures = NewFigures(table)
		}
		all = append(all, s)
	}
	return all, errors.Join(errs...)
}

// Runtime gives all that a broker says of itself, by RocketMQ's names (request 28).
func (a *Admin) Runtime(ctx context.Context, n Node) (table map[string]string, err error) {
	err = a.eachNode(ctx, []Node{n}, func(ctx context.Context, n Node) (err error) {
		table, err = rpc.RuntimeInfo(ctx, a.caller, n.Addr)
		return err
	})
	return table, err
}

// Clean is something that a broker can be told to remove at once.
type Clean string

// What can be removed.
const (
	CleanQueues Clean = "queues" // files of consume queues whose records are gone from the log
	CleanTopics Clean = "topics" // queues of topics that the broker does not have any more
	CleanLog    Clean = "log"    // log files that have expired, whatever the hour
)

// Clean has brokers remove something. done gets those that did.
func (a *Admin) Clean(ctx context.Context, nodes []Node, what Clean) (done []Node, err error) {
	ask, ok := map[Clean]func(context.Context, rpc.Caller, string) error{
		CleanQueues: rpc.CleanExpiredQueues, CleanTopics: rpc.CleanUnusedTopics, CleanLog: rpc.DeleteExpiredLog,
	}[what]
	if !ok {
		return nil, fmt.Errorf("clean %q: accepted are %s, %s, %s", what, CleanQueues, CleanTopics, CleanLog)
	}
	err = a.eachNode(ctx, nodes, func(ctx context.Context, n Node) error {
		err := ask(ctx, a.caller, n.Addr)
		if err == nil {
			done = append(done, n)
		}
		return err
	})
	return done, err
}

// Drained is what a name server did to a broker's topics.
type Drained struct {
	Server string `json:"namesrv"`
	Topics int32  `json:"topics"` // whose routes have changed
}

// SetWritable takes a broker's write permission out of the routes of all name
// servers, or gives it back. Name servers do not know each other, so each is asked;
// those that did it come back beside an error. It lasts until the broker registers
// its topics anew.
func (a *Admin) SetWritable(ctx context.Context, broker string, writable bool) (done []Drained, err error) {
	if _, err := a.Node(ctx, broker); err != nil {
		return nil, err
	}
	change := rpc.WipeWritePerm
	if writable {
		change = rpc.AddWritePerm
	}
	err = a.each(ctx, a.servers, func(ctx context.Context, addr string) error {
		n, err := change(ctx, a.caller, addr, broker)
		if err == nil {
			done = append(done, Drained{addr, n})
		}
		return err
	})
	return done, err
}
