// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package inflow

import (
	"maps"
	"sync"
	"sync/atomic"
)

// Kind is the type of a message, as the label message_type has it.
type Kind uint8

// The kinds.
const (
	Normal Kind = iota
	FIFO
	Delay
	Transaction

	kinds = iota
)

var names = [kinds]string{"normal", "fifo", "delay", "transaction"}

// String is the value of the label message_type.
func (k Kind) String() string { return names[k] }

// SizeBounds are the upper bounds of the buckets of Tally.Sizes, in bytes: those of
// RocketMQ 5.
var SizeBounds = [...]float64{1 << 10, 4 << 10, 512 << 10, 1 << 20, 2 << 20, 4 << 20}

// Tally is some messages.
type Tally struct {
	Messages, Bytes int64
	Sizes           [len(SizeBounds) + 1]int64 // not cumulative; the last one: above all bounds
}

// Add adds messages whose records have size bytes each.
func (t *Tally) Add(messages, size int64) {
	t.Messages += messages
	t.Bytes += messages * size
	t.Sizes[bucket(size)] += messages
}

func bucket(size int64) int {
	for i, bound := range SizeBounds {
		if size <= int64(bound) {
			return i
		}
	}
	return len(SizeBounds)
}

// counter is a Tally that several goroutines add to.
type counter struct {
	messages, bytes atomic.Int64
	sizes           [len(SizeBounds) + 1]atomic.Int64
}

// Counters counts. It must not be copied; all methods are safe for concurrent use.
// A nil Counters counts nothing.
type Counters struct {
	topics atomic.Pointer[map[string]*[kinds]counter]

	mu   sync.Mutex                 // changes of topics, and what follows
	late map[string]*[kinds]counter // that are not among topics yet: to copy those for each new one would take long
	dead map[Dead]int64
}

// Dead names a group that gives messages up, and the topic that they were sent to.
type Dead struct{ Group, Topic string }

// New returns counters at zero.
func New() *Counters {
	c := &Counters{late: map[string]*[kinds]counter{}, dead: map[Dead]int64{}}
	c.topics.Store(&map[string]*[kinds]counter{})
	return c
}

// Add counts messages of a topic and a kind. Messages that are counted beside
// others that are dropped (Keep) may be lost.
func (c *Counters) Add(topic string, k Kind, t *Tally) {
	if c == nil {
		return
	}
	e := (*c.topics.Load())[topic]
	if e == nil {
		e = c.make(topic)
	}
	n := &e[k]
	n.messages.Add(t.Messages)
	n.bytes.Add(t.Bytes)
	for i, v := range t.Sizes {
		if v != 0 {
			n.sizes[i].Add(v)
		}
	}
}

func (c *Counters) make(topic string) *[kinds]counter {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := *c.topics.Load()
	e := all[topic]
	if e == nil {
		e = c.late[topic]
	}
	if e == nil {
		e = new([kinds]counter)
		if c.late[topic] = e; len(c.late) > len(all)/4 {
			c.settle()
		}
	}
	return e
}

// settle puts what is late among the topics; c.mu is held.
func (c *Counters) settle() {
	if len(c.late) > 0 {
		next := maps.Clone(*c.topics.Load())
		maps.Copy(next, c.late)
		c.topics.Store(&next)
		clear(c.late)
	}
}

// DeadLetter counts a message of topic that group has given up.
func (c *Counters) DeadLetter(group, topic string) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dead[Dead{group, topic}]++
}

// Keep drops what is counted of topics, and of dead letters, that are gone.
func (c *Counters) Keep(topic func(name string) bool, group func(name string) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.dead, func(d Dead, _ int64) bool { return !group(d.Group) || !topic(d.Topic) })
	c.settle()
	old := *c.topics.Load()
	for name := range old {
		if !topic(name) {
			next := maps.Clone(old)
			maps.DeleteFunc(next, func(name string, _ *[kinds]counter) bool { return !topic(name) })
			c.topics.Store(&next)
			return
		}
	}
}

// Range calls fn with what is counted of each topic and kind that had a message.
func (c *Counters) Range(fn func(topic string, k Kind, t *Tally)) {
	c.mu.Lock()
	c.settle()
	c.mu.Unlock()
	var t Tally
	for topic, e := range *c.topics.Load() {
		for k := range e {
			n := &e[k]
			if t.Messages = n.messages.Load(); t.Messages == 0 {
				continue
			}
			t.Bytes = n.bytes.Load()
			for i := range n.sizes {
				t.Sizes[i] = n.sizes[i].Load()
			}
			fn(topic, Kind(k), &t)
		}
	}
}

// Dead is how many messages were given up, by group and topic. It is the caller's.
func (c *Counters) Dead() map[Dead]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.dead)
}
