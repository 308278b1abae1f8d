// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twostage/twostage/message"
)

var (
	// ErrReadOnly wraps the cause for which the store takes no more records
	// until it is opened again.
	ErrReadOnly = errors.New("store: read-only after an I/O error")
	// ErrClosed: the store has been closed.
	ErrClosed = errors.New("store: closed")
	// ErrBusy: what is to be stored would have to wait for longer than Batch.Wait.
	ErrBusy = errors.New("store: busy")
	// ErrDeleted: the topic of a queue handle has been deleted.
	ErrDeleted = errors.New("store: the topic has been deleted")
)

// Append stores the records of b in their order and gives them their offsets
// and their store timestamp, which never goes back. When it returns nil the
// bytes are with the operating system: they survive the death of the process.
// Use WhenFlushed or Flush to know when they survive the machine's.
//
// Consumers see them a little later (Dispatched). After an error b.Written
// records are stored all the same, none if b.Atomic. Errors: ErrTooLarge (an
// atomic batch larger than a file), ErrReadOnly, ErrClosed, ErrDeleted, and those
// after which Append may be tried again: ErrBusy, an error of reserving the next
// log file (no space), and for batches that are not Vital ErrDiskFull and
// ErrNoSpace. Any number of goroutines may call it. It does not allocate once b is
// warm.
func (s *Store) Append(b *Batch) error {
	b.written = 0
	if len(b.items) == 0 {
		return nil
	}
	began := time.Since(s.doing.epoch)
	err := s.append(b)
	if b.written > 0 {
		if s.cfg.SyncFlush {
			s.flush.signal() // queues get what is durable
		} else {
			s.dispatch.signal()
		}
	}
	s.puts.count(b, time.Since(s.doing.epoch)-began)
	return err
}

func (s *Store) append(b *Batch) error {
	wait, err := s.dispatch.waitForRoom(b.Wait)
	if err != nil {
		return err
	}
	if !s.mu.lock(wait) {
		return fmt.Errorf("%w: waited %v for the commit log, to which %s", ErrBusy, b.Wait, s.doing.text())
	}
	err = s.appendLocked(b)
	s.mu.unlock()
	return err
}

func (s *Store) appendLocked(b *Batch) error {
	if s.closed {
		return ErrClosed
	}
	if err := s.ReadOnly(); err != nil {
		return err
	}
	if err := s.refusal(); err != nil && !b.Vital {
		return err
	}
	for i := range b.items {
		if q := b.items[i].q; q.store != s || q.gone.Load() {
			return fmt.Errorf("%w: %q", ErrDeleted, q.topic)
		}
	}
	if b.Atomic {
		if int64(len(b.buf)) > s.log.MaxSize() {
			return fmt.Errorf("%w: an atomic batch of %d bytes does not fit into a log file of %d", ErrTooLarge, len(b.buf), s.cfg.CommitLogFileSize)
		}
		if int64(len(b.buf)) > s.log.Room() {
			if err := s.roll(); err != nil {
				return err
			}
		}
	}
	now := max(s.log.LastTimestamp(), s.cfg.NowMillis())
	for first := 0; first < len(b.items); {
		if int64(b.items[first].size) > s.log.Room() {
			if err := s.roll(); err != nil {
				return err
			}
		}
		n, err := s.writeRun(b, first, now)
		if err != nil {
			return err
		}
		s.dispatch.add(b, first, n)
		first += n
		b.written = first
	}
	return nil
}

func (s *Store) roll() error {
	if err := s.lackOf(1 << fileSpace); err != nil && !s.roomForFile() {
		return err // a reservation that fails takes the disk's last space for a moment
	}
	s.doing.begin(rolls)
	err := s.log.Roll()
	s.doing.end()
	if err != nil && s.log.Err() != nil {
		return s.ReadOnly()
	}
	return s.rolled(err)
}

// writeRun writes as many items from first on as the present file has room for,
// with one write, and returns how many.
func (s *Store) writeRun(b *Batch, first int, now int64) (n int, err error) {
	pos, room := s.log.End(), s.log.Room()
	start := b.items[first].off
	end := start
	for i := first; i < len(b.items); i++ {
		it := &b.items[i]
		if int64(it.off+it.size-start) > room {
			break
		}
		it.at = Appended{PhysicalOffset: pos + int64(it.off-start), StoreTimestamp: now, Size: int32(it.size)}
		if it.queued {
			it.at.QueueOffset = it.q.next
			it.q.next++
		}
		rec := b.buf[it.off : it.off+it.size]
		message.PatchPosition(rec, it.at.QueueOffset, it.at.PhysicalOffset, now)
		if it.crc {
			message.PatchCRC(rec)
		}
		end = it.off + it.size
		n++
	}
	s.doing.begin(int64(end - start))
	err = s.log.Write(b.buf[start:end], now)
	s.doing.end()
	if err != nil {
		for i := first; i < first+n; i++ {
			if it := &b.items[i]; it.queued {
				it.q.next--
			}
		}
		if ro := s.ReadOnly(); ro != nil {
			return 0, ro
		}
		return 0, s.lacks(writeSpace, err)
	}
	s.has(writeSpace)
	return n, nil
}

// refusal is nil, or why only vital batches are taken.
func (s *Store) refusal() error {
	if err := s.noSpace(); err != nil {
		return err
	}
	return s.DiskFull()
}

// ReadOnly is nil, or wraps ErrReadOnly and the cause for which the store takes
// no more records.
func (s *Store) ReadOnly() error {
	if err := s.log.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrReadOnly, err)
	}
	return nil
}

// fail makes the store read-only because of cause.
func (s *Store) fail(cause error) {
	s.log.Fail(cause)
	s.flush.signal()
	s.dispatch.stopWaiting()
}

// doing is what the one writer of the log does, for those that wait too long.
type doing struct {
	epoch time.Time    // of the store's opening
	since atomic.Int64 // ms since epoch, and 1; 0: nothing that waits for the disk
	what  atomic.Int64 // bytes that are written, or rolls
}

// rolls is doing.what while a log file ends.
const rolls = -1

func (d *doing) begin(what int64) {
	d.what.Store(what)
	d.since.Store(time.Since(d.epoch).Milliseconds() + 1)
}

func (d *doing) end() { d.since.Store(0) }

// lasted is for how long the writer has been at it, 0 when it writes nothing.
func (d *doing) lasted() time.Duration {
	since := d.since.Load()
	if since == 0 {
		return 0
	}
	return time.Since(d.epoch) - time.Duration(since-1)*time.Millisecond
}

func (d *doing) text() string {
	since, what := d.since.Load(), d.what.Load()
	ms := time.Since(d.epoch).Milliseconds() + 1 - since
	switch {
	case since == 0:
		return "more is sent at once than it takes"
	case what == rolls:
		return fmt.Sprintf("another send has waited %d ms for the next file: the disk is slow", ms)
	}
	return fmt.Sprintf("another send has been writing %d bytes for %d ms: the disk is slow", what, ms)
}
