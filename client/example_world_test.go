// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"context"
	"log"
	"sync"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/internal/admin"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/mqtest"
)

// cluster starts a cluster in memory.
func cluster() (addr string, done func()) {
	c, err := mqtest.New()
	if err != nil {
		log.Fatal(err)
	}
	return c.NameServer(), func() {
		if err := c.Close(); err != nil {
			log.Fatal(err)
		}
	}
}

// topic makes a topic.
func topic(addr, name string) {
	net := remoting.NewClient(remoting.ClientConfig{})
	defer net.Close()
	if _, err := admin.New(net, []string{addr}).CreateTopic(context.Background(), admin.Topic{Name: name, Queues: 1}); err != nil {
		log.Fatal(err)
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
