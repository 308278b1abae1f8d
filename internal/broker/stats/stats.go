// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twostage/twostage/internal/store"
)

// Config is what Stats is made of. All fields are required.
type Config struct {
	Cluster string // the key of what is counted for the whole broker
	// Now is the time: its monotonic part for windows, its date, in its location, for
	// days.
	Now func() time.Time
}

// Stats counts. Its methods may be called by any goroutine.
type Stats struct {
	cfg Config

	in   table[string]     // by topic: messages that came
	out  table[groupTopic] // messages that were given
	back table[groupTopic] // messages that were sent back
	cks  table[groupTopic] // checkpoints of pops
	acks table[groupTopic] // acks of messages that were popped

	// Of the broker: inSystem and outSystem of system topics. The times of outAll are the
	// looks into a queue that found messages.
	inAll, inSystem, outAll, outSystem, backAll, cksAll, acksAll counter

	missed     atomic.Int64 // looks that found none
	slowestGet atomic.Int64 // ns

	mu      sync.Mutex // who holds it samples, or reads what was sampled
	sampled [windows]times
	rates   rates
	puts    [7]putSample // how long puts took, a ring by the samples of a minute
	days    Days
	today   time.Time
	began   time.Time
	clock   time.Time // of Elapsed
	swept   time.Time
	source  Source
}

type groupTopic struct{ group, topic string }

// New begins to count.
func New(cfg Config) *Stats {
	s := &Stats{cfg: cfg, source: Source{
		Puts:  func() store.Puts { return store.Puts{} },
		Topic: func(string) bool { return true }, Group: func(string) bool { return true },
		Timed: func() (int64, int64) { return 0, 0 },
	}}
	s.in.limit, s.in.topic = MaxNames, func(topic string) string { return topic }
	for _, t := range []*table[groupTopic]{&s.out, &s.back, &s.cks, &s.acks} {
		t.limit, t.topic = MaxNames, func(k groupTopic) string { return k.topic }
	}
	s.began, s.clock = cfg.Now(), time.Now()
	s.swept, s.today = s.began, s.began
	return s
}

// Source is what Stats reads of others, once they are there.
type Source struct {
	Puts func() store.Puts
	// Topic and Group tell whether there is a topic or group of that name. One that is
	// gone is forgotten.
	Topic, Group func(name string) bool
	// Timed is how many messages have been put into the timer wheel, and how many were
	// delivered at their time.
	Timed func() (in, out int64)
}

// Elapsed is the time since the start, for who measures how long something takes: it
// costs less than a time.
func (s *Stats) Elapsed() time.Duration { return time.Since(s.clock) }

// In counts messages that came to a topic in one request: sent, delivered after a
// delay, committed, or put among the dead letters. bytes are those of their records.
func (s *Stats) In(topic string, messages, bytes int) { s.Sent(topic, 1, messages, bytes, 0) }

// Sent is In for the messages of several requests that were stored together, each of
// which took so long.
func (s *Stats) Sent(topic string, requests, messages, bytes int, took time.Duration) {
	c := s.in.of(topic)
	if c != nil {
		c.messages.Add(int64(messages))
		c.bytes.Add(int64(bytes))
		c.times.Add(int64(requests))
		if took > 0 {
			c.nanos.Add(int64(took) * int64(requests))
		}
	}
	s.inAll.messages.Add(int64(messages))
	if c.ofSystem(topic) {
		s.inSystem.messages.Add(int64(messages))
	}
}

// Out counts messages that were given to a consumer, whose bytes are those of their
// records, and how long they were looked for.
func (s *Stats) Out(group, topic string, messages, bytes int, took time.Duration) {
	c := s.out.of(groupTopic{group, topic})
	if c != nil {
		c.messages.Add(int64(messages))
		c.bytes.Add(int64(bytes))
		c.times.Add(1)
		c.nanos.Add(int64(took))
	}
	s.outAll.messages.Add(int64(messages))
	s.outAll.times.Add(1)
	if c.ofSystem(topic) {
		s.outSystem.messages.Add(int64(messages))
	}
	s.slow(took)
}

// Missed counts a look into a queue that found nothing for a consumer.
func (s *Stats) Missed(took time.Duration) {
	s.missed.Add(1)
	s.slow(took)
}

func (s *Stats) slow(took time.Duration) {
	for {
		slowest := s.slowestGet.Load()
		if int64(took) <= slowest || s.slowestGet.CompareAndSwap(slowest, int64(took)) {
			return
		}
	}
}

// SentBack counts a message of a topic that a consumer of a group has sent back.
func (s *Stats) SentBack(group, topic string) { some(&s.back, &s.backAll, group, topic, 1) }

