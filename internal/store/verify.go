// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/twostage/twostage/internal/store/commitlog"
	"github.com/twostage/twostage/internal/store/segment"
	"github.com/twostage/twostage/message"
)

// ReadCheck says which reads check what they read: that a record of the right
// size stands there, says that it does, and matches its CRC (that of its body,
// or of all of it where it ends with one). A record that does not is damaged: it
// is passed over, counted, reported, and costs nothing but itself.
//
// So is one that the disk does not give, once that has gone on for two minutes:
// until then it is ErrUnreadable, and who reads tries again. A disk that is gone
// for a while must not lead consumers past their messages.
//
// Checked records are read with pread, so that a disk that takes its time holds
// a thread and not one of the few processors of Go, and a disk that fails gives
// an error and no signal. The pages are in the page cache then, for writev.
type ReadCheck uint8

// What is checked.
const (
	// CheckCold checks what comes from a disk, as far as one can tell: records
	// that were there before Open, and those further behind the end of the log
	// than Config.ColdDistance. What this process has written is in memory still.
	CheckCold ReadCheck = iota
	CheckNone           // nothing: a connection breaks where a page can't be read
	CheckAll
)

// String names the policy.
func (c ReadCheck) String() string {
	switch c {
	case CheckCold:
		return "cold"
	case CheckNone:
		return "none"
	case CheckAll:
		return "all"
	}
	return fmt.Sprintf("ReadCheck(%d)", uint8(c))
}

var (
	// ErrDamaged: the record at that offset is not what was written, or could
	// not be read for two minutes. Errors that match it match ErrNotFound too.
	ErrDamaged = fmt.Errorf("store: damaged record (%w)", ErrNotFound)
	// ErrUnreadable: the disk does not give the record at that offset. It may
	// later; if not, the error becomes ErrDamaged.
	ErrUnreadable = errors.New("store: the log can't be read")
)

// DamagedRead is a record that a read has found damaged.
type DamagedRead struct {
	File   string // path of the log file
	Offset int64  // in the log, bytes
	Err    error  // what is wrong; matches ErrDamaged
}

const (
	maxKnownDamage = 4096     // records that are remembered as reported
	readAhead      = 64 << 10 // bytes read at once where the queue's records are close together:
	closeTogether  = 8 << 10  // where so many bytes lie between them
)

// readChecks is the state of checked reads.
type readChecks struct {
	coldBelow int64       // what stands below was not written by this process
	newest    int64       // as newest() was at Open: later ones are in the log
	all       atomic.Bool // see CheckAllReads
	count     atomic.Int64

	mu    sync.Mutex
	known map[int64]bool // damaged records that were reported; at most maxKnownDamage

	bad badPlaces
}

func (c *readChecks) init(end, newest int64) {
	c.coldBelow, c.newest = end, newest
	c.known, c.bad.places = make(map[int64]bool), make(map[int64]place)
}

// CheckAllReads makes every later read a checked one, whatever Config.CheckReads
// says. It is for whoever was given a record and found that the mapped log can't
// be read: the next read then passes over what can't be.
func (s *Store) CheckAllReads() {
	if !s.reads.all.Swap(true) {
		s.cfg.Logger.Error("store: a page of the mapped log could not be read: from now on every read is checked")
	}
}

// checks tells whether a record at offset is to be checked, with the log ending
// at end.
func (s *Store) checks(offset, end int64) bool {
	switch {
	case s.cfg.CheckReads == CheckAll || s.reads.all.Load():
		return true
	case s.cfg.CheckReads == CheckNone:
		return false
	}
	return offset < s.reads.coldBelow || s.cfg.ColdDistance > 0 && end-offset > s.cfg.ColdDistance
}

// window is a part of one log file that was read to be checked.
type window struct {
	buf []byte
	off int64 // log offset of buf[0]
}

