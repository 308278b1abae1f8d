// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package fsck

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sort"

	"github.com/twostage/twostage/internal/broker/txn/state"
	"github.com/twostage/twostage/internal/store/consumequeue"
	"github.com/twostage/twostage/internal/store/segment"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
)

// Stat says what is in a store directory.
type Stat struct {
	Dir        string      `json:"dir"`
	Abort      bool        `json:"abort"`                // the last run did not end in order, or somebody runs
	Locked     *bool       `json:"locked,omitempty"`     // somebody runs
	Checkpoint *Checkpoint `json:"checkpoint,omitempty"` // there is one

	Log          LogStat           `json:"log"`
	Queues       QueuesStat        `json:"queues"`
	Topics       []TopicStat       `json:"topics"` // by name
	Index        IndexStat         `json:"index"`
	Transactions *TransactionsStat `json:"transactions,omitempty"` // there is such a directory

	Damaged  []string  `json:"damaged"`  // ranges of the log that a start has copied aside, log offset-length
	Deleted  int       `json:"deleted"`  // topics whose old records have no queue
	Findings []Finding `json:"findings"` // what names and sizes say already
}

// Space is what files take, in bytes.
type Space struct {
	Files     int    `json:"files"`
	Bytes     int64  `json:"bytes"`               // sparse files count in full
	Allocated *int64 `json:"allocated,omitempty"` // of the disk
}

// LogStat is about the log; times are ms since 1970, 0 without records.
type LogStat struct {
	Start     int64 `json:"start"` // log offsets
	End       int64 `json:"end"`
	FileSize  int64 `json:"fileSize"` // bytes
	FirstTime int64 `json:"firstTime"`
	LastTime  int64 `json:"lastTime"`
	Space
}

// QueuesStat is about all queues together.
type QueuesStat struct {
	Topics   int   `json:"topics"`
	Queues   int   `json:"queues"`
	Entries  int64 `json:"entries"`  // of records that the log still has
	FileSize int64 `json:"fileSize"` // bytes
	Space
}

// TopicStat is about the queues of a topic.
type TopicStat struct {
	Topic   string      `json:"topic"`
	Entries int64       `json:"entries"`
	Queues  []QueueStat `json:"queues"`
}

// QueueStat is about a queue.
type QueueStat struct {
	ID  int32 `json:"id"`
	Min int64 `json:"min"` // queue offset of the first record that the log still has
	Max int64 `json:"max"` // that the next record gets
}

// IndexStat is about the index; times are ms since 1970.
type IndexStat struct {
	Entries   int64 `json:"entries"`
	FirstTime int64 `json:"firstTime"`
	LastTime  int64 `json:"lastTime"`
	Space
}

// TransactionsStat counts half messages by their state, as far as the states go.
type TransactionsStat struct {
	Undecided int64            `json:"undecided"`
	States    map[string]int64 `json:"states"` // of the others that the files still have
}

// Stat reads little: names, sizes, headers, the last log file, a few entries of
// each queue, the states of transactions.
func (d *Dir) Stat(ctx context.Context) (*Stat, error) {
	s := &Stat{Dir: d.o.Dir, Abort: d.aborted, Deleted: len(d.deleted), Topics: []TopicStat{}, Damaged: []string{}}
	if d.o.Locked != nil {
		locked, err := d.o.Locked(d.o.Dir + "/lock")
		if err != nil {
			return nil, err
		}
		s.Locked = &locked
	}
	if d.checkFound {
		s.Checkpoint = d.Checkpoint()
	}
	for _, step := range []func(context.Context, *Stat) error{d.statLog, d.statQueues, d.statIndex, d.statTransactions} {
		if err := step(ctx, s); err != nil {
			return nil, err
		}
	}
	names, _, err := d.readDir(d.o.Dir + "/damaged")
	if err != nil {
		return nil, err
	}
	s.Damaged = append(s.Damaged, names...)
	s.Findings = append([]Finding{}, d.listed.list...)
	return s, nil
}

func (d *Dir) count(s *Space, path string, size int64) error {
	s.Files++
	s.Bytes += size
	if d.o.Allocated == nil {
		return nil
	}
	n, err := d.o.Allocated(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil // a broker has just deleted it
	}
	if s.Allocated == nil {
		s.Allocated = new(int64)
	}
	*s.Allocated += n
	return err
}

func (d *Dir) statLog(ctx context.Context, s *Stat) error {
	s.Log.Start, s.Log.End, s.Log.FileSize = d.min(), d.min(), d.logSize
	for _, f := range d.log {
		if err := d.count(&s.Log.Space, f.path, f.size); err != nil {
			return err
		}
	}
	r := d.newLogReader()
	last := -1
	for i := len(d.log) - 1; i >= 0 && last < 0; i-- { // one may be reserved ahead
		if _, ok := r.record(d.log[i].start); ok {
			last = i
		}
	}
	from := d.min()
	if last >= 0 {
		from = d.log[last].start
	}
	_, err := d.walkLog(ctx, d.min(), func(p *step) error {
		if p.kind != isRecord {
			return nil
		}
		s.Log.FirstTime, s.Log.LastTime, s.Log.End = p.rec.StoreTimestamp, p.rec.StoreTimestamp, p.to
		return errStop
	})
	if err != nil {
		return err
	}
	end, err := d.walkLog(ctx, from, func(p *step) error {
		if p.kind == isRecord {
			s.Log.LastTime = max(s.Log.LastTime, p.rec.StoreTimestamp)
		}
		return nil
	})
	s.Log.End = max(s.Log.End, end.pos)
	return err
}

