// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pop

import (
	"slices"
	"strconv"
	"strings"

	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/message"
)

// reviveQueue is how far a revive queue is dealt with, for a broker of Java's that
// takes the store over: it revives what lies behind the offset of ReviveGroup.
// Nothing here reads it.
type reviveQueue struct {
	open []reviveEntry // checkpoints that have arrived, in order
	tidy int           // of how many on those that are dealt with are sought and dropped
	last int64         // the last entry
	any  bool
}

type reviveEntry struct {
	at  int64
	key key
}

// Arrived is told of new queue entries, with what store.Config.OnArrive gets. It
// does nothing for those of other topics than the revive topic.
func (s *Service) Arrived(q *store.Queue, at int64, props []byte) {
	if q.Topic() != s.revive || int(q.ID()) >= len(s.arrived) {
		return
	}
	tag, _ := message.Property(props, message.PropertyTags)
	name, _ := message.Property(props, message.PropertyUniqueKey)
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &s.arrived[q.ID()]
	r.last, r.any = at, true
	if string(tag) != tagCheckpoint {
		return
	}
	if k, ok := parseUnique(string(name)); ok { // it may not be in the tables yet
		r.open = append(r.open, reviveEntry{at, k})
	}
}

// parseUnique reads the unique key of a checkpoint record.
func parseUnique(s string) (key, bool) {
	f := strings.Split(s, "@")
	if len(f) != 7 {
		return key{}, false
	}
	queue, err := strconv.ParseInt(f[1], 10, 32)
	start, err2 := strconv.ParseInt(f[2], 10, 64)
	time, err3 := strconv.ParseInt(f[4], 10, 64)
	return key{topic: f[0], group: f[3], queue: int32(queue), start: start, time: time}, err == nil && err2 == nil && err3 == nil
}

// keyOf reads the key of an entry of consumerOrderInfo.json.
func keyOf(name string, queue int32) queueKey {
	topic, group, _ := strings.Cut(name, "@")
	return queueKey{group, topic, queue}
}

// settleRevive commits how far the revive queues are dealt with. It needs the gate:
// what has arrived and is not in the tables is then dealt with, and not on its way
// into them.
func (s *Service) settleRevive() {
	s.gate.Lock()
	defer s.gate.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	closed := func(e reviveEntry) bool { return s.open.open[e.key] == nil }
	for id := range s.arrived {
		r := &s.arrived[id]
		for len(r.open) > 0 && closed(r.open[0]) {
			r.open = r.open[1:]
		}
		if len(r.open) > r.tidy {
			r.open = slices.DeleteFunc(r.open, closed)
			r.tidy = 2*len(r.open) + 64
		}
		to := r.last
		if len(r.open) > 0 {
			to = r.open[0].at - 1
		}
		if !r.any || to < 0 {
			continue
		}
		if off, known := s.cfg.Offsets.Query(ReviveGroup, s.revive, int32(id)); !known || off < to {
			s.cfg.Offsets.Commit(ReviveGroup, s.revive, int32(id), to)
		}
	}
}
