// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package fsck

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/twostage/twostage/internal/broker/txn/state"
	"github.com/twostage/twostage/internal/store/consumequeue"
	"github.com/twostage/twostage/message"
)

// Filter says what of a dump is wanted. The zero value wants all.
type Filter struct {
	From, To int64  // offsets, To not included; To 0: to the end
	Limit    int    // so many at most; 0: all
	Topic    string // of the queue or record
	Queue    *int32
	Key      string // UNIQ_KEY or one of KEYS; of the index with Topic
}

func (f *Filter) end() int64 {
	if f.To == 0 {
		return 1<<63 - 1
	}
	return f.To
}

// limited calls fn until there were f.Limit items.
func limited[T any](f *Filter, fn func(T) error) func(T) error {
	n := 0
	return func(v T) error {
		if err := fn(v); err != nil {
			return err
		}
		if n++; n == f.Limit {
			return errStop
		}
		return nil
	}
}

func notStop(err error) error {
	if err == errStop {
		return nil
	}
	return err
}

func (f *Filter) takes(rec *message.Record) bool {
	if f.Topic != "" && f.Topic != string(rec.Topic) || f.Queue != nil && *f.Queue != rec.QueueID {
		return false
	}
	if f.Key == "" {
		return true
	}
	if uniq, _ := rec.Property(message.PropertyUniqueKey); string(uniq) == f.Key {
		return true
	}
	found := false
	keys, _ := rec.Property(message.PropertyKeys)
	message.RangeKeys(keys, func(key []byte) bool {
		found = string(key) == f.Key
		return !found
	})
	return found
}

// DumpLog calls fn for all that stands in the log from the log offset f.From on:
// records, and without a filter by topic, queue or key also blanks and damaged
// bytes.
func (d *Dir) DumpLog(ctx context.Context, f Filter, fn func(*Record) error) error {
	emit := limited(&f, fn)
	_, err := d.walkLog(ctx, max(f.From, d.min()), func(s *step) error {
		if s.from >= f.end() {
			return errStop
		}
		filtered := f.Topic != "" || f.Queue != nil || f.Key != ""
		if s.rec == nil && filtered || s.rec != nil && !f.takes(s.rec) {
			return nil
		}
		return emit(newRecord(s))
	})
	return err
}

// DumpOps is DumpLog for the op records of transactions.
func (d *Dir) DumpOps(ctx context.Context, f Filter, fn func(*Record) error) error {
	f.Topic = message.TopicOpHalf
	return d.DumpLog(ctx, f, fn)
}

// DumpQueues calls fn for the entries with queue offsets from f.From on, queue by
// queue. What was never written is left out.
func (d *Dir) DumpQueues(ctx context.Context, f Filter, fn func(*QueueEntry) error) error {
	emit := limited(&f, fn)
	v := &verifier{d: d, ctx: ctx}
	found := false
	for _, q := range d.queues {
		if f.Topic != "" && f.Topic != q.topic || f.Queue != nil && *f.Queue != q.id {
			continue
		}
		found = true
		if d.queueSize == 0 {
			continue
		}
		var failed error
		err := v.eachEntry(&queueCheck{dir: q}, max(f.From, 0), min(f.end(), 1<<62), func(i int64, e consumequeue.Entry, path string, at int64) {
			if failed != nil {
				return
			}
			what := "entry"
			switch {
			case e.Padding():
				what = "blank"
			case !e.Valid():
				what = "invalid"
			}
			failed = emit(&QueueEntry{what, q.topic, q.id, i, e.Offset, e.Size, e.Tags, path, at})
		})
		if err == nil {
			err = failed
		}
		if err != nil {
			return notStop(err)
		}
	}
	if !found && f.Topic != "" {
		return fmt.Errorf("there is no such queue of topic %q in %s/consumequeue", f.Topic, d.o.Dir)
	}
	return nil
}

// DumpIndex calls header for each file and entry for its entries of records at log
// offsets from f.From on.
func (d *Dir) DumpIndex(ctx context.Context, f Filter, header func(*IndexFile) error, entry func(*IndexEntry) error) error {
	if err := d.checkShape(); err != nil {
		return err
	}
	emit := limited(&f, entry)
	r := d.newIndexReader()
	shown := -1
	headers := func(to int) error {
		for ; shown < to; shown++ {
			g := d.indexes[shown+1]
			h := &g.hdr
			if err := header(&IndexFile{"header", g.path, g.size, h.BeginTime, h.EndTime, h.BeginOffset, h.EndOffset, h.Slots, h.Count}); err != nil {
				return err
			}
		}
		return nil
	}
	var items []indexItem
	for {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var err error
		if items, err = r.next(items[:0], lookAhead); err != nil {
			return err
		}
		if len(items) == 0 {
			return headers(len(d.indexes) - 1)
		}
		for i := range items {
			e := &items[i]
			if err := headers(e.file); err != nil {
				return err
			}
			if e.Offset < f.From || e.Offset >= f.end() || f.Key != "" && e.Hash != message.KeyHash(f.Topic, f.Key) {
				continue
			}
			g := d.indexes[e.file]
			if err := emit(&IndexEntry{"entry", g.path, e.number, e.Hash, int(uint32(e.Hash) % uint32(d.slots())), e.Offset,
				g.hdr.BeginTime + int64(e.Seconds)*1000, e.Prev}); err != nil {
				return notStop(err)
			}
		}
	}
}

// Checkpoint returns what the checkpoint claims.
func (d *Dir) Checkpoint() *Checkpoint {
	return &Checkpoint{"checkpoint", d.o.Dir + "/checkpoint", d.check.Physic, d.check.Logics, d.check.Index, d.aborted}
}

// DumpTransactions calls mark, if there is one, and word for the states of half
// messages with half queue offsets from f.From on. Those that are undecided and
// were never checked are left out.
func (d *Dir) DumpTransactions(ctx context.Context, f Filter, mark func(*TransactionMark) error, word func(*TransactionWord) error) error {
	dir := d.o.Dir + "/transactions"
	m, found, _, err := state.ReadMark(d.o.FS, dir)
	if err != nil {
		return err
	}
	if found {
		if err := mark(&TransactionMark{"mark", dir + "/" + state.MarkName, m.Half, m.Op, m.Log, m.Proof}); err != nil {
			return err
		}
	}
	emit := limited(&f, word)
	return notStop(d.eachWord(func(half int64, w state.Word, ok bool, path string, at int64) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case half < f.From:
			return nil
		case half >= f.end():
			return errStop
		}
		t := &TransactionWord{What: "state", Half: half, State: w.Kind.String(), Checks: w.Checks, CheckedAt: w.CheckedAt, Op: w.Op, ResumedAs: w.Next, File: path, FileOffset: at}
		if !ok {
			t = &TransactionWord{What: "damaged", Half: half, State: "none", File: path, FileOffset: at}
		}
		return emit(t)
	}))
}

// DeletedTopics returns the deleted topics, by name.
func (d *Dir) DeletedTopics() (list []*DeletedTopic) {
	for _, topic := range slices.Sorted(maps.Keys(d.deleted)) {
		list = append(list, &DeletedTopic{"deleted", topic, d.deleted[topic]})
	}
	return list
}
