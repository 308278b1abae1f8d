// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package fsck

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/twostage/twostage/internal/store/consumequeue"
	"github.com/twostage/twostage/internal/store/segment"
	"github.com/twostage/twostage/message"
)

const entrySize = consumequeue.EntrySize

// queueCheck is how far a queue has been compared.
type queueCheck struct {
	topic string
	id    int32
	dir   *queueDir // nil: there is none
	next  int64     // the entry behind that of the last record; -1: no record yet
	end   int64     // log offset behind the last record

	// Entries from..to-1 are missing, of one file and level.
	missing struct {
		from, to, physical int64
		level              Level
	}
	lacks int64 // records, when dir is nil
	first int64 // log offset of the first of them

	// What was found of entries that are missing or of later records: nothing, if
	// the topic was deleted and made again by a broker that keeps no note of it.
	later []laterEntry
}

type laterEntry struct {
	index int64
	f     Finding
}

func (v *verifier) addQueue(topic string, id int32, dir *queueDir) *queueCheck {
	q := &queueCheck{topic: topic, id: id, dir: dir, next: -1}
	ids := v.queues[topic]
	if ids == nil {
		ids = make(map[int32]*queueCheck)
		v.queues[topic] = ids
	}
	ids[id] = q
	v.list = append(v.list, q)
	return q
}

// entry returns an entry of a queue; ok is false when no file has it.
func (v *verifier) entry(q *queueCheck, index int64) (e consumequeue.Entry, ok bool, err error) {
	if q.dir == nil || v.d.queueSize == 0 || index > math.MaxInt64/entrySize {
		return e, false, nil
	}
	pos := index * entrySize
	start := segment.Start(pos, v.d.queueSize)
	f := q.dir.file(start)
	if f == nil {
		return e, false, nil
	}
	at := pos - start
	first := at - at%pageSize
	b, err := v.d.files.page(q.dir.order, segment.Join(q.dir.path, start), start, first)
	if err != nil || at-first+entrySize > int64(len(b)) {
		return e, false, err
	}
	return consumequeue.DecodeEntry(b[at-first:]), true, nil
}

// at is where an entry stands.
func (v *verifier) at(q *queueCheck, index int64) (path string, offset int64) {
	start := segment.Start(index*entrySize, v.d.queueSize)
	return segment.Join(q.dir.path, start), index*entrySize - start
}

// queueRecord compares a record with its entry. why says that it cannot be right.
func (v *verifier) queueRecord(rec *message.Record) (why string, err error) {
	if !possible(rec.Topic) {
		path, at := v.d.place(rec.PhysicalOffset)
		v.out.add(Finding{Level: Note, Kind: KindRecord, File: path, Offset: at,
			Text: fmt.Sprintf("the record at log offset %d is of topic %q, which can have no queues", rec.PhysicalOffset, rec.Topic)})
		return "", nil
	}
	q := v.queues[string(rec.Topic)][rec.QueueID]
	if q == nil {
		if v.unknown++; v.unknown > maxUnknown {
			return "", fmt.Errorf("the log has records of more than %d queues without a directory: the queues have to be built again (rebuild)", maxUnknown)
		}
		q = v.addQueue(string(rec.Topic), rec.QueueID, nil)
	}
	if q.dir == nil {
		if q.lacks == 0 {
			q.first = rec.PhysicalOffset
		}
		q.lacks++
		return "", nil
	}
	index := rec.QueueOffset
	e, ok, err := v.entry(q, index)
	if err != nil {
		return "", err
	}
	matches := ok && e.Offset == rec.PhysicalOffset && e.Size == rec.Size
	switch {
	case q.next < 0:
		if !matches && index > q.dir.first() {
			if other, err := v.knownAs(q, q.dir.first(), rec); other >= 0 || err != nil {
				return wrongOffset(index, other), err
			}
		}
		if gap := index - foreignGap; gap > rec.PhysicalOffset/message.MinRecordSize && !matches {
			return fmt.Sprintf("queue offset %d is more than the log has had records for", index), nil
		}
		err = v.gap(q, q.dir.first(), index)
	case index > q.next:
		if !matches {
			if other, err := v.knownAs(q, q.next, rec); other >= 0 || err != nil {
				return wrongOffset(index, other), err
			}
			if room := rec.PhysicalOffset - q.end; index-q.next > room/message.MinRecordSize {
				return fmt.Sprintf("queue offset %d, the next of the queue is %d and the log has no room for the records between", index, q.next), nil
			}
		}
		err = v.gap(q, q.next, index)
	case index < q.next:
		if !matches {
			other, err := v.knownAs(q, q.next, rec)
			if other >= 0 || err != nil {
				return wrongOffset(index, other), err
			}
			return fmt.Sprintf("queue offset %d, the record before it in queue %d of %s has %d", index, q.id, q.topic, q.next-1), nil
		}
		q.restart(index)
	}
	if err != nil {
		return "", err
	}
	q.next, q.end = index+1, rec.PhysicalOffset+int64(rec.Size)
	v.compare(q, rec, e, ok)
	return "", nil
}

// knownAs is the index of the first entry from index on that is not padding, if it
// is of rec; else -1.
func (v *verifier) knownAs(q *queueCheck, index int64, rec *message.Record) (int64, error) {
	for range 2 * pageSize / entrySize {
		e, ok, err := v.entry(q, index)
		if err != nil || !ok {
			return -1, err
		}
		if !e.Padding() {
			if e.Offset == rec.PhysicalOffset && e.Size == rec.Size {
				return index, nil
			}
			return -1, nil
		}
		index++
	}
	return -1, nil
}