// verify checks the record at offset, which should have the given size, if the
// policy wants it: ErrDamaged, which is then reported, ErrUnreadable, ErrNotFound
// when nothing can be there, or another error, which says nothing about it. With q
// it has to be the record of the entry at index: a client goes on behind the queue
// offset that the record says.
func (s *Store) verify(w *window, offset int64, size int, end int64, q *Queue, index int64) error {
	if !s.checks(offset, end) {
		return nil
	}
	b, err := s.load(w, offset, size)
	if err != nil {
		return s.readError(offset, err)
	}
	s.reads.bad.readable(offset)
	var r message.Record
	n, err := message.DecodeRecord(b, &r, true)
	switch {
	case err != nil:
	case n != size:
		err = fmt.Errorf("it has %d bytes, its queue entry says %d", n, size)
	case r.PhysicalOffset != offset:
		err = fmt.Errorf("it says that it stands at %d", r.PhysicalOffset)
	case q != nil && (r.QueueOffset != index || r.QueueID != q.id || string(r.Topic) != q.topic):
		err = fmt.Errorf("it says that it is %d of queue %d of %q, and stands in place %d of queue %d of %q", r.QueueOffset, r.QueueID, r.Topic, index, q.id, q.topic)
	default:
		return nil
	}
	return s.damaged(offset, err)
}

// load returns [offset, offset+size) of the log. Soon behind what w holds it reads
// ahead.
func (s *Store) load(w *window, offset int64, size int) ([]byte, error) {
	if at := offset - w.off; at >= 0 && at+int64(size) <= int64(len(w.buf)) {
		return w.buf[at : at+int64(size)], nil
	}
	limit := min(segment.Start(max(offset, 0), s.cfg.CommitLogFileSize)+s.cfg.CommitLogFileSize, s.log.End())
	if size < message.MinRecordSize || size > commitlog.MaxRecordSize || offset < s.log.Min() || offset > limit-int64(size) {
		return nil, ErrNotFound
	}
	n := size
	if gap := offset - (w.off + int64(len(w.buf))); len(w.buf) > 0 && w.off < offset && gap <= closeTogether {
		n = int(max(min(limit-offset, readAhead), int64(size)))
	}
	err := s.read(w, offset, n)
	if err != nil && n > size { // what is ahead is not asked for
		err = s.read(w, offset, size)
	}
	if err != nil {
		return nil, err
	}
	return w.buf[:size], nil
}

func (s *Store) read(w *window, offset int64, n int) error {
	if cap(w.buf) < n {
		w.buf = make([]byte, max(n, 4<<10))
	}
	w.buf, w.off = w.buf[:n], offset
	err := s.log.ReadAt(w.buf, offset)
	if err != nil {
		w.drop()
	}
	return err
}

// drop forgets what was read, and keeps the memory if it is little.
func (w *window) drop() {
	if w.buf = w.buf[:0]; cap(w.buf) > maxKeptBuffer {
		w.buf = nil
	}
	w.off = -1
}

// damaged reports the record at offset, and returns what the reader is told.
func (s *Store) damaged(offset int64, cause error) error {
	c := &s.reads
	c.count.Add(1)
	d := DamagedRead{File: segment.Join(s.cfg.CommitLog, segment.Start(offset, s.cfg.CommitLogFileSize)), Offset: offset}
	d.Err = fmt.Errorf("%w at log offset %d, in %s: %w", ErrDamaged, offset, d.File, cause)
	c.mu.Lock()
	first, room := !c.known[offset], len(c.known) < maxKnownDamage
	if first && room {
		c.known[offset] = true
	}
	last := first && len(c.known) == maxKnownDamage && room
	c.mu.Unlock()
	if !first || !room {
		return d.Err
	}
	s.cfg.Logger.Error("store: a damaged record is passed over", "file", d.File, "offset", offset, "cause", cause)
	if last {
		s.cfg.Logger.Error("store: further damaged records are counted, and no longer reported", "reported", maxKnownDamage)
	}
	if s.cfg.OnDamagedRead != nil {
		s.cfg.OnDamagedRead(d)
	}
	return d.Err
}
