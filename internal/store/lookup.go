// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"math"
	"sync"

	"github.com/twostage/twostage/internal/store/commitlog"
	"github.com/twostage/twostage/internal/store/consumequeue"
	"github.com/twostage/twostage/message"
)

// ErrNotFound: there is no record, or no entry, at that offset.
var ErrNotFound = commitlog.ErrNotFound

var records = sync.Pool{New: func() any { return new([]byte) }}

// Record returns a copy of the record at a log offset, valid until release,
// which is called once. ErrNotFound when no record stands there: magic, position
// and size are checked, whatever the offset, so it may come from a stranger.
// ErrDamaged, which is ErrNotFound too, when it does not match its CRC and
// Config.CheckReads wants to know; ErrUnreadable when the disk does not give it.
func (s *Store) Record(physicalOffset int64) (rec []byte, release func(), err error) {
	if s.ended.Load() {
		return nil, nothing, ErrClosed
	}
	b := records.Get().(*[]byte)
	rec, err = s.log.ReadRecord((*b)[:0], physicalOffset)
	if err != nil {
		err = s.readError(physicalOffset, err)
	} else if s.reads.bad.readable(physicalOffset); s.checks(physicalOffset, s.log.End()) {
		var r message.Record
		if _, e := message.DecodeRecord(rec, &r, true); e != nil {
			err = s.damaged(physicalOffset, e)
		}
	}
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
	if errors.Is(err, consumequeue.ErrBelowMin) {
		return 0, ErrNotFound // deleted meanwhile
	}
	if err != nil {
		return 0, err
	}
	if len(entries) == 0 || entries[0].Size == math.MaxInt32 || entries[0].Size <= 0 {
		return 0, ErrNotFound
	}
	_, ts, err := s.log.Head(entries[0].Offset)
	if err != nil {
		return 0, s.readError(entries[0].Offset, err)
	}
	return ts, nil
}

// EarliestTime returns the store timestamp (ms) of the first record of the log, or -1
// when there is none. RocketMQ answers -1 as long as the first file holds less than
// twice maxMessageSize.
func (s *Store) EarliestTime() int64 {
	start := s.log.Min()
	if s.log.End() <= start {
		return -1
	}
	_, ts, err := s.log.Head(start)
	if err != nil {
		return -1
	}
	return ts
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
	if err := s.WaitDispatched(s.Dispatched()); err != nil && !errors.Is(err, ErrReadOnly) && !errors.Is(err, ErrNoSpace) {
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
	logEnd := s.log.End()
	for _, offset := range offsets {
		b, ref, err := s.indexed(p, offset, logEnd)
		if errors.Is(err, ErrNotFound) || errors.Is(err, ErrUnreadable) {
			continue // deleted, or damaged: see Config.CheckReads
		}
		if err != nil {
			p.free()
			return QueryResult{Release: nothing}, err
		}
		p.refs = append(p.refs, ref)
		p.records = append(p.records, b)
		r.Offsets = append(r.Offsets, offset)
		r.Bytes += len(b)
	}
	r.Records, r.Release = p.records, p.release
	return r, nil
}

// indexed returns the record at a log offset that the index names, checked if
// the policy wants it.
func (s *Store) indexed(p *pull, offset, end int64) ([]byte, commitlog.Ref, error) {
	size, _, err := s.log.Head(offset)
	if err != nil {
		return nil, commitlog.Ref{}, s.readError(offset, err)
	}
	if err := s.verify(&p.window, offset, int(size), end, nil, 0); err != nil {
		return nil, commitlog.Ref{}, err
	}
	return s.log.View(offset, int(size))
}