// Popped counts the checkpoints of a pop, or of a change of what was popped.
func (s *Stats) Popped(group, topic string, checkpoints int) {
	some(&s.cks, &s.cksAll, group, topic, checkpoints)
}

// Acked counts acks of messages that were popped.
func (s *Stats) Acked(group, topic string, messages int) {
	some(&s.acks, &s.acksAll, group, topic, messages)
}

func some(t *table[groupTopic], all *counter, group, topic string, n int) {
	if c := t.of(groupTopic{group, topic}); c != nil {
		c.messages.Add(int64(n))
		c.times.Add(1)
	}
	all.messages.Add(int64(n))
}

// EachTopic calls fn with what came to each topic since the start.
func (s *Stats) EachTopic(fn func(topic string, messages, bytes int64)) {
	s.in.each(func(k string, c *counter) { fn(k, c.messages.Load(), c.bytes.Load()) })
}

// EachGroup calls fn with what each group was given of each topic since the start.
func (s *Stats) EachGroup(fn func(group, topic string, messages, bytes int64)) {
	s.out.each(func(k groupTopic, c *counter) { fn(k.group, k.topic, c.messages.Load(), c.bytes.Load()) })
}

// Unnamed is how often something was counted for the broker only, for want of room
// for a name.
func (s *Stats) Unnamed() int64 {
	return s.in.unnamed.Load() + s.out.unnamed.Load() + s.back.unnamed.Load() + s.cks.unnamed.Load() + s.acks.unnamed.Load()
}

// SlowestGet is how long the slowest look into a queue took since the start.
func (s *Stats) SlowestGet() time.Duration { return time.Duration(s.slowestGet.Load()) }

// Began is when counting began.
func (s *Stats) Began() time.Time { return s.began }

// ForgetTopics drops what is counted for topics.
func (s *Stats) ForgetTopics(names ...string) {
	gone := make(map[string]bool, len(names))
	for _, name := range names {
		gone[name] = true
	}
	s.forget(func(topic string) bool { return gone[topic] }, func(string) bool { return false })
}

// ForgetGroup drops what is counted for a group; what came to its own topics goes with
// those.
func (s *Stats) ForgetGroup(name string) {
	s.forget(func(string) bool { return false }, func(group string) bool { return group == name })
}

func (s *Stats) forget(topic, group func(string) bool) {
	s.in.forget(topic)
	for _, t := range []*table[groupTopic]{&s.out, &s.back, &s.cks, &s.acks} {
		t.forget(func(k groupTopic) bool { return topic(k.topic) || group(k.group) })
	}
}

// Begin takes the first sample. Before it nothing is known but totals.
func (s *Stats) Begin(src Source) {
	s.mu.Lock()
	s.source = src
	s.mu.Unlock()
	s.Sample()
}

// Run samples until ctx ends.
func (s *Stats) Run(ctx context.Context) error {
	t := time.NewTicker(ratePeriod)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			s.Sample()
		}
	}
}

// Sample does what is due. Run calls it once a second.
func (s *Stats) Sample() {
	src, now := s.reading()
	if s.sample(now, src) {
		s.forget(func(topic string) bool { return !src.Topic(topic) }, func(group string) bool { return !src.Group(group) })
	}
}

// reading is where to read from, and the time.
func (s *Stats) reading() (Source, time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.source, s.cfg.Now()
}

// sample notes what has been counted, and tells whether it is time to look for what is
// gone.
func (s *Stats) sample(now time.Time, src Source) (sweep bool) {
	puts := src.Puts()
	t := s.totals(src, puts)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rates.add(now, t)
	s.roll(now, puts)
	for w := range windows {
		if s.sampled[w].due(now, periods[w], samples[w]) {
			s.each(func(c *counter) { c.windows[w].add(c.value(), samples[w]) })
			if w == minute {
				copy(s.puts[:], s.puts[1:])
				s.puts[len(s.puts)-1] = putSample{true, Histogram(puts.Latency)}
			}
		}
	}
	if sweep = now.Sub(s.swept) >= sweepPeriod; sweep {
		s.swept = now
	}
	return sweep
}

// sweepPeriod is how often names of what is gone are looked for.
const sweepPeriod = 10 * time.Minute

func (s *Stats) each(fn func(*counter)) {
	for _, c := range []*counter{&s.inAll, &s.inSystem, &s.outAll, &s.outSystem, &s.backAll, &s.cksAll, &s.acksAll} {
		fn(c)
	}
	s.in.each(func(_ string, c *counter) { fn(c) })
	for _, t := range []*table[groupTopic]{&s.out, &s.back, &s.cks, &s.acks} {
		t.each(func(_ groupTopic, c *counter) { fn(c) })
	}
}
