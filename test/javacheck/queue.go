// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package javacheck

import "fmt"

// status is how a pull ended, as far as the loop looks at it.
type status uint8

const (
	found   status = iota
	nothing        // NO_NEW_MSG
	illegal        // OFFSET_ILLEGAL
)

type pulled struct {
	status status
	found  []*record // nil unless found
	next   int64
}

// queue is queue 0 of a topic: records by queue offset, nil where the log has
// none (the queue then has a blank entry).
type queue struct {
	min      int64
	records  []*record
	fileSize int64 // of the log
}

// newQueue takes the records of a topic. Where two have one queue offset, the
// later one counts, as it is dispatched last.
func newQueue(topic string, all []*record, fileSize int64) (*queue, error) {
	q := &queue{fileSize: fileSize}
	for _, r := range all {
		if r.topic != topic || r.committed {
			continue
		}
		if len(q.records) == 0 {
			q.min = r.queueOffset
		}
		if r.queueOffset < q.min {
			return nil, fmt.Errorf("javacheck: %s: queue offset %d at log offset %d lies below the first, %d", topic, r.queueOffset, r.physical, q.min)
		}
		if gap := r.queueOffset - q.max(); gap > 1<<20 {
			return nil, fmt.Errorf("javacheck: %s: queue offset %d at log offset %d leaves a gap of %d", topic, r.queueOffset, r.physical, gap)
		}
		for q.max() <= r.queueOffset {
			q.records = append(q.records, nil)
		}
		q.records[r.queueOffset-q.min] = r
	}
	return q, nil
}

// max is the next queue offset.
func (q *queue) max() int64 { return q.min + int64(len(q.records)) }

// at is the record at a queue offset, nil when there is none.
func (q *queue) at(offset int64) *record {
	if offset < q.min || offset >= q.max() {
		return nil
	}
	return q.records[offset-q.min]
}

// pull is getMessage without a filter. Behind a blank entry, which says log offset
// 0, it goes on with what lies in the next log file or later.
func (q *queue) pull(from int64, n int) pulled {
	switch {
	case len(q.records) == 0:
		return pulled{status: nothing, next: 0}
	case from < q.min:
		return pulled{status: illegal, next: q.min}
	case from == q.max():
		return pulled{status: nothing, next: from}
	case from > q.max():
		return pulled{status: illegal, next: q.max()}
	}
	p := pulled{status: illegal, next: from}
	least := int64(-1) // log offset
	for ; p.next < q.max() && len(p.found) < n; p.next++ {
		r := q.records[p.next-q.min]
		switch {
		case r == nil:
			least = q.fileSize
		case r.physical >= least:
			p.found, p.status, least = append(p.found, r), found, -1
		}
	}
	return p
}
