// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/twostage/twostage/internal/store/commitlog"
	"github.com/twostage/twostage/message"
)

// Appended says where a record came to stand.
type Appended struct {
	PhysicalOffset int64 // in the log
	QueueOffset    int64 // in its queue; 0 for half and rollback records
	StoreTimestamp int64 // ms since 1970
	Size           int32 // bytes
}

// Batch gathers records for one Append. One goroutine uses it at a time, over
// and over: its memory is kept.
type Batch struct {
	// Atomic asks for all records in one file and one write. Reset leaves it.
	Atomic bool
	// Durable keeps these records, and all behind them in the log, out of the
	// queues until they are on disk, as Config.SyncFlush does for all records. The
	// caller sees to it that they soon are (WhenFlushed). Reset leaves it.
	Durable bool
	// Vital records are stored even while the disk counts as full (ErrDiskFull), or
	// views wait for space (ErrNoSpace): those that let something be deleted.
	// Reset leaves it.
	Vital bool
	// Wait bounds how long Append waits to begin (ErrBusy); 0: as long as it takes.
	// Reset leaves it.
	Wait time.Duration

	buf     []byte
	items   []item
	written int
	took    time.Duration
}

// item is one record of a batch.
type item struct {
	q      *Queue
	off    int // in Batch.buf
	size   int
	props  int   // length of the properties, which are the end of the record
	tags   int64 // tags code
	delay  int64 // ms; tags code is store timestamp + delay when not negative
	queued bool  // gets a queue offset and an entry
	index  bool  // gets index entries
	crc    bool  // ends with a CRC of all of it
	at     Appended
}

// noDelay is item.delay of a record whose tags code is that of its tags.
const noDelay = -1

// maxKeptBuffer is how much memory an idle Batch keeps.
const maxKeptBuffer = 1 << 20

// Reset empties the batch.
func (b *Batch) Reset() {
	clear(b.items) // no handles kept
	b.items, b.written = b.items[:0], 0
	if b.buf = b.buf[:0]; cap(b.buf) > maxKeptBuffer {
		b.buf = nil
	}
}

// Truncate takes away all records but the first n.
func (b *Batch) Truncate(n int) {
	if n >= len(b.items) {
		return
	}
	b.buf = b.buf[:b.items[n].off]
	clear(b.items[n:])
	b.items = b.items[:n]
}

// Len is the number of records.
func (b *Batch) Len() int { return len(b.items) }

// Size is the number of bytes of the records together.
func (b *Batch) Size() int { return len(b.buf) }

// Written is how many of the records, from the first on, the last Append has
// stored: Len after success.
func (b *Batch) Written() int { return b.written }

// Took is how long the last Append took, with its wait for the log.
func (b *Batch) Took() time.Duration { return b.took }

// Result says where record i came to stand. Valid when i < Written.
func (b *Batch) Result(i int) Appended { return b.items[i].at }

// Encoded is record i as it is encoded, with its offsets and store timestamp once
// it is stored. It is valid until the batch is used again.
func (b *Batch) Encoded(i int) []byte {
	it := &b.items[i]
	return b.buf[it.off : it.off+it.size]
}

// Add encodes r behind the records that are there, as a record of queue q: it
// sets r.Topic and r.QueueID. Offsets and store timestamp of r are ignored. With
// Config.PropertyCRC the record gets a CRC of all of it.
// ErrTooLarge, or an error of message.Record.Check, leaves the batch as it was.
// r's slices are copied.
func (b *Batch) Add(q *Queue, r *message.Record) error {
	r.Topic, r.QueueID = q.raw, q.id
	crc := q.store.cfg.PropertyCRC
	size, err := message.EncodedSize(r), r.Check()
	props := len(r.Properties)
	if crc {
		whole := message.EncodedSizeCRC(r)
		props += whole - size
		size, err = whole, r.CheckCRC()
	}
	if err := errors.Join(q.check(), err); err != nil {
		return err
	}
	if err := q.store.checkSize(len(r.Body), size); err != nil {
		return err
	}
	off := len(b.buf)
	if crc {
		b.buf = message.AppendRecordCRC(b.buf, r)
	} else {
		b.buf = message.AppendRecord(b.buf, r)
	}
	b.add(q, off, r, props, crc || r.HasCRC())
	return nil
}

