// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"context"
	"log"
	"sync"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/mqtest"
)

// cluster starts a cluster in memory, with topics: one that its first message makes
// comes into the routes a moment later.
func cluster(topics ...string) (addr string, done func()) {
	c, err := mqtest.New()
	if err != nil {
		log.Fatal(err)
	}
	for _, topic := range topics {
		c.CreateTopic(topic, 1)
	}
	return c.NameServer(), func() {
		if err := c.Close(); err != nil {
			log.Fatal(err)
		}
	}
}

// produce sends a message.
func produce(addr, topic, tag, body string) client.Queue {
	p, err := client.NewProducer("shop", client.WithNameServers(addr))
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close()
	m := message.New(topic, []byte(body))
	m.SetTags(tag)
	sent, err := p.Send(context.Background(), m)
	if err != nil {
		log.Fatal(err)
	}
	return sent.Queue
}

// ledger is where local transactions leave their outcome.
type ledger struct {
	mu   sync.Mutex
	done map[string]bool
}

func (l *ledger) book(id string) client.Outcome {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.done == nil {
		l.done = map[string]bool{}
	}
	l.done[id] = true
	return client.Commit
}

// outcome is Unknown for what is not there: it may be on its way.
func (l *ledger) outcome(id string) client.Outcome {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.done[id] {
		return client.Commit
	}
	return client.Unknown
}
