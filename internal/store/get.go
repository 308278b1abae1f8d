// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/twostage/twostage/internal/store/commitlog"
	"github.com/twostage/twostage/internal/store/consumequeue"
)

// Status says what Get found. The names are RocketMQ's (GetMessageStatus).
type Status uint8

// The statuses, with the next offset they come with.
const (
	NoMessageInQueue    Status = iota // the queue has never had an entry: 0
	Found                             // behind the last entry that was looked at
	NoMatched                         // entries, none that match: behind the last one looked at
	MessageWasRemoving                // the entries' records are gone: behind the last one looked at
	OffsetFoundNull                   // the entries cannot be read: start of the next queue file
	OffsetOverflowBadly               // asked for beyond the end: the end
	OffsetOverflowOne                 // asked for exactly the end: the same
	OffsetTooSmall                    // asked for before the first: the first
)

var statusNames = [...]string{"NO_MESSAGE_IN_QUEUE", "FOUND", "NO_MATCHED_MESSAGE", "MESSAGE_WAS_REMOVING",
	"OFFSET_FOUND_NULL", "OFFSET_OVERFLOW_BADLY", "OFFSET_OVERFLOW_ONE", "OFFSET_TOO_SMALL"}

// String is RocketMQ's name of the status.
func (s Status) String() string {
	if int(s) < len(statusNames) {
		return statusNames[s]
	}
	return fmt.Sprintf("Status(%d)", uint8(s))
}

// GetResult is the answer of Get.
type GetResult struct {
	Status     Status
	NextOffset int64 // where to go on in the queue
	Min, Max   int64 // of the queue
	Records    [][]byte
	// QueueOffsets are those of Records, one each.
	QueueOffsets []int64
	Bytes        int   // of all records
	Behind       int64 // bytes from the last record looked at to the end of the log

	// Release, never nil, gives Records and QueueOffsets back. It is called once;
	// afterwards neither the slices nor the records may be used.
	Release func()
}

// pull is the memory behind a GetResult. It goes round in a pool.
type pull struct {
	records [][]byte
	offsets []int64
	refs    []commitlog.Ref
	entries []consumequeue.Entry
	window  window
	release func()
}

var pulls sync.Pool

func getPull() *pull {
	if p, ok := pulls.Get().(*pull); ok {
		return p
	}
	p := new(pull)
	p.release = p.free
	return p
}

func (p *pull) free() {
	for _, ref := range p.refs {
		ref.Release()
	}
	clear(p.refs)
	clear(p.records)
	p.refs, p.records, p.offsets = p.refs[:0], p.records[:0], p.offsets[:0]
	p.window.drop() // the next one may be another store's
	pulls.Put(p)
}

func nothing() {}

// Get returns up to maxCount records of queue q from offset from on, whole
// records of up to maxBytes together but at least one, of those that f takes.
// Records are parts of the mapped log, meant for writev: code that reads them
// faults when the disk does, so use Record, or Filter.Record, for that. Statuses,
// next offsets and limits are those of RocketMQ's getMessage, but that one with a
// filter looks further; Config.ColdDistance adds its limits for old records.
// Records that Config.CheckReads finds damaged are passed over, as those that are
// gone are. An error means that the queue could not be read, or the first record
// (see ErrUnreadable), or ErrClosed. It does not allocate when warm.
func (s *Store) Get(q *Queue, from int64, maxCount, maxBytes int, f Filter) (GetResult, error) {
	r := GetResult{NextOffset: from, Min: q.Min(), Max: q.Max(), Release: nothing}
	switch {
	case s.ended.Load():
		return r, ErrClosed
	case r.Max == 0:
		r.Status, r.NextOffset = NoMessageInQueue, 0
		return r, nil
	case from < r.Min:
		r.Status, r.NextOffset = OffsetTooSmall, r.Min
		return r, nil
	case from == r.Max:
		r.Status = OffsetOverflowOne
		return r, nil
	case from > r.Max:
		r.Status, r.NextOffset = OffsetOverflowBadly, r.Max
		return r, nil
	}
	p := getPull()
	var err error
	if f.Record == nil {
		err = s.get(p, &r, q, from, maxCount, maxBytes, f)
	} else {
		err = s.getGuarded(p, &r, q, from, maxCount, maxBytes, f)
	}
	if err != nil || len(p.records) == 0 {
		p.release()
		return r, err
	}
	r.Records, r.QueueOffsets, r.Release = p.records, p.offsets, p.release
	return r, nil
}

