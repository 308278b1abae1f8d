// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/twostage/twostage/internal/store/checkpoint"
	"github.com/twostage/twostage/internal/store/commitlog"
	"github.com/twostage/twostage/internal/store/segment"
)

// What a rebuild calls the views that it replaces, and what it calls them when
// they are no longer needed.
const (
	replacedQueues = "/consumequeue.replaced"
	replacedIndex  = "/index.replaced"
	unneeded       = "/replaced.removed"
)

// Rebuilt says what Rebuild did.
type Rebuilt struct {
	Start, End int64              // log offsets: the records between them were read
	Records    int                // of them
	Damage     []commitlog.Damage // bytes that are no records, skipped
	Torn       int64              // bytes behind End that are no records; the next Open removes them
	Queues     int                // that are there now
	Kept       []KeptOffset       // queues that go on behind their last record
	Aborted    bool               // abort stays: the next Open recovers as after a crash
}

// KeptOffset is a queue whose next offset is kept although the log no longer has
// all records before it: blank entries stand for those.
type KeptOffset struct {
	Topic string
	ID    int32
	From  int64 // the next offset, as the log has it
	Next  int64 // as it was, and is
	At    int64 // log offset behind the last record when it was kept
}

// Rebuild makes all views of the store in cfg.Dir from the log, whatever they hold:
// queues, index, checkpoint, and what also makes, which is called, if it is not
// nil, while the directory is locked, before the views are touched. A store that is
// in use gives an error that wraps ErrInUse; one that cannot be read with the file
// sizes of cfg gives one before anything is changed.
//
// Not a byte of the log changes; a log file that is shorter than it must be gets
// its size. Queues never go back: one whose last records the log has lost, or all,
// keeps its next offset. When the last run did not end in order, abort stays and the
// checkpoint claims no more than before, so that the next Open tells its caller
// what it would have told.
//
// The order: abort, the checkpoint claims nothing, the old views get another name,
// new ones, offsets kept, new views durable, old ones removed, checkpoint, abort
// removed. After a stop in between, Open and Rebuild go on from the beginning. The
// end of ctx is such a stop, noticed while the log is read.
func Rebuild(ctx context.Context, cfg Config, also func() error) (r *Rebuilt, err error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	cfg.OnReplay, cfg.OnArrive, cfg.Retention = nil, nil, nil
	if _, isDir, err := cfg.FS.Stat(cfg.CommitLog); err != nil || !isDir {
		return nil, errors.Join(fmt.Errorf("store: rebuild: there is no commit log in %s", cfg.CommitLog), err)
	}
	s := &Store{cfg: cfg, rebuilding: ctx}
	s.maxMessage.Store(int64(cfg.MaxMessageSize))
	s.queues.topics = make(map[string]map[int32]*Queue)
	if s.lock, err = checkpoint.Lock(cfg.FS, cfg.Dir); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	done := false
	defer func() {
		err = errors.Join(err, s.release(done))
		if err != nil {
			r = nil
		}
	}()
	if r, err = s.rebuild(also); err != nil {
		return nil, fmt.Errorf("store: rebuild %s: %w", cfg.Dir, err)
	}
	done = !r.Aborted
	return r, nil
}

