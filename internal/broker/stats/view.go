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
	c, u, err := s.find(name, key)
	if err != nil {
		return View{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now, v := s.cfg.Now(), c.value()
	span := func(w int) Span { return s.span(c, u, w, now, v) }
	return View{span(minute), span(hour), span(day)}, nil
}

// names are the statistics of a broker by topic, by topic and group, and its own.
const names = "TOPIC_PUT_NUMS, TOPIC_PUT_SIZE, TOPIC_PUT_LATENCY and DLQ_PUT_NUMS by topic; " +
	"GROUP_GET_NUMS, GROUP_GET_SIZE, GROUP_GET_LATENCY, GROUP_CK_NUMS, GROUP_ACK_NUMS and SNDBCK_PUT_NUMS by topic@group; " +
	"BROKER_PUT_NUMS, BROKER_GET_NUMS, BROKER_CK_NUMS and BROKER_ACK_NUMS by cluster"

func (s *Stats) find(name, key string) (c *counter, u unit, err error) {
	switch {
	case strings.HasSuffix(name, "_SIZE"):
		u = bytes
	case strings.HasSuffix(name, "_LATENCY"):
		u = latency
	}
	var ok bool
	switch name {
	case "TOPIC_PUT_NUMS", "TOPIC_PUT_SIZE", "TOPIC_PUT_LATENCY":
		c, ok = s.in.lookup(key)
	case "DLQ_PUT_NUMS": // by the group, or its topic
		c, ok = s.in.lookup(message.DLQPrefix + strings.TrimPrefix(key, message.DLQPrefix))
	case "GROUP_GET_NUMS", "GROUP_GET_SIZE", "GROUP_GET_LATENCY":
		c, ok = lookup(&s.out, key)
	case "GROUP_CK_NUMS":
		c, ok = lookup(&s.cks, key)
	case "GROUP_ACK_NUMS":
		c, ok = lookup(&s.acks, key)
	case "SNDBCK_PUT_NUMS":
		c, ok = lookup(&s.back, key)
	default:
		if c = s.ofBroker(name); c == nil {
			return nil, u, fmt.Errorf("The stats <%s> <%s> not exist: there are %s", name, key, names) //nolint:staticcheck // RocketMQ's remark
		}
		ok = key == s.cfg.Cluster
	}
	switch {
	case ok:
		return c, u, nil
	case c == nil:
		return nil, u, fmt.Errorf("The stats <%s> <%s> not exist: nothing was counted since the start", name, key) //nolint:staticcheck // RocketMQ's remark
	}
	return nil, u, fmt.Errorf("The stats <%s> <%s> not exist: its key is the cluster, %s", name, key, s.cfg.Cluster) //nolint:staticcheck // RocketMQ's remark
}

func (s *Stats) ofBroker(name string) *counter {
	switch name {
	case "BROKER_PUT_NUMS":
		return &s.inAll
	case "BROKER_GET_NUMS":
		return &s.outAll
	case "BROKER_PUT_NUMS_WITHOUT_SYSTEM_TOPIC":
		return &s.inUser
	case "BROKER_GET_NUMS_WITHOUT_SYSTEM_TOPIC":
		return &s.outUser
	case "BROKER_CK_NUMS":
		return &s.cksAll
	case "BROKER_ACK_NUMS":
		return &s.acksAll
	}
	return nil
}

// lookup finds "topic@group".
func lookup(t *table[groupTopic], key string) (*counter, bool) {
	topic, group, ok := strings.Cut(key, "@")
	if !ok {
		return nil, false
	}
	return t.lookup(groupTopic{group, topic})
}

// span is what a window of c has, when c is v; s.mu is held.
func (s *Stats) span(c *counter, u unit, w int, now time.Time, v value) (r Span) {
	d := v.minus(c.windows[w].oldest())
	switch u {
	case messages:
		r.Sum, r.Average = d.messages, ratio(d.messages, d.times)
	case bytes:
		r.Sum, r.Average = d.bytes, ratio(d.bytes, d.times)
	case latency:
		r.Sum, r.Average = d.nanos/int64(time.Millisecond), ratio(d.nanos, d.times)/float64(time.Millisecond)
	}
	if at := s.sampled[w].at; len(at) > 0 {
		r.PerSecond = perSecond(r.Sum, now.Sub(at[0]))
	}
	return r
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
	return s.span(c, messages, minute, s.cfg.Now(), c.value()).PerSecond
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
