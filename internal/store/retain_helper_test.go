// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/store/retention"
	"github.com/twostage/twostage/internal/vfs"
)

// scene is a store with retention whose clock and disk the test sets.
type scene struct {
	t    *testing.T
	m    *vfs.Mem
	cfg  Config
	now  atomic.Int64  // ms
	used atomic.Uint64 // bits of a float64
	s    *Store
	at   []Appended // of all records, by number
}

// newScene is a store with nothing in it, files of 4096 bytes, and a policy
// without hours: 10 hours are reserved.
func newScene(t *testing.T, change ...func(*Config)) *scene {
	t.Helper()
	c := &scene{t: t, m: vfs.NewMem()}
	c.now.Store(1_700_000_000_000)
	c.cfg = memConfig(c.m)
	c.cfg.CommitLogFileSize, c.cfg.MaxMessageSize = 4096, 1000
	c.cfg.NowMillis = c.now.Load
	c.cfg.RetentionInterval = time.Hour
	c.cfg.Retention = &retention.Policy{Reserved: 10 * time.Hour, MaxUsed: 75, CleanForcibly: 85, Warning: 90, Forcibly: true, Batch: 10}
	c.cfg.DiskUsed = func() (float64, error) { return math.Float64frombits(c.used.Load()), nil }
	for _, f := range change {
		f(&c.cfg)
	}
	c.open(c.m)
	return c
}

func (c *scene) open(m *vfs.Mem) {
	c.t.Helper()
	c.m, c.cfg.FS = m, m
	s, err := Open(c.cfg)
	if err != nil {
		c.t.Fatal(err)
	}
	c.s = s
}

func (c *scene) close() {
	c.t.Helper()
	if err := c.s.Close(); err != nil {
		c.t.Fatal(err)
	}
}

func (c *scene) setUsed(v float64) { c.used.Store(math.Float64bits(v)) }

const (
	sceneTopics = 3
	sceneQueues = 4
	hour        = 3600 * 1000
)

func (c *scene) queue(i int) *Queue {
	return c.s.Queue(fmt.Sprintf("T%d", i%sceneTopics), int32(i/sceneTopics%sceneQueues))
}

func (c *scene) name(i int) string { return fmt.Sprintf("m%d", i) }

// send appends n records, of which record i is in queue(i), an hour apart.
func (c *scene) send(n int) {
	c.t.Helper()
	var b Batch
	for range n {
		b.Reset()
		i := len(c.at)
		if err := b.Add(c.queue(i), rec(c.name(i), 300)); err != nil {
			c.t.Fatal(err)
		}
		if err := c.s.Append(&b); err != nil {
			c.t.Fatal(err)
		}
		c.at = append(c.at, b.Result(0))
		c.now.Add(hour)
	}
	dispatched(c.t, c.s)
}

func (c *scene) retain(asked bool) Deletion {
	c.t.Helper()
	d, err := c.s.Retain(asked)
	if err != nil {
		c.t.Fatal(err)
	}
	return d
}

// check compares everything that can be read with what was sent, given that the
// log begins where it says.
func (c *scene) check(where string) {
	c.t.Helper()
	s, min := c.s, c.s.MinPhysical()
	want := make(map[*Queue][]string)
	first := make(map[*Queue]int64)
	next := make(map[*Queue]int64)
	for i, a := range c.at {
		q := c.queue(i)
		next[q] = a.QueueOffset + 1
		kept := a.PhysicalOffset >= min
		if kept {
			if _, ok := first[q]; !ok {
				first[q] = a.QueueOffset
			}
			want[q] = append(want[q], c.name(i))
		}
		found, err := s.Query(q.Topic(), c.name(i), 32, 0, math.MaxInt64)
		if err != nil || slices.Contains(found.Offsets, a.PhysicalOffset) != kept {
			c.t.Errorf("%s: query for record %d, kept %v: %v, %v", where, i, kept, found.Offsets, err)
		}
		found.Release()
		_, release, err := s.Record(a.PhysicalOffset)
		if kept != (err == nil) || !kept && !errors.Is(err, ErrNotFound) {
			c.t.Errorf("%s: record %d, kept %v: %v", where, i, kept, err)
		}
		release()
		ts, err := s.StoreTimeAt(q, a.QueueOffset)
		if kept != (err == nil) || kept && ts != a.StoreTimestamp || !kept && !errors.Is(err, ErrNotFound) {
			c.t.Errorf("%s: time of record %d, kept %v: %d, %v", where, i, kept, ts, err)
		}
		for _, boundary := range []Boundary{Nearest, Lower, Upper} {
			if got, err := s.OffsetByTime(q, a.StoreTimestamp, boundary); kept && (got != a.QueueOffset || err != nil) {
				c.t.Errorf("%s: offset by time of record %d is %d, want %d (%v)", where, i, got, a.QueueOffset, err)
			}
		}
	}
	for q, n := range next {
		if _, ok := first[q]; !ok {
			first[q] = n
		}
		if q.Max() != n || q.Min() != first[q] {
			c.t.Errorf("%s: %s-%d is %d to %d, want %d to %d", where, q.topic, q.id, q.Min(), q.Max(), first[q], n)
		}
		if q.Min() > 0 {
			r, err := s.Get(q, q.Min()-1, 32, 1<<20, Filter{})
			if err != nil || r.Status != OffsetTooSmall || r.NextOffset != first[q] {
				c.t.Errorf("%s: get below the first of %s-%d: %+v, %v", where, q.topic, q.id, r, err)
			}
			r.Release()
			for _, boundary := range []Boundary{Nearest, Lower, Upper} {
				if got, err := s.OffsetByTime(q, 0, boundary); got != first[q] || err != nil {
					c.t.Errorf("%s: offset by time 0 of %s-%d is %d, want %d (%v)", where, q.topic, q.id, got, first[q], err)
				}
			}
		}
		if got := names(c.t, s, q, q.Min()); !slices.Equal(got, want[q]) {
			c.t.Errorf("%s: %s-%d holds %v, want %v", where, q.topic, q.id, got, want[q])
		}
	}
	for _, a := range c.at {
		if a.PhysicalOffset >= min {
			if got := s.EarliestTime(); got != a.StoreTimestamp {
				c.t.Errorf("%s: earliest time %d, want %d", where, got, a.StoreTimestamp)
			}
			break
		}
	}
}

func testRand(seed int) *rand.Rand { return rand.New(rand.NewPCG(uint64(seed), 1)) }