func (s *Store) rebuild(also func() error) (*Rebuilt, error) {
	cfg := &s.cfg
	aborted, err := checkpoint.Aborted(cfg.FS, cfg.Dir)
	if err != nil {
		return nil, err
	}
	claimed, err := checkpoint.Read(cfg.FS, cfg.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := s.checkFiles(); err != nil {
		return nil, err
	}
	if err := s.forgetViews(); err != nil {
		return nil, err
	}
	if also != nil {
		if err := also(); err != nil {
			return nil, err
		}
	}
	if err := s.replaceViews(); err != nil {
		return nil, err
	}
	if err := s.recover(); err != nil {
		return nil, err
	}
	if err := s.cqs.Flush(); err != nil {
		return nil, err
	}
	safe, err := s.index.Flush()
	if err != nil {
		return nil, err
	}
	rec := &s.recovery
	r := &Rebuilt{Start: rec.Start, End: rec.End, Records: rec.Records, Damage: rec.Damage, Torn: rec.Cut, Kept: s.kept, Aborted: aborted || rec.Cut > 0}
	for _, ids := range s.queues.topics {
		r.Queues += len(ids)
	}
	last := s.log.LastTimestamp()
	t := checkpoint.Times{Physic: last, Logics: last, Index: min(safe, last)}
	if r.Aborted { // the log may not be on the disk, and the broker wants to see its end
		t = checkpoint.Times{Physic: between(claimed.Physic, last), Logics: between(claimed.Logics, last), Index: between(claimed.Index, last)}
	}
	return r, s.check.Reset(t)
}

func between(ms, most int64) int64 { return max(0, min(ms, most)) }

// checkFiles makes sure that the log can be read, before anything is changed.
func (s *Store) checkFiles() error {
	list, err := segment.List(s.cfg.FS, s.cfg.CommitLog, s.cfg.CommitLogFileSize)
	if err != nil {
		return err
	}
	for _, start := range list.Starts {
		path := segment.Join(s.cfg.CommitLog, start)
		size, _, err := s.cfg.FS.Stat(path)
		if err != nil {
			return err
		}
		if size > s.cfg.CommitLogFileSize {
			return fmt.Errorf("%s has %d bytes, the configured file size is %d (mappedFileSizeCommitLog)", path, size, s.cfg.CommitLogFileSize)
		}
	}
	return s.deleted.load(s.cfg.FS, s.cfg.Dir)
}

// forgetViews durably sees to it that whatever the views hold is made anew.
func (s *Store) forgetViews() error {
	if err := checkpoint.SetAbort(s.cfg.FS, s.cfg.Dir); err != nil {
		return err
	}
	c, err := checkpoint.Open(s.cfg.FS, s.cfg.Dir)
	if err != nil {
		return err
	}
	return errors.Join(c.Reset(checkpoint.Times{}), c.Close())
}

// replaceViews gives the views another name, unless an unfinished rebuild has done
// so: then the queues that are there are its own.
func (s *Store) replaceViews() error {
	dir := s.cfg.Dir
	old, err := s.exists(replacedQueues)
	if err != nil {
		return err
	}
	for _, v := range []struct {
		name, to string
		keep     bool
	}{{"/consumequeue", replacedQueues, old}, {"/index", replacedIndex, false}} {
		found, err := s.exists(v.name)
		if err != nil {
			return err
		}
		if v.keep || !found {
			continue // see resumeRebuild
		}
		if err := s.cfg.FS.RemoveAll(dir + v.to); err != nil {
			return err
		}
		if err := s.cfg.FS.Rename(dir+v.name, dir+v.to); err != nil {
			return err
		}
		if err := s.cfg.FS.SyncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) exists(name string) (bool, error) {
	_, _, err := s.cfg.FS.Stat(s.cfg.Dir + name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// resumeRebuild prepares the recovery that finishes a rebuild, if there is one to
// finish: what it has made so far goes.
func (s *Store) resumeRebuild() (err error) {
	if s.oldQueues, err = s.exists(replacedQueues); err != nil || !s.oldQueues {
		return err
	}
	if s.rebuilding == nil {
		s.cfg.Logger.Warn("store: a rebuild was not finished, it is now", "dir", s.cfg.Dir)
		if err := s.forgetViews(); err != nil {
			return err
		}
	}
	return s.cfg.FS.RemoveAll(s.cfg.Dir + "/consumequeue")
}

// endRebuild removes the old views, once the queues are durable. The name changes
// first: a part of the old queues must not be taken for all of them.
func (s *Store) endRebuild() error {
	if s.oldQueues {
		if err := s.cqs.Flush(); err != nil {
			return err
		}
	}
	for _, name := range []string{replacedQueues, replacedIndex, ""} {
		if err := s.removeUnneeded(); err != nil || name == "" {
			s.oldQueues = false
			return err
		}
		found, err := s.exists(name)
		if err != nil {
			return err
		}
		if !found {
			continue
		}
		if err := s.cfg.FS.Rename(s.cfg.Dir+name, s.cfg.Dir+unneeded); err != nil {
			return err
		}
		if err := s.cfg.FS.SyncDir(s.cfg.Dir); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) removeUnneeded() error {
	found, err := s.exists(unneeded)
	if err != nil || !found {
		return err
	}
	if err := s.cfg.FS.RemoveAll(s.cfg.Dir + unneeded); err != nil {
		return err
	}
	return s.cfg.FS.SyncDir(s.cfg.Dir)
}
