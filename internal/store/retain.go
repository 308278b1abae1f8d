// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twostage/twostage/internal/store/retention"
)

// ErrDiskFull wraps why the disk counts as full: Append refuses batches that are
// not Vital. It takes them again by itself once there is space.
var ErrDiskFull = errors.New("store: the disk counts as full, no records are taken until there is space")

// Deletion says which log files go, or went.
type Deletion struct {
	From, End int64  // log offsets: records from From up to End
	Files     int    // log files; 0 when nothing went
	Unexpired int    // of them, the newest: files that Policy.Reserved would have kept
	Why       string // for people
}

// retainer is what the store knows about deleting what is old.
type retainer struct {
	mu      sync.Mutex // one round at a time
	closed  bool
	lagging bool // log files are gone and the views have not followed
	unknown bool // how full the disk is could not be found out the last time

	policy atomic.Pointer[retention.Policy] // nil: nothing is deleted

	full      atomic.Pointer[error] // nil, or wraps ErrDiskFull
	used      atomic.Uint64         // bits of a float64
	deleted   atomic.Int64          // files
	unexpired atomic.Int64          // of them
	covered   atomic.Int64          // log offset below which all queue entries are durable
}

// DiskFull is nil, or wraps ErrDiskFull and says how full the disk is and which
// key of the configuration forbids more. It is cheap.
func (s *Store) DiskFull() error {
	if err := s.retain.full.Load(); err != nil {
		return *err
	}
	return nil
}

// runRetention runs a round every RetentionInterval until ctx ends or the store
// fails.
func (s *Store) runRetention(ctx context.Context) {
	tick := time.NewTicker(s.cfg.RetentionInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if s.log.Err() != nil {
			return
		}
		if _, err := s.Retain(false); err != nil {
			s.cfg.Logger.Error("store: a round of retention stopped, the next one goes on", "error", err)
		}
	}
}

// Retain measures the disk and deletes what Config.Retention lets go now, log
// files first, then what views have of them. asked is for an operator: expired
// files go at any hour, and no others. The store runs it every RetentionInterval; it may be
// called beside that, also right after it to have more than a batch deleted. It
// returns what went, also with an error: one of BeforeDelete, of ReadOnly, of
// Flush, ErrNoSpace when queue entries of what should go have no space, or an I/O
// error. The next round tries again. Without Config.Retention it does nothing.
func (s *Store) Retain(asked bool) (Deletion, error) {
	r := &s.retain
	if r.policy.Load() == nil {
		return Deletion{}, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return Deletion{}, ErrClosed
	}
	var gone Deletion
	err := s.ReadOnly()
	for err == nil {
		p := *r.policy.Load()
		p.Batch -= gone.Files
		files := s.oldest(p.Batch)
		before := math.Float64frombits(r.used.Load())
		d := s.look(p, files, asked)
		if d.Delete == 0 || p.Batch == 0 {
			break
		}
		if d.Unexpired > 0 && gone.Unexpired > 0 && math.Float64frombits(r.used.Load()) >= before {
			break // what went has not shown yet: a reader holds it, or the file system takes its time
		}
		err = s.deleteFiles(files, d, &gone)
	}
	if r.lagging && s.log.Err() == nil {
		err = errors.Join(err, s.follow())
	}
	return gone, err
}

// Follow drops from queues and index what log files held that are gone, and deletes
// nothing else. Retain does so by itself; this is for what an error left. Errors are
// ErrClosed, those of ReadOnly, and I/O errors, after which the next Retain or Follow
// tries again.
func (s *Store) Follow() error {
	r := &s.retain
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return ErrClosed
	}
	if err := s.ReadOnly(); err != nil {
		return err
	}
	return s.follow()
}

// SetRetention makes Config.Retention another one from the next round on. It is an
// error where that is nil, and for a policy that can't be.
func (s *Store) SetRetention(p retention.Policy) error {
	if err := p.Check(); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if s.retain.policy.Load() == nil {
		return errors.New("store: it was opened without retention")
	}
	s.retain.policy.Store(&p)
	return nil
}

// oldest returns at most n log files that may go, the oldest first.
func (s *Store) oldest(n int) []retention.File {
	ages := s.log.Oldest(n)
	files := make([]retention.File, len(ages))
	for i, a := range ages {
		files[i] = retention.File{Start: a.Start, Newest: a.Newest}
	}
	return files
}

