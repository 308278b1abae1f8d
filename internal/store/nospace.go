// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twostage/twostage/internal/vfs"
)

// ErrNoSpace wraps the cause, an ENOSPC or EDQUOT, for which the store takes no
// records at present. It tries again by itself: once there is space, Append
// works.
var ErrNoSpace = errors.New("store: no space left on the disk, the store goes on once there is some")

// spaceInterval is how often what could not be written is tried again.
const spaceInterval = time.Second

// need is something that space is needed for.
type need uint8

const (
	queueSpace need = iota // entries on their way into queue files
	indexSpace             // and into index files
	viewSpace              // a flush of queues, index and checkpoint
	fileSpace              // the next log file
	writeSpace             // a write into the one that there is, where that was not reserved
	needs

	behind  = 1<<queueSpace | 1<<indexSpace // entries wait
	refuses = behind | 1<<viewSpace         // Append takes nothing
	ofLog   = 1<<fileSpace | 1<<writeSpace  // Append takes what fits
)

var needNames = [needs]string{"queue entries", "index entries", "a flush of queues, index and checkpoint", "the next log file", "a write to the log"}

// shortage is what there is no space for. Every need is tried again each
// spaceInterval by who has it: the stages of the dispatcher, runViews. For the log
// runViews only looks; the next Append tries.
//
//	lacks --> refused --> tried again --> lacks
//	                                  \-> has --> Append goes on
type shortage struct {
	lacking atomic.Uint32         // a bit for each need
	refusal atomic.Pointer[error] // of Append; nil when it takes records

	again *time.Timer   // wakes runViews, whose flush had no space
	later *time.Timer   // fills look
	look  chan struct{} // for runViews: whether there is space for a log file

	mu     sync.Mutex
	causes [needs]error // nil or wrapped in ErrNoSpace
}

func (x *shortage) init(viewWake chan struct{}) {
	x.look = make(chan struct{}, 1)
	x.again = time.AfterFunc(time.Hour, func() { wake(viewWake) })
	x.later = time.AfterFunc(time.Hour, func() { wake(x.look) })
	x.stop()
}

func (x *shortage) stop() {
	x.again.Stop()
	x.later.Stop()
}

// noSpace is nil, or says why there is no space for what Append would bring. It
// is cheap.
func (s *Store) noSpace() error {
	if e := s.short.refusal.Load(); e != nil {
		return *e
	}
	return nil
}

// NoSpace is nil, or wraps ErrNoSpace and the cause: the disk is full, so that
// Append takes no records, or none that need another log file. Reads go on.
func (s *Store) NoSpace() error { return s.lackOf(1<<needs - 1) }

// lackOf is the cause of the first of some needs that is not met.
func (s *Store) lackOf(which uint32) error {
	x := &s.short
	if x.lacking.Load()&which == 0 {
		return nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.first(which)
}

func (x *shortage) first(which uint32) error {
	for n, err := range x.causes {
		if which&(1<<n) != 0 && err != nil {
			return err
		}
	}
	return nil
}

// lacks notes that there was no space for n, and wraps the cause.
func (s *Store) lacks(n need, cause error) error {
	err := fmt.Errorf("%w: %w", ErrNoSpace, cause)
	if s.set(n, err) {
		s.cfg.Logger.Error("the store has no space left", "for", needNames[n], "error", cause)
		if ofLog&(1<<n) != 0 {
			s.short.later.Reset(spaceInterval)
		}
	}
	return err
}

// has notes that there was space for n.
func (s *Store) has(n need) {
	if s.short.lacking.Load()&(1<<n) != 0 && s.set(n, nil) {
		s.cfg.Logger.Warn("the store has space again", "for", needNames[n])
	}
}

// set notes the cause of a need, nil for none, and tells whether that is news.
// Those who wait for the dispatcher look again.
func (s *Store) set(n need, err error) (news bool) {
	x := &s.short
	x.mu.Lock()
	news = (x.causes[n] == nil) != (err == nil)
	x.causes[n] = err
	bits := uint32(0)
	for i, err := range x.causes {
		if err != nil {
			bits |= 1 << i
		}
	}
	x.lacking.Store(bits)
	if first := x.first(refuses); first != nil {
		x.refusal.Store(&first)
	} else {
		x.refusal.Store(nil)
	}
	x.mu.Unlock()
	if news {
		d := &s.dispatch
		d.mu.Lock()
		d.cond.Broadcast()
		d.mu.Unlock()
	}
	return news
}

// rolled notes what became of reserving a log file. For want of space the error
// wraps ErrNoSpace; an Append that needs the file tries again once the disk has room.
func (s *Store) rolled(err error) error {
	switch {
	case err == nil:
		s.has(fileSpace)
	case vfs.NoSpace(err):
		return s.lacks(fileSpace, err)
	}
	return err
}

// lookForLog ends what the log needs once the disk has space for one of its files:
// there may be no Append to find out, since who asks NoSpace sends none.
func (s *Store) lookForLog() {
	if s.lackOf(ofLog) == nil {
		return
	}
	if s.roomForFile() {
		s.has(fileSpace)
		s.has(writeSpace)
		return
	}
	s.short.later.Reset(spaceInterval)
}

// roomForFile tells whether the disk says that it has space for a log file.
func (s *Store) roomForFile() bool {
	u, err := s.cfg.FS.Usage(s.cfg.CommitLog)
	return err == nil && u.Free >= s.cfg.CommitLogFileSize
}
