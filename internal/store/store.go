// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twostage/twostage/internal/store/checkpoint"
	"github.com/twostage/twostage/internal/store/commitlog"
	"github.com/twostage/twostage/internal/store/consumequeue"
	"github.com/twostage/twostage/internal/store/index"
	"github.com/twostage/twostage/internal/vfs"
)

// ErrInUse is what Open wraps when another store has the directory.
var ErrInUse = checkpoint.ErrInUse

// Store is an open store directory. Its methods may be called by any goroutine
// unless they say otherwise. See the package comment for what it promises.
type Store struct {
	cfg   Config
	lock  io.Closer
	check *checkpoint.File
	log   *commitlog.Log
	cqs   *consumequeue.Set
	index *index.Index

	queues   queues
	deleted  tombstones
	dispatch dispatcher
	flush    flusher
	retain   retainer

	maxMessage atomic.Int64 // Config.MaxMessageSize, as it is now
	reads      readChecks
	short      shortage
	viewWake   chan struct{}
	recovery   Recovery
	puts       puts

	viewFlush sync.Mutex // one flush of the views at a time

	rebuilding context.Context // of Rebuild; nil otherwise
	oldQueues  bool            // until the rebuild of the queues is finished
	kept       []KeptOffset    // by the recovery
	gaps       []KeptOffset    // by those before

	mu     turn  // the one writer: log, Queue.next
	doing  doing // what the one writer does; for ErrBusy
	closed bool

	replaying atomic.Bool // what OnReplay was told is not dealt with

	ended     atomic.Bool // nothing more will become durable
	done      chan struct{}
	stop      context.CancelFunc
	work      sync.WaitGroup // flusher, view flusher, reservation
	stages    sync.WaitGroup // dispatcher
	closeOnce sync.Once
	closeErr  error
}

// Recovery says what Open found.
type Recovery struct {
	Clean       bool  // the last run ended cleanly
	Start, End  int64 // log offsets: records were read from, log ends at
	Records     int   // records read
	Damage      []commitlog.Damage
	Cut         int64 // bytes removed behind the last record
	FromScratch bool  // queues were rebuilt from the whole log
}

// Open locks the store directory, which it makes when missing, recovers the log
// and the views, and starts the store's goroutines, which Close ends. A
// directory in use gives an error that wraps ErrInUse and names it. Directories
// written by Apache RocketMQ 4.9 are opened as they are, if the file sizes in
// cfg are those they were written with.
func Open(cfg Config) (_ *Store, err error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	if err := vfs.MkdirAllSync(cfg.FS, cfg.Dir); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	if err := vfs.SyncNames(cfg.FS, cfg.Dir); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	s := &Store{cfg: cfg, viewWake: make(chan struct{}, 1), done: make(chan struct{}), doing: doing{epoch: time.Now()}}
	s.maxMessage.Store(int64(cfg.MaxMessageSize))
	s.queues.topics = make(map[string]map[int32]*Queue)
	if s.lock, err = checkpoint.Lock(cfg.FS, cfg.Dir); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.release(false))
		}
	}()
	if err := s.recover(); err != nil {
		return nil, fmt.Errorf("store: open %s: %w", cfg.Dir, err)
	}
	s.start()
	return s, nil
}

func (s *Store) start() {
	ts := s.log.LastTimestamp()
	s.reads.init(s.log.End(), s.newest())
	s.dispatch.init(s, s.log.End(), ts)
	s.flush.init(s, ts)
	s.short.init(s.viewWake)
	s.retain.covered.Store(s.recovery.Start)
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.work.Go(func() { s.flush.run(ctx) })
	s.work.Go(func() { s.runViews(ctx) })
	s.work.Go(func() { s.log.RunAhead(ctx) })
	s.retain.policy.Store(s.cfg.Retention)
	if s.cfg.Retention != nil {
		s.look(*s.cfg.Retention, nil, false)
		s.work.Go(func() { s.runRetention(ctx) })
	}
	s.stages.Go(s.dispatch.runQueues)
	s.stages.Go(s.dispatch.runIndex)
	s.log.Prepare()
	if !s.recovery.Clean {
		wake(s.viewWake) // so that the next recovery need not do the same again
	}
}

// Run blocks until ctx ends or the store is closed, and returns nil. The
// store's goroutines run from Open to Close whether it is called or not; a
// failed store stays readable, so a failure does not end Run (see ReadOnly).
func (s *Store) Run(ctx context.Context) error {
	select {
	case <-ctx.Done():
	case <-s.done:
	}
	return nil
}

// Close ends the store: no more appends, everything durable, views complete,
// checkpoint written, the file reserved ahead deleted, abort removed, the
// directory unlocked. After a failure it leaves what is there to recovery and
// returns the cause. GetResults stay valid until released; other reads must have
// ended. It waits for the store's goroutines; a second call returns the same.
func (s *Store) Close() error {
	s.closeOnce.Do(func() { s.closeErr = s.close() })
	return s.closeErr
}

