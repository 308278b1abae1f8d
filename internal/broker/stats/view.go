// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"fmt"
	"strings"
	"time"

	"github.com/twostage/twostage/message"
)

// View is what was counted in the windows of a counter.
type View struct{ Minute, Hour, Day Span }

// Span is what was counted in a window.
type Span struct {
	Sum       int64   // messages, bytes or milliseconds
	PerSecond float64 // Sum a second
	Average   float64 // of the times that it was counted; 0: never
}

// reading is what a name and a key mean.
type reading struct {
	c    *counter
	less *counter // to be taken off; nil: nothing
	unit unit
	own  bool // the broker's own, without an average
}

// value is what was counted in a window, with c and less as they are now.
func (r *reading) value(w int) value {
	v := r.c.value().minus(r.c.windows[w].oldest())
	if r.less != nil {
		v = v.minus(r.less.value().minus(r.less.windows[w].oldest()))
	}
	return v
}

// unit tells what of a counter a name means.
type unit uint8

const (
	messages unit = iota
	bytes
	latency // milliseconds
)

// View gives a counter by RocketMQ's names of statistics and their keys. An error
// says which of them is not known, or that nothing was counted.
func (s *Stats) View(name, key string) (View, error) {
	r, err := s.find(name, key)
	if err != nil {
		return View{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Now()
	return View{s.span(&r, minute, now), s.span(&r, hour, now), s.span(&r, day, now)}, nil
}

// names are the statistics of a broker by topic, by topic and group, and its own.
const names = "TOPIC_PUT_NUMS, TOPIC_PUT_SIZE, TOPIC_PUT_LATENCY and DLQ_PUT_NUMS by topic; " +
	"GROUP_GET_NUMS, GROUP_GET_SIZE, GROUP_GET_LATENCY, GROUP_CK_NUMS, GROUP_ACK_NUMS and SNDBCK_PUT_NUMS by topic@group; " +
	"BROKER_PUT_NUMS, BROKER_GET_NUMS, BROKER_CK_NUMS and BROKER_ACK_NUMS by cluster"

func (s *Stats) find(name, key string) (r reading, err error) {
	switch {
	case strings.HasSuffix(name, "_SIZE"):
		r.unit = bytes
	case strings.HasSuffix(name, "_LATENCY"):
		r.unit = latency
	}
	var ok bool
	switch name {
	case "TOPIC_PUT_NUMS", "TOPIC_PUT_SIZE", "TOPIC_PUT_LATENCY":
		r.c, ok = s.in.lookup(key)
	case "DLQ_PUT_NUMS": // by the group, or its topic
		r.c, ok = s.in.lookup(message.DLQPrefix + strings.TrimPrefix(key, message.DLQPrefix))
	case "GROUP_GET_NUMS", "GROUP_GET_SIZE", "GROUP_GET_LATENCY":
		r.c, ok = lookup(&s.out, key)
	case "GROUP_CK_NUMS":
		r.c, ok = lookup(&s.cks, key)
	case "GROUP_ACK_NUMS":
		r.c, ok = lookup(&s.acks, key)
	case "SNDBCK_PUT_NUMS":
		r.c, ok = lookup(&s.back, key)
	default:
		if r.c, r.less = s.ofBroker(name); r.c == nil {
			return r, fmt.Errorf("stats <%s> <%s> not exist: there are %s", name, key, names)
		}
		r.own, ok = true, key == s.cfg.Cluster
	}
	switch {
	case ok:
		return r, nil
	case r.c == nil:
		return r, fmt.Errorf("stats <%s> <%s> not exist: nothing was counted since the start", name, key)
	}
	return r, fmt.Errorf("stats <%s> <%s> not exist: its key is the cluster, %s", name, key, s.cfg.Cluster)
}

func (s *Stats) ofBroker(name string) (c, less *counter) {
	switch name {
	case "BROKER_PUT_NUMS":
		return &s.inAll, nil
	case "BROKER_PUT_NUMS_WITHOUT_SYSTEM_TOPIC":
		return &s.inAll, &s.inSystem
	case "BROKER_GET_NUMS":
		return &s.outAll, nil
	case "BROKER_GET_NUMS_WITHOUT_SYSTEM_TOPIC":
		return &s.outAll, &s.outSystem
	case "BROKER_CK_NUMS":
		return &s.cksAll, nil
	case "BROKER_ACK_NUMS":
		return &s.acksAll, nil
	}
	return nil, nil
}

// lookup finds "topic@group".
func lookup(t *table[groupTopic], key string) (*counter, bool) {
	topic, group, ok := strings.Cut(key, "@")
	if !ok {
		return nil, false
	}
	return t.lookup(groupTopic{group, topic})
}

// span is what a window has; s.mu is held.
func (s *Stats) span(r *reading, w int, now time.Time) (p Span) {
	v := r.value(w)
	switch r.unit {
	case messages:
		p.Sum, p.Average = v.messages, ratio(v.messages, v.times)
	case bytes:
		p.Sum, p.Average = v.bytes, ratio(v.bytes, v.times)
	case latency:
		p.Sum, p.Average = v.nanos/int64(time.Millisecond), ratio(v.nanos, v.times)/float64(time.Millisecond)
	}
	if r.own {
		p.Average = 0
	}
	if at := s.sampled[w].at; len(at) > 0 {
		p.PerSecond = perSecond(p.Sum, now.Sub(at[0]))
	}
	return p
}

// TopicPerSecond is how many messages a second came to a topic in the last minute.
func (s *Stats) TopicPerSecond(topic string) float64 {
	c, ok := s.in.lookup(topic)
	return s.lately(c, ok)
}

// GroupPerSecond is how many messages a second a group was given of a topic in the
// last minute.
func (s *Stats) GroupPerSecond(group, topic string) float64 {
	c, ok := s.out.lookup(groupTopic{group, topic})
	return s.lately(c, ok)
}

func (s *Stats) lately(c *counter, ok bool) float64 {
	if !ok {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.span(&reading{c: c}, minute, s.cfg.Now()).PerSecond
}

func perSecond(sum int64, took time.Duration) float64 {
	if took <= 0 {
		return 0
	}
	return float64(sum) / took.Seconds()
}

func ratio(sum, times int64) float64 {
	if times == 0 {
		return 0
	}
	return float64(sum) / float64(times)
}
