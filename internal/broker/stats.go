// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"maps"
	"sync"
	"sync/atomic"
)

// stats counts the messages that go through the broker. Counting costs a lookup
// and two additions.
type stats struct {
	in  counted[string]
	out counted[groupTopic]

	unconsumed atomic.Int64 // messages that were deleted before a group had consumed them, for each group
}

type groupTopic struct{ group, topic string }

// traffic is one topic's, or one group's of a topic.
type traffic struct{ messages, bytes atomic.Int64 }

// counted is traffic by key: a map that is copied when a key is new.
type counted[K comparable] struct {
	mu sync.Mutex
	m  atomic.Pointer[map[K]*traffic]
}

func newStats() *stats { return &stats{} }

// In counts messages that consumers of the topic can see from now on: sent,
// delivered after a delay, committed, or put among the dead letters. bytes are
// those of their records.
func (s *stats) In(topic string, messages, bytes int) { s.in.add(topic, messages, bytes) }

// Out counts messages that were given to a consumer; bytes are those of their
// records.
func (s *stats) Out(group, topic string, messages, bytes int) {
	s.out.add(groupTopic{group, topic}, messages, bytes)
}

func (c *counted[K]) add(k K, messages, bytes int) {
	var t *traffic
	if m := c.m.Load(); m != nil {
		t = (*m)[k]
	}
	if t == nil {
		t = c.make(k)
	}
	t.messages.Add(int64(messages))
	t.bytes.Add(int64(bytes))
}

func (c *counted[K]) make(k K) *traffic {
	c.mu.Lock()
	defer c.mu.Unlock()
	next := map[K]*traffic{}
	if m := c.m.Load(); m != nil {
		if t := (*m)[k]; t != nil {
			return t
		}
		next = maps.Clone(*m)
	}
	t := new(traffic)
	next[k] = t
	c.m.Store(&next)
	return t
}

// each calls fn for every key.
func (c *counted[K]) each(fn func(k K, messages, bytes int64)) {
	if m := c.m.Load(); m != nil {
		for k, t := range *m {
			fn(k, t.messages.Load(), t.bytes.Load())
		}
	}
}
