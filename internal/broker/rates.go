// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"sync"
	"time"
)

const (
	ratePeriod  = 10 * time.Second
	rateSamples = 7 // a minute, as in RocketMQ
)

// rates tells how fast groups have been given messages in the last minute.
type rates struct {
	stats *stats

	mu      sync.Mutex
	samples []rateSample // oldest first
}

// rateSample is how many messages each group had been given of each topic.
type rateSample struct {
	at  time.Time
	out map[groupTopic]int64
}

// newRates begins at now.
func newRates(s *stats, now time.Time) *rates {
	r := &rates{stats: s}
	r.sample(now)
	return r
}

// run takes a sample each period, until ctx ends.
func (r *rates) run(ctx context.Context) error {
	return every(ctx, ratePeriod, func() { r.sample(time.Now()) })
}

func (r *rates) sample(now time.Time) {
	s := rateSample{at: now, out: map[groupTopic]int64{}}
	r.stats.out.each(func(k groupTopic, messages, _ int64) { s.out[k] = messages })
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.samples) == rateSamples {
		r.samples = append(r.samples[:0], r.samples[1:]...)
	}
	r.samples = append(r.samples, s)
}

// perSecond is what a group was given of a topic, from the oldest sample to the
// newest, in messages a second. Nothing is known before the second sample.
func (r *rates) perSecond(group, topic string) float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	first, last := r.samples[0], r.samples[len(r.samples)-1]
	took := last.at.Sub(first.at).Seconds()
	if took <= 0 {
		return 0
	}
	k := groupTopic{group, topic}
	return float64(last.out[k]-first.out[k]) / took
}
