// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"math"
	"runtime/debug"
)

// Filter decides which records Get gives. The zero value takes all.
//
// Tags sees every queue entry and Record the records of those it took, in the
// order of the queue; both run inside Get and keep nothing of what they see. A
// Record that reads a page which the disk does not give ends Get with an error:
// it need not guard against that.
type Filter struct {
	// Tags sees the tags code of the queue entry; nil takes all.
	Tags func(tagsCode int64) bool
	// Record sees the stored record, a part of the mapped log; nil takes all.
	Record func(rec []byte) bool
	// Weight is how much longer Record takes for a record than one comparison
	// would: one Get turns down so many times fewer bytes. 0 is 1.
	Weight int
}

const (
	readEntries = 32  // queue entries read at once
	maxScan     = 800 // entries looked at for one Get, at least, as in RocketMQ: 16000 bytes of them

	// A filter that passes one message in a hundred fills a pull of 32 within so
	// many entries, which are 80 KB of queue,
	filteredScan = 4096
	// and one Get touches no more of the log than this for records that it does
	// not give: Get may run on the reader of a connection, and such records are
	// read from the disk when they are old.
	filteredBytes = 4 << 20
)

// bounds says how many queue entries one Get looks at, and how many bytes of
// records it may turn down.
func (f *Filter) bounds(maxCount int) (entries, bytes int64) {
	if f.Tags == nil && f.Record == nil {
		return max(maxScan, int64(maxCount)), math.MaxInt64
	}
	return max(filteredScan, int64(maxCount)), filteredBytes / int64(max(f.Weight, 1))
}

// getGuarded is get with a filter that reads records: a disk that fails to give
// a page of the mapped log is an error then, not the end of the process. The next
// Get checks what it reads and passes over what can't be read.
func (s *Store) getGuarded(p *pull, r *GetResult, q *Queue, from int64, maxCount, maxBytes int, f Filter) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		e := recover()
		if e == nil {
			return
		}
		fault, ok := e.(interface{ Addr() uintptr })
		if !ok {
			panic(e)
		}
		s.CheckAllReads()
		at := from
		if n := len(p.offsets); n > 0 { // the record that was taken to be looked at
			at = p.offsets[n-1]
			p.untake(r)
			if r.NextOffset = at; n > 1 { // the next Get tells
				return
			}
		}
		err = fmt.Errorf("store: queue %d of %q at %d: the disk gave no data for a stored message (address %#x)", q.id, q.topic, at, fault.Addr())
	}()
	return s.get(p, r, q, from, maxCount, maxBytes, f)
}

// untake takes the last record out of the result again.
func (p *pull) untake(r *GetResult) {
	last := len(p.records) - 1
	r.Bytes -= len(p.records[last])
	p.records[last] = nil
	p.records, p.offsets = p.records[:last], p.offsets[:last]
}
