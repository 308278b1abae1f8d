// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"math"
	"sync"
	"sync/atomic"

	"github.com/twostage/twostage/message"
)

// shut is a place that no batch has.
const shut = math.MaxInt32

// batch is the messages of one pull, in the order of their queue. Workers claim
// them one after the other and finish them in any order, without a lock.
type batch struct {
	window  *window
	msgs    []*message.Received // one that was handed out is its handler's: entries say what it was; nil when all are finished
	entries []entry             // of msgs
	records []byte              // of msgs, as they came; bodies of msgs may be parts of it
	end     int64               // where the next pull began

	claimed  atomic.Int32 // also more than there are
	taken    int32        // of those, once the window is shut
	left     int32        // of those claimed, that will not be finished
	finished atomic.Int32
}

// entry is what a window goes by of a message.
type entry struct {
	offset   int64 // in the queue
	physical int64 // in the broker's log
	size     int32 // of the record, bytes
	again    int32 // times that the consumer itself has had it handled again
	done     atomic.Bool
}

// claim takes the next messages, at most limit, for the caller alone, slice and all;
// from is the place of the first one. None: all are taken.
func (b *batch) claim(limit int) (from int, msgs []*message.Received) {
	for {
		at := b.claimed.Load()
		n := min(int32(len(b.entries))-at, int32(limit))
		if n <= 0 {
			return 0, nil
		}
		if b.claimed.CompareAndSwap(at, at+n) {
			return int(at), b.msgs[at : at+n : at+n]
		}
	}
}

// unclaim has the messages from one place up to another, which were claimed last, to
// be claimed again; if the window was shut meanwhile, they are abandoned.
func (b *batch) unclaim(from, to int) {
	if from < to && !b.claimed.CompareAndSwap(int32(to), int32(from)) {
		b.window.abandon(b, to-from)
	}
}

// unclaimed is how many messages nobody has taken.
func (b *batch) unclaimed() int { return max(len(b.entries)-int(b.claimed.Load()), 0) }

// finish ends one message, once; false when it was ended before.
func (b *batch) finish(at int) bool {
	if b.entries[at].done.Swap(true) {
		return false
	}
	if b.window.messages.Add(-1) == b.window.low {
		select {
		case b.window.room <- struct{}{}:
		default:
		}
	}
	b.window.bytes.Add(-int64(b.entries[at].size))
	if int(b.finished.Add(1)) == len(b.entries) { // nobody looks at them any more
		b.msgs, b.records = nil, nil
	}
	return true
}

// whole says whether every message is finished.
func (b *batch) whole() bool { return int(b.finished.Load()) == len(b.entries) }

// window is what a consumer holds of a queue: what was pulled and is not consumed
// in one piece from the beginning. It decides nothing by itself and knows no
// clock. Of messages that are finished out of order the entries are kept until those
// before them are: limits.span bounds how many.
type window struct {
	messages atomic.Int64  // not finished
	bytes    atomic.Int64  // of the records of those
	low      int64         // with so many messages room is told
	room     chan struct{} // capacity 1

	mu      sync.Mutex
	batches []*batch // with an unfinished message, or behind one
	next    int64    // offset of the next pull
	closed  bool
}

// newWindow makes a window that tells room when it has come down to low messages.
func newWindow(next, low int64) *window {
	return &window{next: next, low: low, room: make(chan struct{}, 1)}
}

// add takes the messages of a pull and the records that they were read from; the next
// pull begins at end. With no messages it gives nil.
func (w *window) add(msgs []*message.Received, records []byte, end int64) *batch {
	b := &batch{window: w, msgs: msgs, entries: make([]entry, len(msgs)), records: records, end: end}
	var bytes int64
	for i, m := range msgs {
		p := &b.entries[i]
		p.offset, p.physical, p.size = m.QueueOffset, m.PhysicalOffset, m.Size
		bytes += int64(m.Size)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil
	}
	w.next = end
	if len(msgs) == 0 {
		return nil
	}
	w.messages.Add(int64(len(msgs)))
	w.bytes.Add(bytes)
	w.batches = append(w.batches, b)
	return b
}

// shut lets nobody claim or add any more. What was claimed goes on.
func (w *window) shut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	w.closed = true
	for _, b := range w.batches {
		b.taken = min(b.claimed.Swap(shut), int32(len(b.entries)))
	}
}

// running is how many messages were claimed before the window was shut and are to be
// finished.
func (w *window) running() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, b := range w.batches {
		n += int(b.taken - b.left - b.finished.Load())
	}
	return n
}

// abandon says that messages that were claimed will not be finished; the window is
// to be shut.
func (w *window) abandon(b *batch, messages int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	b.left += int32(messages)
}

// trim drops the batches at the front that are done with; w.mu is held.
func (w *window) trim() {
	for len(w.batches) > 0 && w.batches[0].whole() {
		w.batches[0] = nil
		w.batches = w.batches[1:]
	}
}

// consumed is the offset before which everything is consumed: the one to commit.
func (w *window) consumed() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trim()
	if len(w.batches) == 0 {
		return w.next
	}
	return w.batches[0].first()
}

// first is the offset of the first message that is not finished, the end when all are.
func (b *batch) first() int64 {
	for at := range b.entries {
		if p := &b.entries[at]; !p.done.Load() {
			return p.offset
		}
	}
	return b.end
}

// original reads a message anew, whatever its handler has made of it. With checked the
// body is compared with its CRC: a handler that has part of records may have written there.
func (b *batch) original(at int, checked bool) (*message.Received, error) {
	var r message.Record
	for from := 0; ; {
		n, err := message.DecodeRecord(b.records[from:], &r, false)
		found := err == nil && r.PhysicalOffset == b.entries[at].physical
		if found && checked {
			_, err = message.DecodeRecord(b.records[from:], &r, true)
		}
		switch {
		case err != nil:
			return nil, err
		case found:
			m := message.NewReceived(&r)
			m.ReconsumeTimes += b.entries[at].again
			return m, nil
		}
		from += n
	}
}

// position is the offset of the next pull.
func (w *window) position() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.next
}

// limits bound what is held of one queue.
type limits struct {
	messages int   // not finished
	bytes    int64 // of their records
	span     int64 // from the first one that is not finished to the next pull; 0: any
}

// full says whether no more is to be pulled for now.
func (w *window) full(l limits) bool {
	if w.messages.Load() >= int64(l.messages) || w.bytes.Load() >= l.bytes {
		return true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trim()
	return l.span > 0 && len(w.batches) > 0 && w.next-w.batches[0].first() > l.span
}

// held tells what the window holds, for the consumer's running info.
func (w *window) held() (first, last int64, messages int, bytes int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trim()
	if n := len(w.batches); n > 0 {
		all := w.batches[n-1].entries
		first, last = w.batches[0].first(), all[len(all)-1].offset
	}
	return first, last, int(w.messages.Load()), w.bytes.Load()
}
