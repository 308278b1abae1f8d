// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package fsck

import (
	"fmt"

	"github.com/twostage/twostage/internal/store/consumequeue"
	"github.com/twostage/twostage/internal/store/segment"
)

// eachEntry calls fn for the entries from..to-1 that are in files and hold
// anything but zeros. Holes are not read.
func (v *verifier) eachEntry(q *queueCheck, from, to int64, fn func(index int64, e consumequeue.Entry, path string, at int64)) error {
	buf := make([]byte, pageSize)
	for _, f := range q.dir.files {
		first := f.start / entrySize
		end := min(to, first+min(f.size, v.d.queueSize)/entrySize)
		path := ""
		for i := max(from, first); i < end; {
			if path == "" {
				path = segment.Join(q.dir.path, f.start)
			}
			at, err := v.d.files.nextData(path, i*entrySize-f.start)
			if err != nil {
				return err
			}
			if i = max(i, (f.start+at)/entrySize); i >= end {
				break
			}
			at = i*entrySize - f.start
			n, err := v.d.files.readAt(path, buf[:min(pageSize, (end-i)*entrySize)], at)
			if err != nil {
				return err
			}
			if n < entrySize {
				break // it was made shorter meanwhile
			}
			for b := buf[:n-n%entrySize]; len(b) > 0; b = b[entrySize:] {
				if e := consumequeue.DecodeEntry(b); e != (consumequeue.Entry{}) {
					fn(i, e, path, at)
				}
				i, at = i+1, at+entrySize
			}
			if v.ctx.Err() != nil {
				return v.ctx.Err()
			}
		}
	}
	return nil
}

// gap looks at the entries from..to-1, for which the log has no record.
func (v *verifier) gap(q *queueCheck, from, to int64) error {
	next := from // the first that was not looked at
	hole := func(end int64) {
		if v.d.queueSize > 0 && next < end && next >= q.dir.first() {
			v.hole(q, next, end)
		}
	}
	err := v.eachEntry(q, from, to, func(i int64, e consumequeue.Entry, path string, at int64) {
		hole(i)
		next = i + 1
		if !e.Padding() {
			v.foreign(i, e, path, at)
		}
	})
	hole(to)
	return err
}

// hole says that entries between others are zeros, which end a queue.
func (v *verifier) hole(q *queueCheck, from, to int64) {
	path, at := v.at(q, from)
	f := q.dir.file(segment.Start(from*entrySize, v.d.queueSize))
	if f == nil || at >= f.size-f.size%entrySize {
		return // that the file is missing or short is a finding already
	}
	level := Damage
	if v.d.aborted && (q.next < 0 || q.end >= v.remade) {
		level = Behind
	}
	v.out.add(Finding{Level: level, Kind: KindQueue, File: path, Offset: at, Length: (to - from) * entrySize,
		Text: fmt.Sprintf("entries %d to %d hold nothing, but entries follow", from, to-1)})
}

// foreign looks at an entry that no record of the log is for.
func (v *verifier) foreign(index int64, e consumequeue.Entry, path string, at int64) {
	f := Finding{Level: Damage, Kind: KindQueue, File: path, Offset: at, Length: entrySize}
	switch {
	case !e.Valid():
		if v.d.aborted {
			f.Level = Behind
		}
		f.Text = fmt.Sprintf("entry %d says offset %d and size %d", index, e.Offset, e.Size)
	case e.Offset < v.min:
		return // the log had it
	case v.lost.has(e.Offset):
		v.r.Orphans++
		return
	default:
		f.Level = v.level(e.Offset)
		f.Text = fmt.Sprintf("entry %d says that a record of its queue stands at log offset %d; none with that queue offset does", index, e.Offset)
	}
	v.out.add(f)
}

// finishQueue looks at what a queue has behind its last record.
func (v *verifier) finishQueue(q *queueCheck) error {
	if q.dir == nil {
		v.noQueue(q)
		return nil
	}
	if v.d.queueSize == 0 {
		if q.lacks > 0 {
			v.noQueue(q)
		}
		return nil
	}
	v.reportMissing(q)
	for _, l := range q.later {
		v.out.add(l.f)
	}
	if v.d.queueSize == 0 {
		return nil
	}
	from := q.next
	if from < 0 {
		from = q.dir.first()
	}
	next, ended := from, false
	return v.eachEntry(q, from, 1<<62, func(i int64, e consumequeue.Entry, path string, at int64) {
		if i > next && !ended && !v.inNoFile(q, next, i) {
			ended = true
			level := Damage
			if v.d.aborted {
				level = Behind
			}
			v.out.add(Finding{Level: level, Kind: KindQueue, File: path, Offset: at, Length: entrySize,
				Text: fmt.Sprintf("entry %d stands behind the end of the queue, which is at %d", i, next)})
		}
		next = i + 1
		switch {
		case ended, e.Padding():
		case e.Valid() && e.Offset >= v.r.End:
			v.beyond.add(e.Offset, path, at)
		default:
			v.foreign(i, e, path, at)
		}
	})
}

// inNoFile tells that the entries from..to-1 are in no file.
func (v *verifier) inNoFile(q *queueCheck, from, to int64) bool {
	for _, f := range q.dir.files {
		if first := f.start / entrySize; first < to && first+v.d.queueSize/entrySize > from {
			return false
		}
	}
	return true
}

// noQueue reports a queue that has records and no directory.
func (v *verifier) noQueue(q *queueCheck) {
	f := Finding{Level: v.level(q.first), Kind: KindQueue, File: fmt.Sprintf("%s/consumequeue/%s/%d", v.d.o.Dir, q.topic, q.id), Offset: -1}
	f.Text = fmt.Sprintf("the queue is missing, the log has %d records of it, the first at %d", q.lacks, q.first)
	if _, known := v.d.topics[q.topic]; !known && v.d.topics != nil && f.Level == Damage {
		f.Level = Note
		f.Text += "; the broker does not know the topic, which may have been deleted"
	}
	v.out.add(f)
}
