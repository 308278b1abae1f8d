// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package txn

import (
	"maps"
	"sync"
	"sync/atomic"
)

type counters struct {
	discarded, refused, checks atomic.Int64

	mu       sync.Mutex
	finished map[string]*Finished // by real topic
}

// LatencyBounds are the upper bounds, in seconds, of the buckets of
// Finished.Latency: those of RocketMQ 5.
var LatencyBounds = [...]float64{5, 60, 600, 3600, 12 * 3600, 24 * 3600}

// Finished counts the transactions of one topic that a producer or an operator
// has decided since the start.
type Finished struct {
	Committed, RolledBack int64
	Latency               [len(LatencyBounds)]int64 // from the half message to the commit; not cumulative
	LatencySum            float64                   // seconds
}

// count counts an outcome; now is monotonic.
func (s *Service) count(e *ending, now int64) {
	c := &s.counts
	if e.d.Outcome == Discard {
		c.discarded.Add(1)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.finished[e.d.Half.Topic]
	if f == nil {
		f = &Finished{}
		if c.finished == nil {
			c.finished = map[string]*Finished{}
		}
		c.finished[e.d.Half.Topic] = f
	}
	if e.d.Outcome == Rollback {
		f.RolledBack++
		return
	}
	f.Committed++
	seconds := float64(max(now-e.d.Half.Stored, 0)) / 1000
	f.LatencySum += seconds
	for i, bound := range LatencyBounds {
		if seconds <= bound {
			f.Latency[i]++
			break
		}
	}
}

// Stats are totals since the start, and what is pending now.
type Stats struct {
	Finished   map[string]Finished // by real topic
	Discarded  int64
	Refused    int64 // decisions that were refused
	Checks     int64 // written to a connection; those that were withdrawn before don't count
	NoProducer int   // transactions that are due for a check, but no producer of their group is there
	Paced      int   // that are due, but their group takes no more checks now
	Pending    map[string]int
	StoryLost  int64 // events of the story that the disk could not take in time
}

// Stats tells totals and what is pending.
func (s *Service) Stats() Stats {
	c := &s.counts
	st := Stats{Discarded: c.discarded.Load(), Refused: c.refused.Load(), Checks: c.checks.Load(), StoryLost: s.story.Dropped()}
	c.mu.Lock()
	st.Finished = make(map[string]Finished, len(c.finished))
	for topic, f := range maps.All(c.finished) {
		st.Finished[topic] = *f
	}
	c.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.table.Tick(s.mono())
	st.NoProducer, st.Paced = s.table.Waiting()
	st.Pending = s.table.ByTopic()
	return st
}
