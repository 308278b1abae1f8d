// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package crash

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/test/rig"
)

// names is how many topics, and how many groups, the metadata load works on. It
// works on the same ones in all rounds.
const names = 24

// ledger is what the broker answered about named things: a state by name, as
// text, "" when there is none.
type ledger struct {
	state map[string]string
	// name and to: the request that was not answered. It may have taken effect.
	name, to string
	pending  bool
}

func newLedger() *ledger { return &ledger{state: make(map[string]string)} }

func (l *ledger) begin(name, to string) { l.name, l.to, l.pending = name, to, true }

func (l *ledger) done() {
	l.state[l.name] = l.to
	l.pending = false
}

// settle compares the ledger with what the broker has now and adopts the
// outcome of the request that was not answered.
func (l *ledger) settle(now map[string]string) []string {
	var p problems
	for _, name := range slices.Sorted(maps.Keys(l.state)) {
		switch was, is := l.state[name], now[name]; {
		case is == was:
		case l.pending && l.name == name && is == l.to:
		case is == "":
			p.add("lost: %s was answered to be %q and is not there", name, was)
		case was == "":
			p.add("resurrected: %s was answered to be deleted and is %q", name, is)
		default:
			p.add("changed: %s was answered to be %q and is %q", name, was, is)
		}
	}
	if l.pending {
		if _, known := l.state[l.name]; !known && now[l.name] != "" && now[l.name] != l.to {
			p.add("changed: %s was to be %q and is %q", l.name, l.to, now[l.name])
		}
		l.state[l.name] = now[l.name]
		l.pending = false
	}
	return p.all()
}

// metadata creates, changes and deletes topics and groups until its calls fail.
type metadata struct {
	client         *remoting.Client
	addr           string
	topics, groups *ledger
	answered       atomic.Int64

	*shared
	wg sync.WaitGroup
}

func (m *metadata) start(ctx context.Context, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 2000))
	m.wg.Go(func() { m.call("metadata", m.run(ctx, rng)) })
}

func (m *metadata) run(ctx context.Context, rng *rand.Rand) error {
	for {
		n := rng.IntN(names)
		var l *ledger
		var err error
		if rng.IntN(3) > 0 {
			l, err = m.topics, m.topic(ctx, rng, fmt.Sprintf("Meta%02d", n))
		} else {
			l, err = m.groups, m.group(ctx, rng, fmt.Sprintf("meta_%02d", n))
		}
		if err != nil {
			return err
		}
		l.done()
		m.answered.Add(1)
	}
}

// topic changes one topic.
func (m *metadata) topic(ctx context.Context, rng *rand.Rand, name string) error {
	if m.topics.state[name] != "" && rng.IntN(2) == 0 {
		m.topics.begin(name, "")
		return rpc.DeleteTopic(ctx, m.client, m.addr, name)
	}
	h := rig.TopicHeader(name, 1+int32(rng.IntN(16)))
	h.Perm = []int32{2, 4, 6}[rng.IntN(3)]
	m.topics.begin(name, topicState(h.WriteQueueNums, h.Perm))
	return rpc.CreateTopic(ctx, m.client, m.addr, h)
}

// group changes one group.
func (m *metadata) group(ctx context.Context, rng *rand.Rand, name string) error {
	if m.groups.state[name] != "" && rng.IntN(2) == 0 {
		m.groups.begin(name, "")
		return rpc.DeleteGroup(ctx, m.client, m.addr, name, false)
	}
	g := &body.SubscriptionGroupConfig{
		GroupName: name, ConsumeEnable: true, ConsumeBroadcastEnable: true, RetryQueueNums: 1, RetryMaxTimes: rng.Int32N(100),
	}
	m.groups.begin(name, groupState(g))
	return rpc.CreateGroup(ctx, m.client, m.addr, g)
}

func topicState(queues, perm int32) string { return fmt.Sprintf("%d queues perm %d", queues, perm) }

func groupState(g *body.SubscriptionGroupConfig) string {
	return fmt.Sprintf("%d tries", g.RetryMaxTimes)
}

// settle compares both ledgers with the broker.
func settle(ctx context.Context, c rpc.Caller, addr string, topics, groups *ledger) ([]string, error) {
	t, err := rpc.AllTopics(ctx, c, addr)
	if err != nil {
		return nil, err
	}
	now := make(map[string]string)
	for name, v := range t.TopicConfigTable {
		now[name] = topicState(v.WriteQueueNums, v.Perm)
	}
	found := topics.settle(now)
	g, err := rpc.AllGroups(ctx, c, addr)
	if err != nil {
		return nil, err
	}
	now = make(map[string]string)
	for name, v := range g.SubscriptionGroupTable {
		now[name] = groupState(&v)
	}
	return append(found, groups.settle(now)...), nil
}
