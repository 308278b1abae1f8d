// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package stats

import "time"

// The windows of a counter, as RocketMQ's StatsItem has them.
const (
	minute = iota
	hour
	day
	windows
)

// periods and samples are how often a window is sampled, and how many samples it
// has.
var (
	periods = [windows]time.Duration{10 * time.Second, 10 * time.Minute, time.Hour}
	samples = [windows]int{7, 7, 25}
)

// value is what a counter has counted.
type value struct{ messages, bytes, times, nanos int64 }

func (v value) minus(o value) value {
	return value{v.messages - o.messages, v.bytes - o.bytes, v.times - o.times, v.nanos - o.nanos}
}

// series is what a counter was at the last samples of a window. It has none while all
// are equal.
type series struct {
	base value   // at the last sample, and at all before: if len(at) is 0
	at   []value // the last of them is of the last sample, the first like those before
}

// add takes a sample; the window holds most of them.
func (s *series) add(v value, most int) {
	switch {
	case len(s.at) == 0 && v == s.base:
		return
	case len(s.at) == 0:
		s.at = append(s.at, s.base, v)
	default:
		if len(s.at) == most {
			s.at = append(s.at[:0], s.at[1:]...)
		}
		s.at = append(s.at, v)
	}
	if len(s.at) == most && s.at[0] == v {
		s.at, s.base = nil, v
	}
}

// oldest is what the counter was when the window began.
func (s *series) oldest() value {
	if len(s.at) == 0 {
		return s.base
	}
	return s.at[0]
}

// times are those of the samples of a window, oldest first.
type times struct {
	at   []time.Time
	next time.Time
}

// due says whether a sample is to be taken, and if so notes its time. Samples that
// were missed are left out.
func (t *times) due(now time.Time, period time.Duration, most int) bool {
	if len(t.at) > 0 && now.Before(t.next) {
		return false
	}
	if t.next = t.next.Add(period); len(t.at) == 0 || !now.Before(t.next) {
		t.next = now.Add(period)
	}
	if len(t.at) == most {
		t.at = append(t.at[:0], t.at[1:]...)
	}
	t.at = append(t.at, now)
	return true
}
