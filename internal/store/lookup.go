// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"math"
	"sync"

	"github.com/twostage/twostage/internal/store/commitlog"
	"github.com/twostage/twostage/internal/store/consumequeue"
)

// ErrNotFound: there is no record, or no entry, at that offset.
var ErrNotFound = commitlog.ErrNotFound

var records = sync.Pool{New: func() any { return new([]byte) }}

// Record returns a copy of the record at a log offset, valid until release,
// which is called once. ErrNotFound when no record stands there: magic, position
// and size are checked, whatever the offset, so it may come from a stranger. The
// body's CRC is not checked.
func (s *Store) Record(physicalOffset int64) (rec []byte, release func(), err error) {
	if s.ended.Load() {
		return nil, nothing, ErrClosed
	}
	b := records.Get().(*[]byte)
	rec, err = s.log.ReadRecord((*b)[:0], physicalOffset)
	if err != nil {
		records.Put(b)
		return nil, nothing, err
	}
	return rec, func() {
		if cap(rec) <= maxKeptBuffer {
			*b = rec[:0]
			records.Put(b)
		}
	}, nil
}

// Entry is what a queue knows of one record.
type Entry struct {
	PhysicalOffset int64
	Size           int32
	TagsCode       int64
}

// Entries appends up to n entries of q from offset from on to dst, fewer at the
// end of the queue. Entries that stand for lost or deleted records have Size 0.
func (s *Store) Entries(dst []Entry, q *Queue, from int64, n int) ([]Entry, error) {
	if s.ended.Load() {
		return dst, ErrClosed
	}
	p := getPull()
	defer p.free()
	var err error
	if p.entries, err = q.cq.Read(p.entries[:0], from, n); err != nil {
		return dst, err
	}
	for _, e := range p.entries {
		if e.Size == math.MaxInt32 || e.Size <= 0 {
			e = consumequeue.Entry{}
		}
		dst = append(dst, Entry{e.Offset, e.Size, e.Tags})
	}
	return dst, nil
}

// StoreTimeAt returns the store timestamp (ms) of the record of q at offset.
// ErrNotFound when the queue has no such entry or its record is gone.
func (s *Store) StoreTimeAt(q *Queue, offset int64) (int64, error) {
	if s.ended.Load() {
		return 0, ErrClosed
	}
	if offset < q.Min() || offset >= q.Max() {
		return 0, ErrNotFound
	}
	var buf [1]consumequeue.Entry
	entries, err := q.cq.Read(buf[:0], offset, 1)
	if err != nil {
		return 0, err
	}
	if len(entries) == 0 || entries[0].Size == math.MaxInt32 || entries[0].Size <= 0 {
		return 0, ErrNotFound
	}
	_, ts, err := s.log.Head(entries[0].Offset)
	return ts, err
}

// EarliestTime returns the store timestamp (ms) of the first record of the log,
// or -1 as long as the first file holds less than twice maxMessageSize, as
// RocketMQ answers.
func (s *Store) EarliestTime() int64 {
	start := s.log.Min()
	if min(s.log.End(), start+s.cfg.CommitLogFileSize)-start < 2*int64(s.cfg.MaxMessageSize) {
		return -1
	}
	_, ts, err := s.log.Head(start)
	if err != nil {
		return -1
	}
	return ts
}

// OffsetByTime returns the offset of the entry of q whose store timestamp is
// nearest to ts (ms): the first entry for earlier times, the last one (not Max)
// for later ones, the earlier one of two equally near. Of entries with the same
// timestamp it is the first. 0 for an empty queue. Store timestamps rise along a
// queue, so this is a binary search that reads the log about log2(entries)
// times.
func (s *Store) OffsetByTime(q *Queue, ts int64) int64 {
	low, high := q.Min(), q.Max()
	// The first entry in [low, high) that is not older than ts.
	first := low
	for l, h := low, high; l < h; {
		mid := l + (h-l)/2
		at, t, ok := s.timeFrom(q, mid, h)
		if !ok { // nothing known in [mid, h)
			h = mid
			continue
		}
		if t < ts {
			l = at + 1
			first = l
		} else {
			h = mid
			first = at
		}
	}
	after, t, ok := s.timeFrom(q, first, high)
	before, tBefore, okBefore := s.timeBefore(q, first, low)
	switch {
	case ok && okBefore:
		if ts-tBefore <= t-ts {
			return s.firstOf(q, tBefore, before, low)
		}
		return after
	case ok:
		return after
	case okBefore:
		return before // the last one, whatever shares its time
	}
	return low
}

// firstOf returns the first entry with the time t that the entry at offset has.
func (s *Store) firstOf(q *Queue, t, offset, low int64) int64 {
	for {
		before, tBefore, ok := s.timeBefore(q, offset, low)
		if !ok || tBefore != t {
			return offset
		}
		offset = before
	}
}

// timeFrom returns the first entry in [from, to) whose record is there.
func (s *Store) timeFrom(q *Queue, from, to int64) (at, ts int64, ok bool) {
	for at = from; at < to; at++ {
		if ts, err := s.StoreTimeAt(q, at); err == nil {
			return at, ts, true
		} else if !errors.Is(err, ErrNotFound) {
			return 0, 0, false
		}
	}
	return 0, 0, false
}

// timeBefore returns the last entry in [low, to) whose record is there.
func (s *Store) timeBefore(q *Queue, to, low int64) (at, ts int64, ok bool) {
	for at = to - 1; at >= low; at-- {
		if ts, err := s.StoreTimeAt(q, at); err == nil {
			return at, ts, true
		} else if !errors.Is(err, ErrNotFound) {
			return 0, 0, false
		}
	}
	return 0, 0, false
}

// QueryResult is the answer of Query. Records and Release are as in GetResult.
type QueryResult struct {
	Records       [][]byte
	Offsets       []int64 // of the records, in the log, ascending
	Bytes         int
	LastTimestamp int64 // store timestamp (ms) of the newest record in the index
	LastPhysical  int64 // and its log offset
	Release       func()
}

// Query returns up to max records that have key as their unique key or among
// their keys and were stored between begin and end (ms, both included), from the
// newest back, in log order. As in RocketMQ keys are compared by hash, so the
// caller gets a stranger now and then. Nothing found is no error.
func (s *Store) Query(topic, key string, max int, begin, end int64) (QueryResult, error) {
	r := QueryResult{Release: nothing}
	if s.ended.Load() {
		return r, ErrClosed
	}
	if err := s.WaitDispatched(s.Dispatched()); err != nil && !errors.Is(err, ErrReadOnly) {
		return r, err
	}
	offsets, lastTS, lastPhysical, err := s.index.Query(topic, key, max, begin, end)
	if err != nil {
		return r, err
	}
	if len(offsets) == 0 {
		return r, nil
	}
	r.LastTimestamp, r.LastPhysical = lastTS, lastPhysical
	p := getPull()
	for _, offset := range offsets {
		size, _, err := s.log.Head(offset)
		if errors.Is(err, ErrNotFound) {
			continue // deleted, or damaged
		}
		var b []byte
		var ref commitlog.Ref
		if err == nil {
			b, ref, err = s.log.View(offset, int(size))
		}
		if err != nil {
			p.free()
			return QueryResult{Release: nothing}, err
		}
		p.refs = append(p.refs, ref)
		p.records = append(p.records, b)
		r.Offsets = append(r.Offsets, offset)
		r.Bytes += int(size)
	}
	r.Records, r.Release = p.records, p.release
	return r, nil
}
