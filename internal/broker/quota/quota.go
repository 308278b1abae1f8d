// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package quota

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/twostage/twostage/internal/remoting"
)

// ErrTooMany: an address has made as many as it may for now.
var ErrTooMany = errors.New("too many were made from this address")

// sweepAt is how many buckets there are before full ones are looked for.
const sweepAt = 1024

// Limiter holds the buckets. A nil one allows everything. Safe for concurrent use.
type Limiter struct {
	what, key string
	each      float64 // a minute
	now       func() time.Time

	mu      sync.Mutex
	buckets map[netip.Addr]bucket
	sweep   int // how many buckets bring the next sweep
	refused int64
}

type bucket struct {
	used float64 // at that time
	at   time.Time
}

// New makes a limiter of perMinute things called what, which the configuration key
// sets; nil when perMinute is 0.
func New(what, key string, perMinute int, now func() time.Time) *Limiter {
	if perMinute <= 0 {
		return nil
	}
	return &Limiter{what: what, key: key, each: float64(perMinute), now: now, buckets: map[netip.Addr]bucket{}, sweep: sweepAt}
}

// Take counts n that addr is about to make. It says why addr may not, with
// ErrTooMany, and counts none then.
func (l *Limiter) Take(addr netip.Addr, n int) error {
	if l == nil {
		return nil
	}
	addr = remoting.Network(addr)
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	used := l.usedNow(addr, now)
	if used+float64(n) <= l.each {
		l.buckets[addr] = bucket{used: used + float64(n), at: now}
		l.dropFull(now)
		return nil
	}
	l.refused++
	return fmt.Errorf("%w: %s may make %.0f %s within a minute; try again later, or raise %s", ErrTooMany, addr, l.each, l.what, l.key)
}

// GiveBack is for n that addr took and did not make.
func (l *Limiter) GiveBack(addr netip.Addr, n int) {
	if l == nil {
		return
	}
	addr = remoting.Network(addr)
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	l.buckets[addr] = bucket{used: max(l.usedNow(addr, now)-float64(n), 0), at: now}
}

// dropFull drops the buckets that lack nothing, when there are many; mu is held.
func (l *Limiter) dropFull(now time.Time) {
	if len(l.buckets) < l.sweep {
		return
	}
	for a := range l.buckets {
		if l.usedNow(a, now) <= 0 {
			delete(l.buckets, a)
		}
	}
	l.sweep = max(sweepAt, 2*len(l.buckets))
}

// Refused counts since New.
func (l *Limiter) Refused() int64 {
	if l == nil {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.refused
}

// usedNow is how many tokens addr lacks; mu is held.
func (l *Limiter) usedNow(addr netip.Addr, now time.Time) float64 {
	b, ok := l.buckets[addr]
	if !ok {
		return 0
	}
	passed := now.Sub(b.at)
	if passed < 0 { // a clock that was set back gives nothing, and what it gives from now on counts
		passed, b.at = 0, now
		l.buckets[addr] = b
	}
	return max(b.used-l.each*passed.Minutes(), 0)
}
