// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"time"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
)

const (
	spreadQueue   = 1024
	spreadTimeout = 5 * time.Second
)

// spread makes a topic that a send has made here on the other brokers of the
// cluster too, so that it does not live on the one broker that was asked first.
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
			s.make(ctx, t)
		}
	}
}

// make creates the topic on every other master of the cluster.
func (s *spread) make(ctx context.Context, t *body.TopicConfig) {
	ctx, cancel := context.WithTimeout(ctx, spreadTimeout)
	defer cancel()
	for _, addr := range s.peers(ctx) {
		err := rpc.CreateTopic(ctx, s.b.client, addr, &header.CreateTopicRequest{
			Topic: t.TopicName, DefaultTopic: t.TopicName, ReadQueueNums: t.ReadQueueNums, WriteQueueNums: t.WriteQueueNums,
			Perm: t.Perm, TopicFilterType: t.TopicFilterType, TopicSysFlag: t.TopicSysFlag, Order: t.Order,
		})
		if err != nil {
			s.b.log.Warn("a topic could not be made on another broker of the cluster: create it there", "topic", t.TopicName, "broker", addr, "error", err)
		}
	}
}

// peers are the other masters of the cluster, as the first name server that
// answers knows them.
func (s *spread) peers(ctx context.Context) []string {
	for _, ns := range s.b.o.NameServers {
		info, err := rpc.ClusterInfo(ctx, s.b.client, ns)
		if err != nil {
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
