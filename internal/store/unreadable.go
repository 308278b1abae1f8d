// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	placeSize     = 1 << 20 // bytes of log that become readable or damaged together
	maxPlaces     = 4096    // of them that are remembered
	unreadableFor = 120_000 // ms that a place is given
)

// badPlaces are the parts of the log that could not be read. A disk that is gone for
// a moment must not lead readers past what it holds, and one that stays bad must not
// hold them: a place is given some time, and counts as damaged from then on. Each
// place of a bad stretch that has had its time shortens the wait for the rest: as much
// again behind it as the stretch is long has had it too, so that a whole bad file of
// 1 GiB takes ten waits.
type badPlaces struct {
	known atomic.Int64 // len(places)

	mu     sync.Mutex
	places map[int64]place // by offset / placeSize; at most maxPlaces

	// The last stretch of places that have had their time, and behind what counts as
	// part of it.
	from, reach int64
}

// place is a part of the log that could not be read.
type place struct {
	at    int64 // the record that could not be read first
	since int64 // when that was (ms)
	given bool  // it has had its time
}

// failed notes that the record at offset can't be read now (ms). first: nobody knew
// of its place. given: it has had its time.
func (b *badPlaces) failed(offset, now, min int64) (first, given bool) {
	n := offset / placeSize
	b.mu.Lock()
	defer b.mu.Unlock()
	p, ok := b.places[n]
	if !ok {
		if len(b.places) >= maxPlaces {
			for old := range b.places {
				if old < min/placeSize {
					delete(b.places, old)
				}
			}
		}
		// A disk with so many bad places is no disk that comes back.
		p = place{at: offset, since: now, given: len(b.places) >= maxPlaces || n >= b.from && n < b.reach}
	}
	if !p.given && now-p.since >= unreadableFor {
		p.given = true
		if n < b.from || n > b.reach {
			b.from = n
		}
		b.reach = n + 1 + (n + 1 - b.from)
	}
	if ok || len(b.places) < maxPlaces {
		b.places[n] = p
	}
	b.known.Store(int64(len(b.places)))
	return !ok, p.given
}

// readable notes that the record at offset could be read: if it is the one for which
// its place was found bad, the place is not, and is given its time anew should it
// become so.
func (b *badPlaces) readable(offset int64) {
	if b.known.Load() == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	n := offset / placeSize
	if p, ok := b.places[n]; ok && p.at == offset {
		delete(b.places, n)
		b.known.Store(int64(len(b.places)))
		if n >= b.from && n < b.reach {
			b.from, b.reach = 0, 0
		}
	}
}

// readError says what an error of reading the record at offset means: what it
// says, or ErrUnreadable, or ErrDamaged.
func (s *Store) readError(offset int64, err error) error {
	if !unreadable(err) {
		return err
	}
	first, given := s.reads.bad.failed(offset, s.cfg.NowMillis(), s.log.Min())
	if given {
		return s.damaged(offset, err)
	}
	if first {
		s.cfg.Logger.Error("store: the log can't be read: it is tried again, and passed over if that does not help",
			"offset", offset, "for", unreadableFor*time.Millisecond, "cause", err)
	}
	return fmt.Errorf("%w at offset %d: %w", ErrUnreadable, offset, err)
}

// mediumErrors are those of a failing medium, and of a file that is too short or gone.
var mediumErrors = []error{syscall.EIO, errCorrupt, syscall.EBADMSG, syscall.ENODATA, fs.ErrNotExist, io.EOF, io.ErrUnexpectedEOF}

// unreadable tells a failing medium, or a file that ends too early or was taken
// away, from what may be over soon (too many open files, no memory).
func unreadable(err error) bool {
	for _, e := range mediumErrors {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
