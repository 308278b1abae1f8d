// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"math"

	"github.com/twostage/twostage/internal/store/consumequeue"
)

// Boundary says which entry OffsetByTime looks for. Entries whose record is
// lost have no time: none of them is ever it.
//
//	store time   10  20  20   -  30       - : no time
//	offset        5   6   7   8   9       Min 5, Max 10
//
//	             time 5   10   20   22   25   26   30   31
//	Lower             5    5    6    9    9    9    9   10
//	Upper             5    5    7    7    7    7    9    9
//	Nearest           5    5    6    6    6    9    9    9
type Boundary uint8

// The boundaries.
const (
	// Nearest is the entry whose time differs least, the earlier of two: for a
	// time that several share, the first of them; for times behind the last
	// entry, that one. RocketMQ 4.9 means this one.
	Nearest Boundary = iota
	Lower            // the first entry not older than the time; Max when all are older
	Upper            // the last entry not newer than the time; Min when all are newer
)

// OffsetByTime returns the offset of an entry of q by its store timestamp (ms,
// any number): see Boundary. Without any entry that has a time it is Max for
// Lower, else Min; both are 0 for a queue without a past. Store timestamps rise
// along a queue, so this is a binary search that reads the log about
// log2(entries) times, twice that for Nearest; lost entries are looked through,
// and a record whose timestamp cannot be is taken for lost. An error means that
// queue or log could not be read, or ErrClosed.
func (s *Store) OffsetByTime(q *Queue, ts int64, b Boundary) (int64, error) {
	if s.ended.Load() {
		return 0, ErrClosed
	}
	p := getPull()
	defer p.free()
	f := timeSearch{s: s, q: q, p: p, newest: max(s.reads.newest, s.log.LastTimestamp()), low: q.Min(), high: q.Max()}
	at, err := f.find(ts, b)
	if err != nil {
		return 0, fmt.Errorf("store: offset by time in queue %d of %q: %w", q.id, q.topic, err)
	}
	return at, nil
}

// timeSearch looks for a time in [low, high) of a queue.
type timeSearch struct {
	s         *Store
	q         *Queue
	p         *pull
	newest    int64 // no timestamp is greater
	low, high int64
}

// timed is an entry with a time; none is what is not there.
type timed struct{ at, ts int64 }

var none = timed{at: -1}

func (t timed) there() bool { return t.at >= 0 }

func (f *timeSearch) find(ts int64, b Boundary) (int64, error) {
	if b == Upper {
		behind := none
		var err error
		if ts < math.MaxInt64 {
			if behind, err = f.first(ts + 1); err != nil {
				return 0, err
			}
		}
		last, err := f.before(behind)
		if err != nil || !last.there() {
			return f.low, err
		}
		return last.at, nil
	}
	after, err := f.first(ts)
	switch {
	case err != nil:
		return 0, err
	case b == Lower && after.there():
		return after.at, nil
	case b == Lower:
		return f.high, nil
	}
	before, err := f.before(after)
	switch {
	case err != nil:
		return 0, err
	case !before.there() && !after.there():
		return f.low, nil
	case !before.there():
		return after.at, nil
	case !after.there():
		return before.at, nil
	case ts-before.ts > after.ts-ts:
		return after.at, nil
	}
	before, err = f.first(before.ts)
	return before.at, err
}

// first returns the first entry that is not older than ts.
func (f *timeSearch) first(ts int64) (timed, error) {
	best := none
	for l, h := f.low, f.high; l < h; {
		mid := l + (h-l)/2
		t, err := f.from(mid, h)
		switch {
		case err != nil:
			return none, err
		case !t.there(): // nothing is known in [mid, h)
			h = mid
		case t.ts < ts:
			l = t.at + 1
		default:
			best, h = t, mid
		}
	}
	return best, nil
}

// entriesAtOnce is how many entries are read together where many are lost.
const entriesAtOnce = 512

// from returns the first entry in [from, to) that has a time.
func (f *timeSearch) from(from, to int64) (timed, error) {
	for n := int64(1); from < to; n = min(n*8, entriesAtOnce) { // mostly one will do
		ok, err := f.read(&from, min(from+n, to))
		if err != nil || !ok {
			return none, err
		}
		for _, e := range f.p.entries {
			if ts, ok, err := f.time(e); ok || err != nil {
				return timed{from, ts}, err
			}
			from++
		}
	}
	return none, nil
}

// before returns the last entry before behind, or before the end when that is
// none, that has a time.
func (f *timeSearch) before(behind timed) (timed, error) {
	to := f.high
	if behind.there() {
		to = behind.at
	}
	for n := int64(1); to > f.low; n = min(n*8, entriesAtOnce) {
		from := max(to-n, f.low)
		start := from
		ok, err := f.read(&from, to)
		if err != nil || !ok {
			return none, err
		}
		for i := len(f.p.entries) - 1; i >= 0; i-- {
			if ts, ok, err := f.time(f.p.entries[i]); ok || err != nil {
				return timed{from + int64(i), ts}, err
			}
		}
		if from > start { // what was before has gone
			return none, nil
		}
		to = from
	}
	return none, nil
}

// read reads the entries [*from, to), without those that have been deleted
// meanwhile: then *from moves. ok is false when nothing is left.
func (f *timeSearch) read(from *int64, to int64) (ok bool, err error) {
	for *from < to {
		f.p.entries, err = f.q.cq.Read(f.p.entries[:0], *from, int(to-*from))
		if !errors.Is(err, consumequeue.ErrBelowMin) {
			return len(f.p.entries) > 0, err
		}
		*from = f.q.Min()
	}
	return false, nil
}

// time returns the store timestamp of the record of e, if it is there.
func (f *timeSearch) time(e consumequeue.Entry) (ts int64, ok bool, err error) {
	if e.Blank() || e.Offset < f.s.log.Min() {
		return 0, false, nil
	}
	_, ts, err = f.s.log.Head(e.Offset)
	if err != nil {
		err = f.s.readError(e.Offset, err)
	}
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrUnreadable) {
		return 0, false, nil
	}
	return ts, err == nil && ts >= 0 && ts <= f.newest, err
}
