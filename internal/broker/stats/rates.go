// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"time"

	"github.com/twostage/twostage/internal/store"
)

const (
	ratePeriod  = time.Second
	rateSamples = 601 // ten minutes
)

// totals are what rates are of.
type totals struct{ put, found, missed, given, timerIn, timerOut int64 }

func (s *Stats) totals(src Source, puts store.Puts) totals {
	in, out := src.Timed()
	return totals{puts.Records, s.outAll.times.Load(), s.missed.Load(), s.outAll.messages.Load(), in, out}
}

// rates are totals of the last ten minutes, once a second.
type rates struct {
	at   [rateSamples]time.Time
	was  [rateSamples]totals
	next int // where the next sample goes
	n    int // samples
}

func (r *rates) add(now time.Time, t totals) {
	r.at[r.next], r.was[r.next] = now, t
	r.next = (r.next + 1) % rateSamples
	r.n = min(r.n+1, rateSamples)
}

// before is the sample of so many seconds ago, or the oldest.
func (r *rates) before(seconds int) (time.Time, totals) {
	i := (r.next - min(seconds+1, r.n) + rateSamples) % rateSamples
	return r.at[i], r.was[i]
}

// Rates are what happened in a second, over the last 10 s, minute and 10 minutes, or
// since the start where that is shorter.
type Rates struct {
	Put    [3]float64 // records stored
	Found  [3]float64 // looks of consumers that found messages
	Missed [3]float64 // that found none
	Given  [3]float64 // messages that they were given

	TimerIn  [3]float64 // messages put into the timer wheel
	TimerOut [3]float64 // delivered at their time
}

var rateSeconds = [3]int{10, 60, 600}

// Rates gives the rates as they are now.
func (s *Stats) Rates() (r Rates) {
	src, _ := s.reading()
	t := s.totals(src, src.Puts())
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rates.n == 0 {
		return r
	}
	now := s.cfg.Now()
	for i, seconds := range rateSeconds {
		at, was := s.rates.before(seconds)
		took := now.Sub(at)
		r.Put[i] = perSecond(t.put-was.put, took)
		r.Found[i] = perSecond(t.found-was.found, took)
		r.Missed[i] = perSecond(t.missed-was.missed, took)
		r.Given[i] = perSecond(t.given-was.given, took)
		r.TimerIn[i] = perSecond(t.timerIn-was.timerIn, took)
		r.TimerOut[i] = perSecond(t.timerOut-was.timerOut, took)
	}
	return r
}

// Days are totals at the last two midnights, of the location of Config.Now, and now: 0
// where the process had not begun. What came today is the difference of the last two.
type Days struct {
	PutYesterday, PutToday, Put       int64 // records stored
	GivenYesterday, GivenToday, Given int64 // messages given to consumers
}

// Days gives the totals as they are now.
func (s *Stats) Days() Days {
	src, now := s.reading()
	puts := src.Puts()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.roll(now, puts)
	d := s.days
	d.Put, d.Given = puts.Records, s.outAll.messages.Load()
	return d
}

// roll begins a new day, if one has begun. A wall clock that is set back begins none
// again, unless it is set back by days: then it was ahead, and the day is a new one.
func (s *Stats) roll(now time.Time, puts store.Puts) {
	today, was := date(now), date(s.today)
	if !today.After(was) && !today.Before(was.AddDate(0, 0, -1)) {
		return
	}
	put, given := puts.Records, s.outAll.messages.Load()
	if today.Equal(was.AddDate(0, 0, 1)) {
		s.days.PutYesterday, s.days.GivenYesterday = s.days.PutToday, s.days.GivenToday
	} else { // nothing ran on the days between, or nobody knows on which days it did
		s.days.PutYesterday, s.days.GivenYesterday = put, given
	}
	s.days.PutToday, s.days.GivenToday = put, given
	s.today = now
}

// date is the day of t, comparable with others.
func date(t time.Time) time.Time {
	y, m, d := t.Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}

// putSample is how long puts took at a sample of a minute.
type putSample struct {
	taken   bool
	latency Histogram
}

// Histogram counts records by how long they took to be stored: see store.Puts.
type Histogram [len(store.PutBounds) + 1]int64

// Latency tells how long puts of the last minute took.
func (s *Stats) Latency() (h Histogram) {
	src, _ := s.reading()
	h = Histogram(src.Puts().Latency)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.puts {
		if s.puts[i].taken {
			for b := range h {
				h[b] -= s.puts[i].latency[b]
			}
			break
		}
	}
	return h
}

// Between counts the records that took from from on, and less than to. Both are
// bounds of the histogram, or 0, or above all of them.
func (h *Histogram) Between(from, to time.Duration) (n int64) {
	low := time.Duration(0)
	for i, count := range h {
		if low >= from && low < to {
			n += count
		}
		if i < len(store.PutBounds) {
			low = store.PutBounds[i]
		}
	}
	return n
}

// Quantile is the time below which a share of the records, 0 to 1, were stored, evenly
// distributed between two bounds; 0 when there were none.
func (h *Histogram) Quantile(share float64) time.Duration {
	total := int64(0)
	for _, n := range h {
		total += n
	}
	want, low := share*float64(total), time.Duration(0)
	for i, n := range h {
		if i == len(store.PutBounds) {
			break // nothing is known of the slowest but that they were
		}
		high := store.PutBounds[i]
		if n > 0 && float64(n) >= want {
			return low + time.Duration(float64(high-low)*want/float64(n))
		}
		want, low = want-float64(n), high
	}
	if total == 0 {
		return 0
	}
	return low
}
