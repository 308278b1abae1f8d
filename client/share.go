// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/route"
	"github.com/twostage/twostage/internal/rpc"
)

// shares works out which queues of topics a member of a group is to have, and where
// the group begins in those that it has no offset for. Methods may be called from
// several goroutines.
type shares struct {
	link  *link
	group string
	by    Strategy // nil: every member has all queues
	start Start

	mu     sync.Mutex
	topics map[string]*firstSeen // that are shared out
	missed map[Queue]time.Time   // since when where to begin could not be told
}

// firstSeen is a topic as the member found it first.
type firstSeen struct {
	at     time.Time
	queues map[Queue]bool // none while it did not exist
}

func newShares(l *link, group string, by Strategy, start Start) *shares {
	return &shares{link: l, group: group, by: by, start: start, topics: map[string]*firstSeen{}, missed: map[Queue]time.Time{}}
}

// of gives the member's queues of a topic, by a route that is at most so old where a
// name server answers.
func (s *shares) of(ctx context.Context, topic string, age time.Duration) ([]Queue, error) {
	r, err := s.link.routeSince(ctx, topic, time.Now().Add(-age), false)
	if err != nil {
		if errors.Is(err, ErrNoRoute) {
			s.see(topic, nil)
		}
		return nil, err
	}
	all := readable(r)
	slices.SortFunc(all, cmpQueues)
	s.see(topic, all)
	share, err := s.among(ctx, r, all)
	if err != nil {
		s.miss(time.Now(), all...) // the member's are among them
	}
	return share, err
}

// among gives the member's queues of all that a topic has.
func (s *shares) among(ctx context.Context, r *route.Snapshot, all []Queue) ([]Queue, error) {
	addrs, err := s.link.meetBrokers(ctx, r)
	switch {
	case err != nil:
		return nil, err
	case s.by == nil:
		return all, nil
	}
	members, err := s.link.members(ctx, addrs, s.group)
	if err != nil {
		return nil, err
	}
	share := slices.Clone(s.by(all, members, s.link.id))
	return slices.DeleteFunc(share, func(q Queue) bool { return !slices.Contains(all, q) }), nil
}

// steer calls rebalance every 20 s, when kick says that the group has changed, and soon
// again while something is amiss, ever later unless kicked: until ctx ends.
func steer(ctx context.Context, kick <-chan struct{}, settled bool, rebalance func(kicked bool) (settled bool)) {
	for again := retryPeriod; ; {
		period := rebalancePeriod
		if settled {
			again = retryPeriod
		} else {
			period, again = again, min(2*again, rebalancePeriod)
		}
		t := time.NewTimer(period)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
			settled = rebalance(false)
		case <-kick:
			t.Stop()
			again = retryPeriod
			settled = rebalance(true)
		}
	}
}

// meetBrokers makes the client known to all brokers of a topic, for members may ask any
// of them who is in the group, and gives the addresses of those that know it. It waits
// half a second for the others.
func (l *link) meetBrokers(ctx context.Context, r *route.Snapshot) (addrs []string, err error) {
	for _, b := range r.Brokers() {
		if addr, _, ok := r.ReadAddr(b.Name, 0); ok {
			addrs = append(addrs, addr)
		}
	}
	if addrs == nil {
		return nil, fmt.Errorf("%w: %q has no broker", ErrNotReadable, r.Topic())
	}
	if _, err := l.meet(ctx, addrs, greetWait); err != nil {
		return nil, err
	}
	addrs = slices.DeleteFunc(addrs, func(addr string) bool { return !l.knows(addr) })
	if len(addrs) == 0 {
		return nil, fmt.Errorf("client: the brokers of %q: %w", r.Topic(), public(remoting.ErrClosed))
	}
	return addrs, nil
}

// members are the client ids of a group as one of its brokers knows them, sorted. The
// client is one of them.
func (l *link) members(ctx context.Context, brokers []string, group string) ([]string, error) {
	var errs []error
	for _, addr := range brokers {
		all, err := l.membersAt(ctx, addr, group)
		switch {
		case err == nil && slices.Contains(all, l.id):
			slices.Sort(all)
			return slices.Compact(all), nil
		case err == nil:
			l.forgetGreetings()
			err = fmt.Errorf("client: broker %s does not have this client in its group", addr)
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

func (l *link) membersAt(ctx context.Context, addr, group string) ([]string, error) {
	ctx, cancel := l.request(ctx)
	defer cancel()
	conn, err := l.greetedConn(ctx, addr)
	if err != nil {
		return nil, public(err)
	}
	all, err := rpc.ConsumerList(ctx, connCaller{conn}, addr, group)
	return all, public(err)
}

// see notes a topic when it is looked for first.
func (s *shares) see(topic string, queues []Queue) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.topics[topic] != nil {
		return
	}
	f := &firstSeen{at: time.Now(), queues: make(map[Queue]bool, len(queues))}
	for _, q := range queues {
		f.queues[q] = true
	}
	s.topics[topic] = f
}

// forget has a topic be new when it is looked for again.
func (s *shares) forget(topic string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.topics, topic)
	maps.DeleteFunc(s.missed, func(q Queue, _ time.Time) bool { return q.Topic == topic })
}

// miss notes that queues are to be had, and not where the group begins in them: since
// their topic was found first, or since a time where it is not shared out.
func (s *shares) miss(since time.Time, queues ...Queue) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, q := range queues {
		if _, ok := s.missed[q]; ok {
			continue
		}
		s.missed[q] = since
		if f := s.topics[q.Topic]; f != nil {
			s.missed[q] = f.at
		}
	}
}

// beginning is where the group begins in a queue that it has no offset for. What comes
// while that cannot be told is not left out, as far as the clocks of this machine and
// the broker agree.
func (s *shares) beginning(ctx context.Context, q Queue) (int64, error) {
	start := s.start
	s.mu.Lock()
	f := s.topics[q.Topic]
	young := f != nil && !f.queues[q] // it came into being while the group was there
	if since, ok := s.missed[q]; ok && start.where == StartLatest.where {
		start = StartAt(since)
	}
	s.mu.Unlock()
	return s.link.beginAt(ctx, q, start, young)
}