func (d *Dir) statQueues(ctx context.Context, s *Stat) error {
	s.Queues.FileSize = d.queueSize
	for _, q := range d.queues {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		for _, f := range q.files {
			if err := d.count(&s.Queues.Space, segment.Join(q.path, f.start), f.size); err != nil {
				return err
			}
		}
		low, high, err := d.bounds(q)
		if err != nil {
			return err
		}
		if n := len(s.Topics); n == 0 || s.Topics[n-1].Topic != q.topic {
			s.Topics = append(s.Topics, TopicStat{Topic: q.topic})
		}
		t := &s.Topics[len(s.Topics)-1]
		t.Queues = append(t.Queues, QueueStat{q.id, low, high})
		t.Entries += high - low
		s.Queues.Queues++
		s.Queues.Entries += high - low
	}
	s.Queues.Topics = len(s.Topics)
	return nil
}

// bounds finds the first entry of a queue whose record the log still has, and the
// end, with a few reads.
func (d *Dir) bounds(q *queueDir) (low, high int64, err error) {
	if len(q.files) == 0 || d.queueSize == 0 {
		return 0, 0, nil
	}
	each := d.queueSize / entrySize
	read := func(i int64) (e consumequeue.Entry) {
		start := segment.Start(i*entrySize, d.queueSize)
		if q.file(start) == nil || err != nil {
			return e
		}
		at := i*entrySize - start
		b, failed := d.files.page(q.order, segment.Join(q.path, start), start, at-at%pageSize)
		if failed != nil {
			err = failed
		}
		if at %= pageSize; at+entrySize > int64(len(b)) {
			return e
		}
		return consumequeue.DecodeEntry(b[at:])
	}
	first := q.first()
	high = first
	for i := len(q.files) - 1; i >= 0 && high == first; i-- {
		start := q.files[i].start / entrySize
		high = start + int64(sort.Search(int(each), func(n int) bool { return !read(start + int64(n)).Valid() }))
	}
	low = first + int64(sort.Search(int(high-first), func(n int) bool {
		e := read(first + int64(n))
		for k := int64(n) + 1; e.Padding() && first+k < high && k < int64(n)+each; k++ {
			e = read(first + k)
		}
		return !e.Padding() && e.Offset >= d.min()
	}))
	for low < high && read(low).Padding() {
		low++
	}
	return low, high, err
}

func (d *Dir) statIndex(_ context.Context, s *Stat) error {
	for _, f := range d.indexes {
		if err := d.count(&s.Index.Space, f.path, f.size); err != nil {
			return err
		}
		if f.hdr.Count <= 1 {
			continue
		}
		if s.Index.Entries == 0 {
			s.Index.FirstTime = f.hdr.BeginTime
		}
		s.Index.Entries += int64(f.hdr.Count) - 1
		s.Index.LastTime = f.hdr.EndTime
	}
	return nil
}

// checkGroup is the consumer group whose offset in the half queue says below which
// all half messages have an outcome.
const checkGroup = "CID_RMQ_SYS_TRANS"

func (d *Dir) statTransactions(ctx context.Context, s *Stat) error {
	if _, isDir, err := d.o.FS.Stat(d.o.Dir + "/transactions"); err != nil || !isDir {
		return nil
	}
	t := &TransactionsStat{States: map[string]int64{}}
	s.Transactions = t
	var low, high int64
	for _, topic := range s.Topics {
		if topic.Topic == message.TopicHalf && len(topic.Queues) > 0 {
			low, high = topic.Queues[0].Min, topic.Queues[0].Max
		}
	}
	data, ok, err := d.config(d.o.Dir + "/config/consumerOffset.json")
	var w body.ConsumerOffsetSerializeWrapper
	if err == nil && ok && body.Unmarshal(data, &w) == nil {
		low = max(low, w.OffsetTable[message.TopicHalf+"@"+checkGroup][0])
	}
	decided := int64(0)
	err = d.eachWord(func(half int64, w state.Word, ok bool, path string, at int64) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case !ok:
			t.States["damaged"]++
		case w.Kind != state.Undecided:
			t.States[w.Kind.String()]++
			if half >= low && half < high {
				decided++
			}
		}
		return nil
	})
	if t.Undecided = high - low - decided; t.Undecided < 0 {
		t.Undecided = 0
	}
	if err != nil {
		return fmt.Errorf("transactions: %w", err)
	}
	return nil
}
