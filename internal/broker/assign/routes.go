// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package assign

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twostage/twostage/internal/route"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
)

// ErrNoRoute: the name servers know no route of a topic.
var ErrNoRoute = errors.New("no route")

const (
	routeTimeout = 3 * time.Second // of one question to the name servers
	unusedFor    = 10              // intervals after which a route that nobody wants is forgotten
	maxRoutes    = 100_000         // more are asked for each time
	quiet        = time.Second     // after a question without answer, before the next

	permRead = 1 << 2
)

// routes are what the name servers said of topics.
type routes struct {
	mu    sync.Mutex
	known map[string]*known
	down  time.Time // when a question last had no answer
	err   error
}

// known is the queues to read of a topic.
type known struct {
	queues []body.MessageQueue // replaced, never changed
	wanted time.Time
}

// queues are the queues of a topic that can be read, sorted by broker and queue.
func (s *Service) queues(ctx context.Context, topic string) ([]body.MessageQueue, error) {
	if s.cfg.Route == nil {
		if _, ok := s.cfg.Topic(topic); !ok {
			return nil, fmt.Errorf("topic %s does not exist on this broker, and no name server is configured (namesrvAddr)", topic)
		}
		return s.own(nil, topic), nil
	}
	now := time.Now()
	r := &s.routes
	r.mu.Lock()
	if k := r.known[topic]; k != nil {
		k.wanted = now
		queues := k.queues
		r.mu.Unlock()
		return s.own(queues, topic), nil
	}
	err := r.err
	waiting := err != nil && now.Sub(r.down) < quiet
	r.mu.Unlock()
	if waiting {
		return nil, err
	}
	queues, err := s.ask(ctx, topic)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	if len(r.known) < maxRoutes {
		r.known[topic] = &known{queues: queues, wanted: now}
	}
	r.mu.Unlock()
	return s.own(queues, topic), nil
}

// own puts this broker's queues as they are in the place of what the route says of
// them.
func (s *Service) own(queues []body.MessageQueue, topic string) []body.MessageQueue {
	list := make([]body.MessageQueue, 0, len(queues)+8)
	for _, q := range queues {
		if q.BrokerName != s.cfg.Broker {
			list = append(list, q)
		}
	}
	if t, ok := s.cfg.Topic(topic); ok && t.Perm&permRead != 0 {
		for id := range t.ReadQueueNums {
			list = append(list, body.MessageQueue{Topic: topic, BrokerName: s.cfg.Broker, QueueID: id})
		}
	}
	return unique(list)
}

// ask asks the name servers, and notes when they do not answer.
func (s *Service) ask(ctx context.Context, topic string) ([]body.MessageQueue, error) {
	ctx, cancel := context.WithTimeout(ctx, routeTimeout)
	defer cancel()
	data, err := s.cfg.Route(ctx, topic)
	if err != nil {
		err = fmt.Errorf("route of topic %s: %w", topic, err)
		if !errors.Is(err, ErrNoRoute) {
			s.routes.mu.Lock()
			s.routes.down, s.routes.err = time.Now(), err
			s.routes.mu.Unlock()
		}
		return nil, err
	}
	snapshot, err := route.New(topic, data)
	if err != nil {
		return nil, err
	}
	return snapshot.ReadQueues(), nil
}

// Run asks for the routes that are in use again every interval, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	if s.cfg.Route == nil {
		<-ctx.Done()
		return nil
	}
	ticker := time.NewTicker(s.cfg.Refresh)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			s.refresh(ctx)
		}
	}
}

// refresh is a round over the routes in use. It ends where the name servers do not
// answer: the routes stay as they were.
func (s *Service) refresh(ctx context.Context) {
	r := &s.routes
	oldest := time.Now().Add(-unusedFor * s.cfg.Refresh)
	r.mu.Lock()
	maps.DeleteFunc(r.known, func(_ string, k *known) bool { return k.wanted.Before(oldest) })
	topics := slices.Collect(maps.Keys(r.known))
	r.mu.Unlock()
	for _, topic := range topics {
		queues, err := s.ask(ctx, topic)
		if err != nil && !errors.Is(err, ErrNoRoute) {
			if ctx.Err() == nil {
				s.cfg.Logger.Warn("the routes for QUERY_ASSIGNMENT can't be renewed: those known are kept", "error", err)
			}
			return
		}
		r.mu.Lock()
		switch k := r.known[topic]; {
		case k == nil:
		case err == nil:
			k.queues = queues
		case !strings.HasPrefix(topic, message.RetryPrefix): // retry topics come and go with their group's first heartbeat
			delete(r.known, topic)
		}
		r.mu.Unlock()
	}
}
