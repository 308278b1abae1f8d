// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"maps"
	"sync"
	"sync/atomic"

	"github.com/twostage/twostage/message"
)

// MaxNames is how many names a table of counters holds.
const MaxNames = 1 << 16

// counter counts one thing. Its windows belong to Stats.mu.
type counter struct {
	messages, bytes, times, nanos atomic.Int64

	windows [windows]series
	system  bool // of a system topic
}

// ofSystem tells whether c, or where there is none the topic, is of the system.
func (c *counter) ofSystem(topic string) bool {
	if c == nil {
		return message.IsSystemTopic(topic)
	}
	return c.system
}

func (c *counter) value() value {
	return value{c.messages.Load(), c.bytes.Load(), c.times.Load(), c.nanos.Load()}
}

// table is counters by name. Names that were asked for before are found in a map
// that never changes; all are in another, which takes its place once that has been
// worth it.
type table[K comparable] struct {
	limit   int
	topic   func(K) string
	seen    atomic.Pointer[map[K]*counter] // never changed
	unnamed atomic.Int64                   // times that there was no room for a name

	mu     sync.Mutex
	all    map[K]*counter // what is not in seen, too
	misses int
}

// of gives the counter of a name, nil when there is no room for it. It does not
// allocate for a name that is known.
func (t *table[K]) of(k K) *counter {
	if m := t.seen.Load(); m != nil {
		if c := (*m)[k]; c != nil {
			return c
		}
		if len(*m) >= t.limit {
			t.unnamed.Add(1)
			return nil
		}
	}
	return t.miss(k)
}

func (t *table[K]) miss(k K) *counter {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.all[k]
	if c == nil {
		if len(t.all) >= t.limit {
			t.publish()
			t.unnamed.Add(1)
			return nil
		}
		if t.all == nil {
			t.all = map[K]*counter{}
		}
		c = &counter{system: message.IsSystemTopic(t.topic(k))}
		t.all[k] = c
	}
	if t.misses++; t.misses >= len(t.all) {
		t.publish()
	}
	return c
}

// publish makes all names those that are found; t.mu is held.
func (t *table[K]) publish() {
	t.misses = 0
	if m := t.seen.Load(); m == nil || len(*m) != len(t.all) {
		m := maps.Clone(t.all)
		t.seen.Store(&m)
	}
}

// lookup gives the counter of a name if there is one.
func (t *table[K]) lookup(k K) (*counter, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c, ok := t.all[k]
	return c, ok
}

// each calls fn for the counters as they are now; it holds no lock.
func (t *table[K]) each(fn func(k K, c *counter)) {
	t.mu.Lock()
	t.publish()
	m := t.seen.Load()
	t.mu.Unlock()
	if m != nil {
		for k, c := range *m {
			fn(k, c)
		}
	}
}

// forget drops the names of which gone says so. gone must take no lock that is held
// by who counts.
func (t *table[K]) forget(gone func(K) bool) {
	var list []K
	t.each(func(k K, _ *counter) {
		if gone(k) {
			list = append(list, k)
		}
	})
	if len(list) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, k := range list {
		delete(t.all, k)
	}
	m := maps.Clone(t.all)
	t.seen.Store(&m)
	t.misses = 0
}