func (s *Store) get(p *pull, r *GetResult, q *Queue, from int64, maxCount, maxBytes int, f Filter) error {
	r.Status = NoMatched
	end := s.log.End()
	scan, look := f.bounds(maxCount)
	skipBelow := int64(math.MinInt64) // entries whose log file is known to be gone
	next := from
	for next < r.Max && next-from < scan {
		n := int(min(readEntries, r.Max-next, scan-(next-from)))
		var err error
		p.entries, err = q.cq.Read(p.entries[:0], next, n)
		if errors.Is(err, consumequeue.ErrBelowMin) { // deleted meanwhile
			if r.NextOffset = next; len(p.records) == 0 {
				r.Min = q.Min()
				r.Status, r.NextOffset = OffsetTooSmall, r.Min
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("store: queue %d of %q at %d (if this stays so: stop the broker and have the queues built again with \"twostage store rebuild\"): %w", q.id, q.topic, next, err)
		}
		if len(p.entries) == 0 {
			if next == from {
				perFile := s.cfg.ConsumeQueueFileSize / entrySize
				r.Status, r.NextOffset = OffsetFoundNull, min(from-from%perFile+perFile, r.Max)
				return nil
			}
			break
		}
		for _, e := range p.entries {
			r.Behind = end - e.Offset
			if e.Size == math.MaxInt32 || e.Size <= 0 || e.Offset < skipBelow { // padding, or gone
				next++
				continue
			}
			if s.full(p, r, e, end, maxCount, maxBytes) {
				r.NextOffset = next
				return nil
			}
			next++
			if f.Tags != nil && !f.Tags(e.Tags) {
				continue
			}
			err := s.verify(&p.window, e.Offset, int(e.Size), end, q, next-1)
			if err == nil {
				err = s.take(p, r, e, next-1)
			}
			switch {
			case err == nil && f.Record != nil && !f.Record(p.records[len(p.records)-1]):
				p.untake(r)
				if look -= int64(e.Size); look <= 0 {
					r.NextOffset = next
					return nil
				}
			case err == nil:
				r.Status = Found
			case errors.Is(err, ErrNotFound): // gone, or damaged
				if len(p.records) == 0 {
					r.Status = MessageWasRemoving
				}
				skipBelow = s.log.Min()
			case len(p.records) > 0: // the next Get tells
				r.NextOffset = next - 1
				return nil
			default:
				return fmt.Errorf("store: queue %d of %q at %d: %w", q.id, q.topic, next-1, err)
			}
		}
	}
	r.NextOffset = next
	return nil
}

// full tells whether the record of e has no place behind those that are there.
func (s *Store) full(p *pull, r *GetResult, e consumequeue.Entry, end int64, maxCount, maxBytes int) bool {
	if len(p.records) == 0 {
		return false
	}
	if s.cfg.ColdDistance > 0 && end-e.Offset > s.cfg.ColdDistance {
		maxCount, maxBytes = min(maxCount, s.cfg.ColdCount), min(maxBytes, s.cfg.ColdBytes)
	}
	return len(p.records) >= maxCount || r.Bytes+int(e.Size) > maxBytes
}

// take adds the record of e, at a queue offset, to the result.
func (s *Store) take(p *pull, r *GetResult, e consumequeue.Entry, at int64) error {
	size := int(e.Size)
	if n := len(p.refs); n > 0 && p.refs[n-1].Covers(e.Offset, size) && e.Offset+int64(size) <= s.log.End() {
		p.records = append(p.records, p.refs[n-1].View(e.Offset, size))
		p.offsets = append(p.offsets, at)
		r.Bytes += size
		return nil
	}
	b, ref, err := s.log.View(e.Offset, size)
	if err != nil {
		return err
	}
	p.refs = append(p.refs, ref)
	p.records = append(p.records, b)
	p.offsets = append(p.offsets, at)
	r.Bytes += size
	return nil
}
