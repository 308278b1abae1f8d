// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package index

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

// Query returns the log offsets of up to max records of the topic with the key,
// stored from begin to end (ms since 1970), ascending, each once: the newest
// when there are more. As in RocketMQ, other keys with the same hash are among
// them, the time of a record counts to the second below, and a file that began
// before begin is the last that is looked at. lastTime and lastOffset are the
// store time and log offset of the last record in the index.
func (x *Index) Query(topic, key string, max int, begin, end int64) (offsets []int64, lastTime, lastOffset int64, err error) {
	x.mu.Lock()
	if x.closed {
		x.mu.Unlock()
		return nil, 0, 0, ErrClosed
	}
	files := slices.Clone(x.files)
	if n := len(files); n > 0 {
		lastTime, lastOffset = files[n-1].hdr.EndTime, files[n-1].hdr.EndOffset
	}
	x.mu.Unlock()
	q := query{hash: message.KeyHash(topic, key), max: max, begin: begin, end: end}
	for _, f := range slices.Backward(files) {
		more, err := x.queryFile(f, &q)
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // else it was removed meanwhile
			return nil, 0, 0, fmt.Errorf("index: query %s: %w", f.name, err)
		}
		if !more || len(q.found) >= q.max {
			break
		}
	}
	slices.Sort(q.found)
	return slices.Compact(q.found), lastTime, lastOffset, nil
}

// query is what a Query looks for and has found, newest first.
type query struct {
	hash       int32
	max        int
	begin, end int64
	found      []int64
}

// take looks at an entry and tells whether to go on with the one before it in
// the chain.
func (q *query) take(hdr *Header, i item) bool {
	if i.seconds < 0 {
		return false
	}
	at := hdr.time(i)
	if i.hash == q.hash && at >= q.begin && at <= q.end {
		// A record's entries follow each other in the chain, and in two files
		// when its keys are in both.
		if n := len(q.found); n == 0 || q.found[n-1] != i.offset {
			q.found = append(q.found, i.offset)
		}
	}
	return at >= q.begin && len(q.found) < q.max
}

// queryFile takes the entries of one file and tells whether older files can have
// more.
func (x *Index) queryFile(f *file, q *query) (more bool, err error) {
	x.mu.Lock()
	hdr := f.hdr
	more = hdr.BeginTime >= q.begin
	if f.empty() || !hdr.overlaps(q.begin, q.end) || q.max <= 0 {
		x.mu.Unlock()
		return more, nil
	}
	if f.f == nil || f.pages == nil {
		x.mu.Unlock()
		return more, x.queryClosed(f, hdr, q)
	}
	// What is in memory needs the lock; the rest of the chain is on disk for good.
	next, err := f.headOf(q.hash)
	for start := f.tailStart(); err == nil && next >= start; {
		i := decodeItem(f.tail[int(next-start)*entrySize:])
		next = follow(next, i, q.take(&hdr, i))
	}
	f.users++
	r := f.f
	x.mu.Unlock()
	if err == nil {
		err = q.walk(r, f.shape, &hdr, next)
	}
	x.mu.Lock()
	f.users--
	x.closeUnused(f)
	x.mu.Unlock()
	return more, err
}

// headOf is head without keeping the page.
func (f *file) headOf(hash int32) (int32, error) {
	n, at := f.slot(hash)
	if p := &f.pages[n]; p.data != nil {
		return f.head(p, at), nil
	} else if !p.written {
		return 0, nil
	}
	return readSlot(f.f, f.shape, hash, f.hdr.Count)
}

func readSlot(r vfs.File, s shape, hash, count int32) (int32, error) {
	n, at := s.slot(hash)
	var b [slotSize]byte
	if got, err := r.ReadAt(b[:], int64(n)*pageSize+int64(at)); got < len(b) {
		return 0, fmt.Errorf("read a slot: %w", err)
	}
	head := int32(uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3]))
	if head <= 0 || head >= count {
		return 0, nil
	}
	return head, nil
}

// queryClosed opens a file for one query.
func (x *Index) queryClosed(f *file, hdr Header, q *query) (err error) {
	r, err := x.fs.OpenFile(f.name, os.O_RDONLY)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	head, err := readSlot(r, f.shape, q.hash, hdr.Count)
	if err != nil {
		return err
	}
	return q.walk(r, f.shape, &hdr, head)
}

// walk takes the chain from entry n on.
func (q *query) walk(r vfs.File, s shape, hdr *Header, n int32) error {
	buf := make([]byte, entrySize)
	for n > 0 {
		i, err := readEntry(r, s, n, buf)
		if err != nil {
			return err
		}
		n = follow(n, i, q.take(hdr, i))
	}
	return nil
}

// follow returns the entry before entry n in its chain, 0 for none. A chain goes
// down only, so a damaged one ends.
func follow(n int32, i item, on bool) int32 {
	if !on || i.prev <= 0 || i.prev >= n {
		return 0
	}
	return i.prev
}
