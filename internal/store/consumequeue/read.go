// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package consumequeue

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"github.com/twostage/twostage/internal/store/segment"
)

// scratch is for bytes on their way from a file.
type scratch [512 * EntrySize]byte

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// Read appends up to n entries from offset from on to dst: fewer at the end of
// the queue, none at or behind Max. Blank entries are among them, so that the
// k-th stands for offset from+k. from below Min is ErrBelowMin. It does not
// allocate when dst has room.
func (q *Queue) Read(dst []Entry, from int64, n int) ([]Entry, error) {
	if from < q.min.Load() {
		return dst, fmt.Errorf("%w: %d of %s-%d, which begins at %d", ErrBelowMin, from, q.topic, q.id, q.min.Load())
	}
	end := min(q.max.Load(), from+int64(max(n, 0)))
	if from >= end {
		return dst, nil
	}
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	for from < end {
		b, err := q.bytes(s[:], from, end)
		if err != nil {
			return dst, err
		}
		for ; len(b) > 0; b = b[EntrySize:] {
			dst = append(dst, decodeEntry(b))
			from++
		}
	}
	return dst, nil
}

// bytes reads entries into buf: at least one of [from, end), at most to the end
// of the file or tail that from is in.
func (q *Queue) bytes(buf []byte, from, end int64) ([]byte, error) {
	pos := from * EntrySize
	if n := (end - from) * EntrySize; n < int64(len(buf)) {
		buf = buf[:n]
	}
	q.mu.Lock()
	if pos >= q.written {
		n := 0
		if at := pos - q.written; at < int64(len(q.tail)) {
			n = copy(buf, q.tail[at:])
		}
		q.mu.Unlock()
		if n == 0 {
			return nil, q.lost(from, errors.New("beyond the end"))
		}
		return buf[:n], nil
	}
	written := q.written
	q.mu.Unlock()

	start := segment.Start(pos, q.set.files.fileSize)
	if room := min(written, start+q.set.files.fileSize) - pos; room < int64(len(buf)) {
		buf = buf[:room]
	}
	if q.gone.Load() {
		return nil, q.lost(from, fs.ErrNotExist)
	}
	h, err := q.set.files.acquire(q, start, false)
	if err != nil {
		return nil, q.lost(from, err)
	}
	n, err := h.ReadAt(buf, pos-start)
	closeErr := q.set.files.release(h)
	switch {
	case n == len(buf) && (err == nil || errors.Is(err, io.EOF)):
		err = closeErr
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, q.lost(from, err)
	}
	return buf, nil
}

// lost explains why an entry that was there cannot be read.
func (q *Queue) lost(index int64, err error) error {
	if index < q.min.Load() {
		return fmt.Errorf("%w: %d of %s-%d, which begins at %d", ErrBelowMin, index, q.topic, q.id, q.min.Load())
	}
	q.mu.Lock()
	unusable := q.usable()
	q.mu.Unlock()
	if unusable != nil {
		return unusable
	}
	return fmt.Errorf("consumequeue: read entry %d of %s-%d: %w", index, q.topic, q.id, err)
}

// nextRecord returns the first entry of [from, end) that is no padding, and
// where it is; end when there is none. It may be a hole. sure passes over those
// that a stop of the machine may have torn.
func (q *Queue) nextRecord(from, end int64, sure bool) (int64, Entry, error) {
	w := q.newWindow()
	defer w.close()
	return w.nextRecord(from, end, sure)
}

// window reads entries of a queue and keeps the last ones that it has read.
type window struct {
	q    *Queue
	s    *scratch
	from int64  // first entry of b
	b    []byte // in s
}

func (q *Queue) newWindow() window { return window{q: q, s: scratches.Get().(*scratch)} }

func (w *window) close() { scratches.Put(w.s) }

// entries returns some entries from from on, of at most so many that are read,
// to end at the latest.
func (w *window) entries(from, end int64, most int) ([]byte, error) {
	if at := (from - w.from) * EntrySize; at < 0 || at >= int64(len(w.b)) {
		b, err := w.q.bytes(w.s[:most*EntrySize], from, end)
		if err != nil {
			return nil, err
		}
		w.from, w.b = from, b
	}
	b := w.b[(from-w.from)*EntrySize:]
	return b[:min(int64(len(b)), (end-from)*EntrySize)], nil
}

func (w *window) nextRecord(from, end int64, sure bool) (int64, Entry, error) {
	for most := 2; from < end; most = len(w.s) / EntrySize { // that is mostly enough
		b, err := w.entries(from, end, most)
		if err != nil {
			return 0, Entry{}, err
		}
		for ; len(b) > 0; b = b[EntrySize:] {
			if e := decodeEntry(b); !e.padding() && !(sure && w.q.straddles(from)) {
				return from, e, nil
			}
			from++
		}
	}
	return end, Entry{}, nil
}

// straddles tells whether an entry lies in two sectors of the device, of which
// each may have been written without the other. Its neighbours never do.
func (q *Queue) straddles(index int64) bool {
	const sector = 512
	at := index * EntrySize % q.set.files.fileSize
	return at/sector != (at+EntrySize-1)/sector
}

// search returns the first entry of [lo, hi) that is no padding and for which
// reached holds, given that it holds for all such entries after one; hi when
// there is none. before is the last record known to be before that one, or zero.
// Only entries that cannot be torn decide, and then the one that is left.
func (q *Queue) search(lo, hi int64, reached func(at int64, before, e Entry) bool) (int64, Entry, error) {
	var before Entry
	w := q.newWindow()
	defer w.close()
	end := hi
	const most = int64(len(scratch{}) / EntrySize)
	mid := max(lo, hi-most) // it is mostly near the end
	for all := false; lo < hi; {
		if !all && hi-lo <= most { // the rest in one read, but for the border of files
			all, w.b = true, nil
			if _, err := w.entries(lo, hi, int(most)); err != nil {
				return 0, Entry{}, err
			}
			mid = lo + (hi-lo)/2
		}
		at, e, err := w.nextRecord(mid, hi, true)
		switch {
		case err != nil:
			return 0, Entry{}, err
		case at == hi || reached(at, before, e):
			hi = mid
		default:
			lo, before = at+1, e
		}
		mid = lo + (hi-lo)/2
	}
	for {
		at, e, err := w.nextRecord(lo, end, false)
		if err != nil || at == end || reached(at, before, e) {
			return at, e, err
		}
		lo, before = at+1, e
	}
}
