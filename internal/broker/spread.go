// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
)

const (
	spreadQueue   = 1024
	spreadTimeout = 5 * time.Second // of one request
	spreadRetry   = time.Second
)

// spread makes a topic that a send has made here on the other brokers of the
// cluster too, so that it does not live on the one broker that was asked first.
// A broker that has the topic keeps it as it is.
type spread struct {
	b     *Broker
	topic chan *body.TopicConfig
}

func newSpread(b *Broker) *spread {
	return &spread{b: b, topic: make(chan *body.TopicConfig, spreadQueue)}
}

// add asks for a topic to be made elsewhere; it does not wait.
func (s *spread) add(t *body.TopicConfig) {
	select {
	case s.topic <- t:
	default:
		s.b.log.Warn("a topic is not made on the other brokers of the cluster: too many are waiting; create it there", "topic", t.TopicName)
	}
}

func (s *spread) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case t := <-s.topic:
			s.make(ctx, s.all(t))
		}
	}
}

// all is t and what waits behind it.
func (s *spread) all(t *body.TopicConfig) []*body.TopicConfig {
	list := []*body.TopicConfig{t}
	for {
		select {
		case t := <-s.topic:
			list = append(list, t)
		default:
			return list
		}
	}
}

// make creates topics on every other master of the cluster.
func (s *spread) make(ctx context.Context, topics []*body.TopicConfig) {
	var wg sync.WaitGroup
	for _, addr := range s.peers(ctx) {
		wg.Go(func() {
			err := s.makeOn(ctx, addr, topics)
			if err != nil {
				select {
				case <-ctx.Done():
				case <-time.After(spreadRetry):
					err = s.makeOn(ctx, addr, topics)
				}
			}
			if err != nil {
				s.b.log.Warn("topics could not be made on another broker of the cluster: create them there", "broker", addr, "error", err)
			}
		})
	}
	wg.Wait()
}

// makeOn creates those of topics that a broker has not. It goes on after a
// refusal, but not when the broker does not answer.
func (s *spread) makeOn(ctx context.Context, addr string, topics []*body.TopicConfig) error {
	asking, cancel := context.WithTimeout(ctx, spreadTimeout)
	defer cancel()
	have, err := rpc.AllTopics(asking, s.b.client, addr)
	if err != nil {
		return fmt.Errorf("%d topics, the first is %q: %w", len(topics), topics[0].TopicName, err)
	}
	var errs []error
	for _, t := range topics {
		if _, there := have.TopicConfigTable[t.TopicName]; there {
			continue
		}
		if err := s.makeOne(ctx, addr, t); err != nil {
			errs = append(errs, fmt.Errorf("topic %q: %w", t.TopicName, err))
			if _, refused := rpc.CodeOf(err); !refused {
				break
			}
		}
	}
	return errors.Join(errs...)
}

func (s *spread) makeOne(ctx context.Context, addr string, t *body.TopicConfig) error {
	ctx, cancel := context.WithTimeout(ctx, spreadTimeout)
	defer cancel()
	return rpc.CreateTopic(ctx, s.b.client, addr, &header.CreateTopicRequest{
		Topic: t.TopicName, DefaultTopic: t.TopicName, ReadQueueNums: t.ReadQueueNums, WriteQueueNums: t.WriteQueueNums,
		Perm: t.Perm, TopicFilterType: t.TopicFilterType, TopicSysFlag: t.TopicSysFlag, Order: t.Order,
	})
}

// peers are the other masters of the cluster, as the first name server that
// answers knows them.
func (s *spread) peers(ctx context.Context) []string {
	for _, ns := range s.nameServers() {
		info, err := s.cluster(ctx, ns)
		if err != nil {
			s.b.log.Warn("the name server does not say which other brokers a topic belongs on", "namesrv", ns, "error", err)
			continue
		}
		var list []string
		for _, name := range info.ClusterAddrTable[s.b.cfg.Identity.Cluster] {
			if addr := info.BrokerAddrTable[name].BrokerAddrs[0]; addr != "" && addr != s.b.Advertised() {
				list = append(list, addr)
			}
		}
		return list
	}
	return nil
}

func (s *spread) cluster(ctx context.Context, ns string) (*body.ClusterInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, spreadTimeout)
	defer cancel()
	return rpc.ClusterInfo(ctx, s.b.client, ns)
}

// nameServers are their addresses, those that answer first.
func (s *spread) nameServers() []string {
	var good, bad []string
	for _, n := range s.b.naming.servers {
		if n.answers() {
			good = append(good, n.addr)
		} else {
			bad = append(bad, n.addr)
		}
	}
	return append(good, bad...)
}
