// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package lock

import (
	"sync"
	"time"
)

// Expiry is how long a lock holds after it was taken or renewed, as in RocketMQ.
const Expiry = 60 * time.Second

// Queue names a queue of this broker.
type Queue struct {
	Topic string
	ID    int32
}

// Table is the locks of one broker. All methods are safe for concurrent use.
type Table struct {
	mu     sync.Mutex
	groups map[string]map[Queue]holder
}

type holder struct {
	client  string
	expires time.Time
}

// New returns an empty table.
func New() *Table { return &Table{groups: map[string]map[Queue]holder{}} }

// Lock takes or renews, for a client of a group, each of the queues that no
// other client of the group holds, and appends those to dst.
func (t *Table) Lock(dst []Queue, group, client string, queues []Queue, now time.Time) []Queue {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(queues) == 0 {
		return dst
	}
	held := t.groups[group]
	if held == nil {
		held = map[Queue]holder{}
		t.groups[group] = held
	}
	for _, q := range queues {
		if h, ok := held[q]; ok && h.client != client && now.Before(h.expires) {
			continue
		}
		held[q] = holder{client: client, expires: now.Add(Expiry)}
		dst = append(dst, q)
	}
	return dst
}

// Held tells whether clients of a group hold locks: it consumes in order.
func (t *Table) Held(group string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, h := range t.groups[group] {
		if now.Before(h.expires) {
			return true
		}
	}
	return false
}

// Purge forgets the locks that have expired.
func (t *Table) Purge(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for group, held := range t.groups {
		for q, h := range held {
			if !now.Before(h.expires) {
				delete(held, q)
			}
		}
		if len(held) == 0 {
			delete(t.groups, group)
		}
	}
}

// Unlock gives up those of the queues that the client holds.
func (t *Table) Unlock(group, client string, queues []Queue) {
	t.mu.Lock()
	defer t.mu.Unlock()
	held := t.groups[group]
	for _, q := range queues {
		if held[q].client == client {
			delete(held, q)
		}
	}
	if len(held) == 0 {
		delete(t.groups, group)
	}
}
