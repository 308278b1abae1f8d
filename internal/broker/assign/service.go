// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package assign

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire/body"
)

// ErrQuery: a request for a share that says too little.
var ErrQuery = errors.New("bad assignment query")

// Config is what a Service needs. Route may be nil, all else is required.
type Config struct {
	FS     vfs.FS
	Dir    string // of messageRequestMode.json
	Broker string // this broker's name
	// Route asks the name servers where a topic is; an error that matches
	// ErrNoRoute says that they know of none. Nil: there are no name servers.
	Route func(ctx context.Context, topic string) (*body.TopicRouteData, error)
	// Topic is a topic of this broker.
	Topic func(name string) (*body.TopicConfig, bool)
	// Clients are the ids of a group's clients, sorted.
	Clients func(group string) []string

	DefaultMode  body.RequestMode // defaultMessageRequestMode
	DefaultShare int32            // defaultPopShareQueueNum
	Balance      bool             // serverLoadBalancerEnable: false gives every client every queue
	Refresh      time.Duration    // loadBalancePollNameServerInterval
	Logger       *slog.Logger
}

// Service is the request modes and the shares. All methods are safe for concurrent
// use.
type Service struct {
	cfg    Config
	path   string
	routes routes

	write sync.Mutex // SetMode
	mu    sync.RWMutex
	modes modes
}

// Open reads the modes, or begins with none where there is no file.
func Open(cfg Config) (*Service, error) {
	s := &Service{cfg: cfg, path: filepath.Join(cfg.Dir, "messageRequestMode.json"), routes: routes{known: map[string]*known{}}}
	if err := vfs.MkdirAllSync(cfg.FS, cfg.Dir); err != nil {
		return nil, fmt.Errorf("request modes: %w", err)
	}
	if err := s.readModes(); err != nil {
		return nil, err
	}
	return s, nil
}

// Query is a client's share of a topic, sorted by broker and queue; empty when the
// client has nothing to read. An error that matches ErrQuery says what is wrong
// with the query; any other why no share can be given now: the client is to keep
// what it has. It may wait for a name server, for routeTimeout at most.
func (s *Service) Query(ctx context.Context, q *body.QueryAssignmentRequestBody) ([]body.MessageQueueAssignment, error) {
	if q.Topic == "" || q.ConsumerGroup == "" {
		return nil, fmt.Errorf("%w: topic %q, consumerGroup %q: both are needed", ErrQuery, q.Topic, q.ConsumerGroup)
	}
	if q.MessageModel != body.Broadcasting && q.MessageModel != body.Clustering {
		return nil, fmt.Errorf("%w: messageModel %q is neither BROADCASTING nor CLUSTERING", ErrQuery, string(q.MessageModel))
	}
	queues, err := s.queues(ctx, q.Topic)
	if err != nil {
		return nil, fmt.Errorf("no assignment for group %s: %w", q.ConsumerGroup, err)
	}
	mode, _ := s.Mode(q.Topic, q.ConsumerGroup)
	if q.MessageModel == body.Clustering && s.cfg.Balance {
		if queues, err = s.share(q, mode, queues); err != nil {
			return nil, fmt.Errorf("no assignment for group %s: %w", q.ConsumerGroup, err)
		}
	}
	list := make([]body.MessageQueueAssignment, len(queues))
	for i, queue := range queues {
		list[i] = body.MessageQueueAssignment{MessageQueue: queue, Mode: mode.Mode}
	}
	return list, nil
}

// share picks the client's queues out of all.
func (s *Service) share(q *body.QueryAssignmentRequestBody, mode body.RequestModeConfig, queues []body.MessageQueue) ([]body.MessageQueue, error) {
	clients := s.cfg.Clients(q.ConsumerGroup)
	if len(clients) == 0 {
		return nil, errors.New("no heartbeat of the group has come")
	}
	how := strategies[q.StrategyName]
	switch {
	case how == nil:
		return nil, fmt.Errorf("strategy %q is neither AVG nor AVG_BY_CIRCLE", q.StrategyName)
	case q.ClientID == "":
		return nil, errors.New("the query has no clientId")
	case len(queues) == 0:
		return nil, fmt.Errorf("topic %s has no queue to read", q.Topic)
	}
	index, online := slices.BinarySearch(clients, q.ClientID)
	if !online {
		index = -1
	}
	if mode.Mode == body.RequestPop {
		return popShare(how, queues, index, len(clients), mode.PopShareQueueNum), nil
	}
	if !online {
		return nil, nil
	}
	return how(queues, index, len(clients)), nil
}
