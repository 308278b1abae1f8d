// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/twostage/twostage/internal/proctest"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/test/rig"
)

// TestFourProcesses: two name servers and two brokers, of which each goes and
// comes back while a producer sends. Whatever it was told is stored is there in
// the end.
func TestFourProcesses(t *testing.T) {
	t.Parallel()
	ns1 := proctest.Start(t, namesrvArgs(t.TempDir(), proctest.FreePort(t))...)
	ns2 := proctest.Start(t, namesrvArgs(t.TempDir(), 0)...)
	a := proctest.Start(t, brokerArgs(t.TempDir(), "broker-a", proctest.FreePort(t), ns1.Namesrv, ns2.Namesrv)...)
	b := proctest.Start(t, brokerArgs(t.TempDir(), "broker-b", proctest.FreePort(t), ns1.Namesrv, ns2.Namesrv)...)
	c := rig.Client(t)
	ctx := rig.Context(t)

	// A message to one broker makes the topic on both, and both name servers know.
	for _, ns := range []string{ns1.Namesrv, ns2.Namesrv} {
		wantRoute(t, c, ns, message.TopicAutoCreate, "broker-a=8", "broker-b=8")
	}
	if _, err := rpc.Send(ctx, c, a.Broker, rig.SendHeader("Spread", 0, "Spread-first"), []byte("Spread-first")); err != nil {
		t.Fatal(err)
	}
	for _, ns := range []string{ns1.Namesrv, ns2.Namesrv} {
		wantRoute(t, c, ns, "Spread", "broker-a=4", "broker-b=4")
	}

	p := start(t, newProducer(c, "Spread", ns1.Namesrv, ns2.Namesrv))
	p.wantMore(t, "broker-a", 50)
	p.wantMore(t, "broker-b", 50)

	mustEnd(t, a.Stop)
	for _, ns := range []string{ns1.Namesrv, ns2.Namesrv} {
		wantRoute(t, c, ns, "Spread", "broker-b=4")
	}
	p.wantMore(t, "broker-b", 200)

	mustEnd(t, ns1.Stop)
	p.wantMore(t, "broker-b", 200)
	ns1.Restart(t)
	wantRoute(t, c, ns1.Namesrv, "Spread", "broker-b=4")

	a.Restart(t)
	for _, ns := range []string{ns1.Namesrv, ns2.Namesrv} {
		wantRoute(t, c, ns, "Spread", "broker-a=4", "broker-b=4")
	}
	p.wantMore(t, "broker-a", 100)

	mustEnd(t, b.Kill)
	for _, ns := range []string{ns1.Namesrv, ns2.Namesrv} {
		wantRoute(t, c, ns, "Spread", "broker-a=4")
	}
	p.wantMore(t, "broker-a", 200)
	b.Restart(t)
	p.wantMore(t, "broker-b", 100)
	p.stop(t)

	wantDrained(t, p.producer)
}

// wantDrained lets two consumers, each with half of the queues, read the topic
// to its end, and holds that every acknowledged message is where the answer
// said, and nothing twice that was sent once.
func wantDrained(t *testing.T, p *producer) {
	t.Helper()
	ctx := rig.Context(t)
	queues, err := p.route(ctx)
	if err != nil {
		t.Fatal(err)
	}
	next := map[place]int64{} // offset behind the last acknowledged message
	for _, at := range p.acked {
		next[at.place] = max(next[at.place], at.offset+1)
	}
	for q, n := range next {
		rig.Poll(t, fmt.Sprintf("queue %d of %s has %d messages", q.queue, q.broker, n), func() error {
			have, err := rpc.MaxOffset(ctx, p.client, q.addr, p.topic, q.queue)
			if err == nil && have < n {
				err = fmt.Errorf("%d", have)
			}
			return err
		})
	}
	var mu sync.Mutex
	read := map[string][]answered{}
	var wg sync.WaitGroup
	errs := make([]error, 2)
	for i := range errs {
		c := rig.Client(t)
		wg.Go(func() {
			for n, q := range queues {
				if n%2 == i {
					if errs[i] = drain(ctx, c, p.topic, q, func(key string, at answered) {
						mu.Lock()
						defer mu.Unlock()
						read[key] = append(read[key], at)
					}); errs[i] != nil {
						return
					}
				}
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	for key, at := range p.acked {
		found := read[key]
		switch {
		case len(found) == 0:
			t.Errorf("lost: %s, acknowledged at %+v", key, at)
		case len(found) > 1 && !p.retried[key]:
			t.Errorf("twice: %s, acknowledged at %+v, is at %+v", key, at, found)
		case len(found) == 1 && found[0] != at:
			t.Errorf("moved: %s, acknowledged at %+v, is at %+v", key, at, found[0])
		}
	}
	t.Logf("%d messages acknowledged, %d of them after a second try, %d keys read", len(p.acked), len(p.retried), len(read))
}

// drain reads one queue, whose offsets must have no gap.
func drain(ctx context.Context, c rpc.Caller, topic string, q place, fn func(key string, at answered)) error {
	next := int64(0)
	_, err := rig.Drain(ctx, c, q.addr, topic, q.queue, 0, func(r *message.Record) error {
		key, _ := r.Property(message.PropertyUniqueKey)
		if r.QueueOffset != next || string(key) != string(r.Body) {
			return fmt.Errorf("at offset %d stands %s with offset %d and body %q", next, key, r.QueueOffset, r.Body)
		}
		next++
		fn(string(key), answered{q, r.QueueOffset})
		return nil
	})
	return err
}

// TestSameIdentity: a second broker with the name of the first is refused as
// long as that one is there.
func TestSameIdentity(t *testing.T) {
	t.Parallel()
	ns := proctest.Start(t, namesrvArgs(t.TempDir(), 0)...)
	first := proctest.Start(t, brokerArgs(t.TempDir(), "broker-a", proctest.FreePort(t), ns.Namesrv)...)
	second := proctest.Start(t, brokerArgs(t.TempDir(), "broker-a", proctest.FreePort(t), ns.Namesrv)...)
	c := rig.Client(t)
	ctx := rig.Context(t)
	rig.Poll(t, "both sides say so", func() error {
		for _, log := range []string{ns.Log(), second.Log()} {
			if !hasError(log, "refuse", first.Broker, second.Broker) {
				return fmt.Errorf("not in\n%s", log)
			}
		}
		return nil
	})
	if status, text, err := rig.Get(second.HTTP, "/readyz"); err != nil || status == 200 {
		t.Errorf("the refused broker's /readyz: %d %s (%v)", status, text, err)
	}
	wantMaster := func(addr string) {
		t.Helper()
		rig.Poll(t, "clients are sent to "+addr, func() error {
			info, err := rpc.ClusterInfo(ctx, c, ns.Namesrv)
			if err != nil {
				return err
			}
			if have := info.BrokerAddrTable["broker-a"].BrokerAddrs; len(have) != 1 || have[0] != addr {
				return fmt.Errorf("to %v", have)
			}
			return nil
		})
	}
	wantMaster(first.Broker)
	mustEnd(t, first.Kill)
	wantMaster(second.Broker)
}