func wrongOffset(index, known int64) string {
	if known < 0 {
		return ""
	}
	return fmt.Sprintf("the record says queue offset %d, its queue has it at %d", index, known)
}

// compare compares a record with the entry in its place.
func (v *verifier) compare(q *queueCheck, rec *message.Record, e consumequeue.Entry, ok bool) {
	index := rec.QueueOffset
	if !ok || e == (consumequeue.Entry{}) {
		v.miss(q, index, rec.PhysicalOffset)
		return
	}
	path, at := v.at(q, index)
	f := Finding{Level: v.level(rec.PhysicalOffset), Kind: KindQueue, File: path, Offset: at, Length: entrySize}
	switch {
	case e.Offset == rec.PhysicalOffset && e.Size == rec.Size:
		if level, text := v.tags(rec, e.Tags); text != "" {
			if level == Damage {
				level = f.Level
			}
			f.Level, f.Text = level, fmt.Sprintf("entry %d, of the record at log offset %d, %s", index, rec.PhysicalOffset, text)
			v.out.add(f)
		}
		v.r.QueueEntries++
		return
	case e.Padding():
		f.Text = fmt.Sprintf("entry %d is blank, must be of the record at log offset %d", index, rec.PhysicalOffset)
	default:
		f.Text = fmt.Sprintf("entry %d says offset %d and size %d, the record stands at %d and has %d bytes", index, e.Offset, e.Size, rec.PhysicalOffset, rec.Size)
	}
	if e.Valid() && e.Offset > rec.PhysicalOffset {
		v.hold(q, index, f)
		return
	}
	v.out.add(f)
}

// hold keeps what is said of an entry until the queue has been read.
func (v *verifier) hold(q *queueCheck, index int64, f Finding) {
	if v.held++; v.held > maxHeld {
		v.out.add(f)
		return
	}
	q.later = append(q.later, laterEntry{index, f})
}

// restart is for a record that goes back in its queue and stands there: what was
// said of the entries from there on was of a deleted topic with the same name.
func (q *queueCheck) restart(index int64) {
	kept := q.later[:0]
	for _, l := range q.later {
		if l.index < index {
			kept = append(kept, l)
		}
	}
	q.later = kept
	if q.missing.from >= index {
		q.missing.from, q.missing.to = 0, 0
	}
}

// tags says what is wrong with the tags code of a record's entry.
func (v *verifier) tags(rec *message.Record, got int64) (level Level, text string) {
	if string(rec.Topic) == message.TopicSchedule {
		value, _ := rec.Property(message.PropertyDelay)
		if n, err := strconv.Atoi(string(value)); err == nil && n > 0 {
			levels := v.d.o.DelayLevels
			switch {
			case got < rec.StoreTimestamp:
				return Damage, fmt.Sprintf("says delivery at %d, before the record was stored at %d", got, rec.StoreTimestamp)
			case got > rec.StoreTimestamp+longDelay:
				return Damage, fmt.Sprintf("says delivery at %d, a hundred years after the record was stored at %d", got, rec.StoreTimestamp)
			case len(levels) > 0 && got != rec.StoreTimestamp+levels[min(n, len(levels))-1]:
				return Note, fmt.Sprintf("says delivery at %d; level %d makes that %d (was messageDelayLevel changed?)", got, n, rec.StoreTimestamp+levels[min(n, len(levels))-1])
			}
			return "", ""
		}
	}
	if want := rec.TagsCode(); got != want {
		return Damage, fmt.Sprintf("has tags code %d, must have %d", got, want)
	}
	return "", ""
}

// miss says that a record has no entry.
func (v *verifier) miss(q *queueCheck, index, physical int64) {
	if v.d.queueSize == 0 { // no queue has a file
		if q.lacks == 0 {
			q.first = physical
		}
		q.lacks++
		return
	}
	m, level := &q.missing, v.level(physical)
	if m.to > m.from && (m.to != index || m.level != level || index*entrySize%v.d.queueSize == 0) {
		v.reportMissing(q)
	}
	if m.to <= m.from {
		m.from, m.physical, m.level = index, physical, level
	}
	m.to = index + 1
}

func (v *verifier) reportMissing(q *queueCheck) {
	m := q.missing
	if m.to <= m.from {
		return
	}
	q.missing.from, q.missing.to = 0, 0
	what := fmt.Sprintf("entries %d to %d are missing, of records from log offset %d on", m.from, m.to-1, m.physical)
	if m.to == m.from+1 {
		what = fmt.Sprintf("entry %d is missing, of the record at log offset %d", m.from, m.physical)
	}
	path, at := v.at(q, m.from)
	f := Finding{Level: m.level, Kind: KindQueue, File: path, Offset: at, Length: (m.to - m.from) * entrySize, Text: what}
	files := q.dir.files
	if file := q.dir.file(m.from * entrySize / v.d.queueSize * v.d.queueSize); file == nil {
		if n := len(files); n > 0 && m.from*entrySize > files[0].start && m.from*entrySize < files[n-1].start {
			return // the missing file is a finding already
		}
		f.Kind, f.Offset, f.Length, f.Text = KindName, -1, 0, "the file is missing: "+what
	} else if at >= file.size-file.size%entrySize {
		return // so is its size
	}
	v.hold(q, m.from, f)
}

// possible tells whether a topic can be the name of a directory.
func possible(topic []byte) bool {
	s := string(topic)
	return s != "" && s[0] != '.' && len(s) <= 255 && !strings.ContainsAny(s, "/\x00")
}
