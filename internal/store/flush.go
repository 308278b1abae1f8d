// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twostage/twostage/internal/store/checkpoint"
	"github.com/twostage/twostage/internal/vfs"
)

// pageSize is the page that Config.FlushLeastPages counts, in bytes.
const pageSize = 4096

// flusher makes the log durable. Whoever comes first syncs for all who wait
// (group commit).
type flusher struct {
	s    *Store
	wake chan struct{}

	mu      sync.Mutex
	cond    sync.Cond // a sync has ended
	syncing bool
	waiters []waiter
	spare   []waiter

	physicTS atomic.Int64 // store timestamp up to which the log is durable
}

type waiter struct {
	offset int64
	fn     func(error)
}

func (f *flusher) init(s *Store, ts int64) {
	f.s = s
	f.cond.L = &f.mu
	f.wake = make(chan struct{}, 1)
	f.physicTS.Store(ts)
}

func (f *flusher) signal() { wake(f.wake) }

// WhenFlushed calls fn once everything below the log offset is durable, with
// nil, or with the reason why it never will be (ErrReadOnly, ErrClosed). fn
// runs at once, on the caller's goroutine, when that is known already, else on
// the flushing goroutine: it must be quick and must not call Close. Concurrent
// callers share one fdatasync. There is no time limit: a caller that gives up
// ignores the call.
func (s *Store) WhenFlushed(offset int64, fn func(error)) {
	f := &s.flush
	f.mu.Lock()
	if done, err := f.settled(offset); done {
		f.mu.Unlock()
		fn(err)
		return
	}
	f.waiters = append(f.waiters, waiter{offset, fn})
	f.mu.Unlock()
	f.signal()
}

// settled tells whether the fate of offset is known, and what it is.
func (f *flusher) settled(offset int64) (done bool, err error) {
	switch {
	case f.s.log.Synced() >= offset:
		return true, nil
	case f.s.log.Err() != nil:
		return true, f.s.ReadOnly()
	case f.s.ended.Load():
		return true, ErrClosed
	}
	return false, nil
}

// Flush makes everything below the log offset durable and returns when it is:
// it syncs itself unless somebody else is doing it. Errors as of WhenFlushed.
func (s *Store) Flush(offset int64) error {
	f := &s.flush
	f.mu.Lock()
	for {
		if done, err := f.settled(offset); done {
			f.mu.Unlock()
			return err
		}
		if offset > s.log.End() {
			f.mu.Unlock()
			return ErrNotFound
		}
		if f.syncing {
			f.cond.Wait()
			continue
		}
		f.syncLocked()
	}
}

// syncLocked runs one sync and calls those who waited for what it covered. mu
// is given up meanwhile; no other sync is running.
func (f *flusher) syncLocked() {
	f.syncing = true
	f.mu.Unlock()
	_, ts, err := f.s.log.Sync()
	if err != nil {
		f.s.dispatch.stopWaiting()
	} else {
		f.physicTS.Store(max(ts, f.physicTS.Load()))
		if d := &f.s.dispatch; d.held.Swap(false) || f.s.cfg.SyncFlush {
			d.signal()
		}
	}
	f.mu.Lock()
	f.syncing = false
	f.cond.Broadcast()
	f.callLocked()
}

// callLocked calls the waiters whose fate is known. mu is given up meanwhile.
func (f *flusher) callLocked() {
	ready := f.spare[:0]
	f.spare = nil
	kept := f.waiters[:0]
	for _, w := range f.waiters {
		if done, _ := f.settled(w.offset); done {
			ready = append(ready, w)
		} else {
			kept = append(kept, w)
		}
	}
	clear(f.waiters[len(kept):])
	f.waiters = kept
	if len(ready) > 0 {
		f.mu.Unlock()
		for _, w := range ready {
			_, err := f.settled(w.offset)
			w.fn(err)
		}
		clear(ready)
		f.mu.Lock()
	}
	if f.spare == nil {
		f.spare = ready[:0]
	}
}

// run flushes by policy until ctx ends.
func (f *flusher) run(ctx context.Context) {
	cfg := &f.s.cfg
	tick := time.NewTicker(cfg.FlushInterval)
	defer tick.Stop()
	thorough := time.Now() // monotonic
	for {
		due := false
		select {
		case <-ctx.Done():
			return
		case <-f.wake:
			f.mu.Lock()
			due = cfg.SyncFlush || len(f.waiters) > 0
			f.mu.Unlock()
		case now := <-tick.C:
			dirty := f.s.log.End() - f.s.log.Synced()
			late := now.Sub(thorough) >= cfg.FlushThoroughInterval
			due = dirty > 0 && (late || cfg.SyncFlush || dirty >= int64(cfg.FlushLeastPages)*pageSize)
			if due || late {
				thorough = now
			}
		}
		if !due {
			continue
		}
		f.mu.Lock()
		if !f.syncing {
			f.syncLocked()
		} else {
			// Whoever syncs now may have begun before the last write.
			f.cond.Wait()
			f.signal()
		}
		f.mu.Unlock()
	}
}

// runViews makes queues, index and checkpoint durable until ctx ends.
func (s *Store) runViews(ctx context.Context) {
	tick := time.NewTicker(s.cfg.ViewFlushInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.short.look:
			s.lookForLog()
			continue
		case <-s.viewWake:
		case <-tick.C:
		}
		if s.log.Err() != nil {
			return
		}
		begin := time.Now() // monotonic
		if err := s.flushViews(); err != nil && !errors.Is(err, ErrNoSpace) {
			s.fail(err)
			return
		}
		// With very many queues a flush takes longer than the interval. It rests
		// four times as long as it worked, so that appends have the processors.
		tick.Reset(max(s.cfg.ViewFlushInterval, 4*time.Since(begin)))
	}
}

// flushViews makes the queues and the index durable as far as they are, and
// then lets the checkpoint say so. For want of space the error wraps ErrNoSpace:
// what was not written stays in memory, and runViews tries again soon.
func (s *Store) flushViews() error {
	s.viewFlush.Lock()
	defer s.viewFlush.Unlock()
	err := s.flushViewsLocked()
	switch {
	case err == nil:
		s.has(viewSpace)
	case vfs.NoSpace(err):
		s.short.again.Reset(spaceInterval)
		return s.lacks(viewSpace, err)
	}
	return err
}

func (s *Store) flushViewsLocked() error {
	t := checkpoint.Times{Physic: s.flush.physicTS.Load(), Logics: s.dispatch.dispatchedTS.Load()}
	queued := s.Dispatched()
	if err := s.cqs.Flush(); err != nil {
		return err
	}
	s.retain.covered.Store(max(queued, s.retain.covered.Load()))
	safe, err := s.index.Flush()
	if err != nil {
		return err
	}
	t.Index = safe
	return s.check.Write(t)
}