// look measures the disk, decides, and notes whether it counts as full.
func (s *Store) look(p retention.Policy, files []retention.File, asked bool) retention.Decision {
	r := &s.retain
	used, err := s.cfg.DiskUsed()
	if err != nil {
		used = -1
		if !r.unknown {
			s.cfg.Logger.Error("store: how full the disk is, is not known", "error", err)
		}
	}
	r.unknown = err != nil
	r.used.Store(math.Float64bits(used))
	was := r.full.Load() != nil
	d := p.Decide(retention.View{Now: s.clock(), Used: used, Full: was, Files: files, Asked: asked})
	if d.Full {
		err := fmt.Errorf("%w: %s", ErrDiskFull, d.WhyFull)
		r.full.Store(&err)
	} else {
		r.full.Store(nil)
	}
	switch {
	case d.Full && !was:
		s.cfg.Logger.Error("store: records are refused", "why", d.WhyFull)
	case was && !d.Full:
		s.cfg.Logger.Warn("store: records are taken again", "used", used)
	}
	return d
}

// deleteFiles deletes the log files that d names, and adds what went to gone.
//
// Each step must be durable before the next. A queue without its entries of a
// deleted record could not know its next offset: they come first. What
// BeforeDelete says about a record must not be lost when the record is.
func (s *Store) deleteFiles(files []retention.File, d retention.Decision, gone *Deletion) error {
	r, size := &s.retain, s.cfg.CommitLogFileSize
	expired := d.Delete - d.Unexpired
	if err := s.cover(files[d.Delete-1].Start + size); err != nil {
		covered := 0
		for covered < d.Delete && files[covered].Start+size <= r.covered.Load() {
			covered++
		}
		if !errors.Is(err, ErrNoSpace) || covered == 0 {
			return fmt.Errorf("store: log files are not deleted yet: %w", err)
		}
		d.Delete, d.Unexpired = covered, max(0, covered-expired) // they make space
	}
	next := Deletion{From: files[0].Start, End: files[d.Delete-1].Start + size, Files: d.Delete, Unexpired: d.Unexpired, Why: d.Why}
	if s.cfg.BeforeDelete != nil {
		if err := s.cfg.BeforeDelete(next); err != nil {
			return fmt.Errorf("store: log files are not deleted yet, something forbids it: %w", err)
		}
	}
	if err := s.Flush(s.log.End()); err != nil {
		return err
	}
	if d.Unexpired > 0 {
		s.cfg.Logger.Error("store: unexpired messages are deleted, the disk is too full", "from", next.From, "end", next.End,
			"files", next.Files, "unexpired", next.Unexpired, "why", next.Why)
	} else {
		s.cfg.Logger.Info("store: log files are deleted", "from", next.From, "end", next.End, "files", next.Files, "why", next.Why)
	}
	r.lagging = true
	err := s.log.Trim(next.End)
	went := int((s.log.Min() - next.From) / size)
	unexpired := max(0, went-expired)
	r.deleted.Add(int64(went))
	r.unexpired.Add(int64(unexpired))
	if went > 0 {
		if gone.Files == 0 {
			gone.From, gone.Why = next.From, next.Why
		}
		gone.End, gone.Files, gone.Unexpired = s.log.Min(), gone.Files+went, gone.Unexpired+unexpired
	}
	if err != nil && s.log.Err() != nil {
		s.fail(err)
		return s.ReadOnly()
	}
	return err
}

// cover makes the queue entries of all records below the log offset durable.
func (s *Store) cover(end int64) error {
	if s.retain.covered.Load() >= end {
		return nil
	}
	if err := s.Flush(s.log.End()); err != nil {
		return err
	}
	if err := s.WaitDispatched(end); err != nil {
		return err
	}
	err := s.flushViews()
	if err != nil && !errors.Is(err, ErrNoSpace) {
		s.fail(err)
		return s.ReadOnly()
	}
	return err
}

// close waits for the round that runs and lets no other begin.
func (r *retainer) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
}

// diskUsed is the default of Config.DiskUsed. Links and mounts may put log and
// queues on disks of their own.
func (c *Config) diskUsed() (float64, error) {
	used := 0.0
	for _, dir := range []string{c.CommitLog, c.Dir, c.Dir + "/consumequeue"} {
		u, err := c.FS.Usage(dir)
		if errors.Is(err, fs.ErrNotExist) && dir != c.Dir {
			continue // made later, in c.Dir
		}
		if err != nil {
			return 0, err
		}
		used = max(used, u.Ratio())
	}
	return used, nil
}