// AddEncoded copies an encoded record behind the records that are there, as a
// record of queue q, whose topic and id it must have. Its offsets and store
// timestamp will be overwritten in the copy. On error the batch is as it was.
func (b *Batch) AddEncoded(q *Queue, rec []byte) error {
	var r message.Record
	n, err := message.DecodeRecord(rec, &r, false)
	switch {
	case err != nil:
		return err
	case n != len(rec):
		return fmt.Errorf("store: %d bytes follow the encoded record", len(rec)-n)
	case string(r.Topic) != q.topic || r.QueueID != q.id:
		return fmt.Errorf("store: the encoded record is for queue %d of %q, not %d of %q", r.QueueID, r.Topic, q.id, q.topic)
	}
	if err := errors.Join(q.check(), q.store.checkSize(len(r.Body), n)); err != nil {
		return err
	}
	off := len(b.buf)
	b.buf = append(b.buf, rec...)
	b.add(q, off, &r, len(r.Properties), r.HasCRC())
	return nil
}

// add notes the record at off, which has so many bytes of properties.
func (b *Batch) add(q *Queue, off int, r *message.Record, props int, crc bool) {
	it := item{q: q, off: off, size: len(b.buf) - off, props: props, crc: crc}
	it.queued, it.index = views(r.SysFlag)
	it.tags, it.delay = q.store.tagsCode(r)
	b.items = append(b.items, it)
}

func (q *Queue) check() error {
	if !possible(q.topic, q.id) {
		return fmt.Errorf("store: there can be no queue %d of topic %q", q.id, q.topic)
	}
	return nil
}

// SetMaxMessageSize makes Config.MaxMessageSize another one, for batches to come. It is
// an error for a size that no record can have.
func (s *Store) SetMaxMessageSize(n int) error {
	if n < 1 || int64(n) > commitlog.MaxRecordSize-recordOverhead {
		return fmt.Errorf("store: MaxMessageSize is %d, 1 to %d is possible", n, commitlog.MaxRecordSize-recordOverhead)
	}
	s.maxMessage.Store(int64(n))
	return nil
}

func (s *Store) checkSize(body, record int) error {
	switch most := int(s.maxMessage.Load()); {
	case body > most:
		return fmt.Errorf("%w: a body of %d bytes, the limit is %d (maxMessageSize)", ErrTooLarge, body, most)
	case record > most+recordOverhead:
		return fmt.Errorf("%w: a record of %d bytes, the limit is %d", ErrTooLarge, record, most+recordOverhead)
	case int64(record) > s.log.MaxSize():
		return fmt.Errorf("%w: a record of %d bytes does not fit into a log file of %d", ErrTooLarge, record, s.cfg.CommitLogFileSize)
	}
	return nil
}

// ErrTooLarge: a record is larger than the configuration or a file allows.
var ErrTooLarge = errors.New("store: message too large")

// views tells which views a record with this flag is in: half (PREPARED) and
// rollback records have no queue entry, rollback records are not indexed.
func views(f message.SysFlag) (queue, index bool) {
	switch f.Transaction() {
	case message.TransactionPrepared:
		return false, true
	case message.TransactionRollback:
		return false, false
	}
	return true, true
}

// tagsCode returns the tags code of a record's queue entry, or the delay that
// makes one out of its store timestamp: records of SCHEDULE_TOPIC_XXXX have the
// time of their delivery there.
func (s *Store) tagsCode(r *message.Record) (code, delay int64) {
	if string(r.Topic) == message.TopicSchedule {
		if v, ok := message.Property(r.Properties, message.PropertyDelay); ok {
			if level, err := strconv.Atoi(string(v)); err == nil && level > 0 {
				return 0, s.delay(level)
			}
		}
	}
	return r.TagsCode(), noDelay
}

// delay is the delay of a level in ms: that of the highest for higher ones, and
// RocketMQ's 1 s for a level without a time.
func (s *Store) delay(level int) int64 {
	n := len(s.cfg.DelayLevels)
	if n == 0 {
		return 1000
	}
	return s.cfg.DelayLevels[min(level, n)-1]
}