func (s *Store) close() error {
	s.mu.lock(0)
	s.closed = true
	s.mu.unlock()
	s.stop()
	s.work.Wait()
	s.retain.close()
	err := s.Flush(s.log.End())
	s.ended.Store(true)
	s.flush.mu.Lock()
	s.flush.callLocked()
	s.flush.mu.Unlock()
	s.dispatch.mu.Lock()
	s.dispatch.closing = true
	s.dispatch.mu.Unlock()
	s.dispatch.stopWaiting()
	s.stages.Wait()
	s.dispatch.stopWaiting()
	if err == nil {
		err = errors.Join(s.ReadOnly(), s.lackOf(behind)) // a view may have failed, or lack entries
	}
	if err == nil {
		err = s.flushViews()
	}
	s.short.stop()
	close(s.done)
	if err != nil {
		err = fmt.Errorf("store: close %s: %w", s.cfg.Dir, err)
	}
	return errors.Join(err, s.release(err == nil && !s.replaying.Load()))
}

// ReplayDone says that what OnReplay was told has been dealt with, durably or in
// the log. Until then Close leaves the directory as a crash would, so that the next
// Open tells all of it again.
func (s *Store) ReplayDone() { s.replaying.Store(false) }

// release closes what is open, in reverse order of opening. clean: everything
// is durable, so that abort may go.
func (s *Store) release(clean bool) error {
	var errs []error
	add := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	if s.index != nil {
		add(s.index.Close())
	}
	if s.cqs != nil {
		add(s.cqs.Close())
	}
	if s.log != nil {
		add(s.log.Close(clean))
	}
	if s.check != nil {
		add(s.check.Close())
	}
	if clean && len(errs) == 0 {
		add(checkpoint.ClearAbort(s.cfg.FS, s.cfg.Dir))
	}
	if s.lock != nil {
		add(s.lock.Close())
	}
	return errors.Join(errs...)
}

// SyncFlush tells whether an answer to a sender should wait for WhenFlushed.
func (s *Store) SyncFlush() bool { return s.cfg.SyncFlush }

// MinPhysical is the log offset of the first record that is kept.
func (s *Store) MinPhysical() int64 { return s.log.Min() }

// MaxPhysical is the log offset behind the last record.
func (s *Store) MaxPhysical() int64 { return s.log.End() }

// LastTimestamp is the greatest store timestamp of the log's records, ms; 0 when
// there is none.
func (s *Store) LastTimestamp() int64 { return s.log.LastTimestamp() }

// Flushed is the log offset below which everything is durable.
func (s *Store) Flushed() int64 { return s.log.Synced() }

// Dispatched is the log offset below which all records are in their queues.
func (s *Store) Dispatched() int64 { return s.dispatch.dispatched.Load() }

// Queued tells whether all records below the log offset whose Append has returned
// are in their queues.
func (s *Store) Queued(offset int64) bool {
	return s.dispatch.dispatched.Load() >= min(offset, s.dispatch.added.Load())
}

// Stats are numbers about a store at one moment. Offsets are those of the log.
type Stats struct {
	Min, End, Flushed   int64
	Dispatched, Indexed int64
	Backlog             int   // bytes of entries on their way to the views
	FirstTime, LastTime int64 // store timestamps, ms; LastTime 0 when empty, FirstTime as EarliestTime
	DamagedRanges       int   // found by the recovery of this Open
	DamagedBytes        int64
	DamagedReads        int64 // times that a read has passed over a damaged record since Open
	Recovery            Recovery
	Unflushed           int64         // End - Flushed
	Writing             time.Duration // for how long the present write to the log, or the change of its file, has lasted; 0: there is none

	DiskUsed         float64 // 0 to 1, as last measured; negative when not known; 0 without Config.Retention
	DiskFull         bool    // Append refuses: see DiskFull
	DeletedFiles     int64   // log files that retention has deleted since Open
	DeletedUnexpired int64   // of them, those that Policy.Reserved would have kept
}

// Stats returns the numbers of this moment.
func (s *Store) Stats() Stats {
	st := Stats{Min: s.log.Min(), End: s.log.End(), Flushed: s.log.Synced(), Dispatched: s.dispatch.dispatched.Load(),
		Indexed: s.dispatch.indexed.Load(), FirstTime: s.EarliestTime(), LastTime: s.log.LastTimestamp(),
		DamagedRanges: len(s.recovery.Damage), Recovery: s.recovery}
	st.Unflushed, st.DamagedReads, st.Writing = st.End-st.Flushed, s.reads.count.Load(), s.doing.lasted()
	st.DiskUsed, st.DiskFull = math.Float64frombits(s.retain.used.Load()), s.DiskFull() != nil
	st.DeletedFiles, st.DeletedUnexpired = s.retain.deleted.Load(), s.retain.unexpired.Load()
	for _, d := range s.recovery.Damage {
		st.DamagedBytes += d.Length
	}
	s.dispatch.mu.Lock()
	st.Backlog = s.dispatch.backlog
	s.dispatch.mu.Unlock()
	return st
}

// clock is the store's wall clock as a time, for index file names.
func (s *Store) clock() time.Time { return time.UnixMilli(s.cfg.NowMillis()) }
