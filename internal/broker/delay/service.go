// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package delay

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twostage/twostage/internal/skew"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

// Log is what delayed delivery needs of the store.
type Log interface {
	Queue(topic string, id int32) *store.Queue
	LookupQueue(topic string, id int32) *store.Queue
	Entries(dst []store.Entry, q *store.Queue, from int64, n int) ([]store.Entry, error)
	Record(physicalOffset int64) (rec []byte, release func(), err error)
	OffsetByTime(q *store.Queue, ts int64, b store.Boundary) (int64, error)
	Append(*store.Batch) error
	Flush(offset int64) error
	MaxPhysical() int64
	LastTimestamp() int64
}

// Config is what a Service needs. Fields without a remark are required.
type Config struct {
	Log    Log
	FS     vfs.FS
	Path   string // of delayOffset.json; its directory must exist
	Levels Levels // not empty, none negative; the store must have the same

	FlushInterval time.Duration // offsets are noted this often (flushDelayOffsetInterval) [10 s]
	NowMillis     func() int64  // wall clock, ms since 1970: the store's [the machine's]
	Logger        *slog.Logger  // [none]

	// TopicExists, when set, tells whether a topic is configured. A message for
	// one that is not is stored all the same, as in RocketMQ, and logged.
	TopicExists func(topic string) bool

	// Delivered, when set, is told of deliveries from the goroutine of Run.
	Delivered func(topic string, messages, bytes int)
}

// Service delivers delayed messages. Its methods may be called by any goroutine
// unless they say otherwise.
type Service struct {
	cfg    Config
	clock  skew.Clock // ms since Open
	levels []*level   // by level-1
	stray  []stray    // queues of levels that are not configured

	wake    chan struct{}
	closing chan struct{}
	running sync.WaitGroup

	delivered, skipped atomic.Int64

	noting    sync.Mutex // one note at a time
	file      offsetFile // last noted; noting
	deliver   sync.Mutex // held from reading due entries until they are passed
	mu        sync.Mutex // level.next, .arrived, .idle, .ahead; ended
	ended     bool       // Run may not start any more
	closeOnce sync.Once
	closeErr  error
}

// level is one queue of message.TopicSchedule.
type level struct {
	number int
	delay  int64 // ms
	q      *store.Queue

	next    int64        // first entry that has not been delivered
	arrived int64        // behind the last entry that may be looked at
	idle    bool         // the delivering goroutine waits for an entry
	ahead   skew.History // of the store's time
	old     int64        // entries before are of earlier runs

	// Of the delivering goroutine.
	retry    retry
	reported int64 // entries before have been reported, if they were skipped
}

// stray is a queue of a level that is no longer configured.
type stray struct{ level, offset int64 }

// Open reads the offsets, finds out what has been delivered since they were
// noted (see the package comment), and notes the result; where there is no space
// for that, but an older note that says a log offset, Run does it later. Nothing may be appended
// to the log before it has returned. Entries that arrive afterwards are to be told
// to Arrived: others are found when Run begins and every FlushInterval. Errors name the file, or come from the store.
func Open(cfg Config) (*Service, error) {
	switch {
	case cfg.Log == nil || cfg.FS == nil || cfg.Path == "":
		return nil, errors.New("delay: Log, FS and Path are needed")
	case len(cfg.Levels) == 0:
		return nil, errors.New("delay: no delay levels (messageDelayLevel)")
	case len(cfg.Levels) > math.MaxInt32:
		return nil, errors.New("delay: too many delay levels (messageDelayLevel)")
	}
	for i, d := range cfg.Levels {
		if d < 0 {
			return nil, fmt.Errorf("delay: level %d has the negative delay %s (messageDelayLevel)", i+1, d)
		}
	}
	if cfg.FlushInterval <= 0 {
		cfg.FlushInterval = 10 * time.Second
	}
	if cfg.NowMillis == nil {
		cfg.NowMillis = func() int64 { return time.Now().UnixMilli() }
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Service{cfg: cfg, wake: make(chan struct{}, 1), closing: make(chan struct{})}
	wall, start := cfg.NowMillis(), time.Now() // in this order: held up in between, the clock is late
	s.clock = skew.Clock{Elapsed: func() time.Duration { return time.Since(start) }, Wall: cfg.NowMillis}
	for i, d := range cfg.Levels {
		q := cfg.Log.Queue(message.TopicSchedule, int32(i))
		lv := &level{number: i + 1, delay: d.Milliseconds(), q: q, arrived: q.Max(), ahead: skew.Begin(wall)}
		lv.old = lv.arrived
		s.levels = append(s.levels, lv)
	}
	noted, err := s.resume()
	if err != nil {
		return nil, err
	}
	if err := s.Persist(); err != nil {
		if !noted || !vfs.NoSpace(err) {
			return nil, err
		}
		cfg.Logger.Error("how far delayed delivery is could not be noted; what was noted before will do until there is space", "error", err)
	}
	return s, nil
}

// Close ends Run, waits for it and notes the offsets. It must come before the
// store's Close. A second call returns the same.
func (s *Service) Close() error {
	s.closeOnce.Do(func() {
		s.mu.Lock()
		s.ended = true
		s.mu.Unlock()
		close(s.closing)
		s.running.Wait()
		s.closeErr = s.Persist()
	})
	return s.closeErr
}

// Rewrite turns a record for a queue of topic into one that waits, if its
// properties ask for a delay: q is the queue it waits in, out its properties,
// appended to scratch (see Levels.Rewrite). ok is false for a record without a
// delay level above 0. It allocates only to grow scratch.
func (s *Service) Rewrite(topic string, queue int32, props, scratch []byte) (q *store.Queue, out []byte, ok bool) {
	level, out, ok := s.cfg.Levels.Rewrite(topic, queue, props, scratch)
	if !ok {
		return nil, scratch, false
	}
	return s.levels[level-1].q, out, true
}

// Arrived tells of a new entry in a queue, with what store.Config.OnArrive gets.
// Entries of other topics are ignored. It is cheap: one look at the clock for an
// entry of message.TopicSchedule, nothing for others.
func (s *Service) Arrived(q *store.Queue, offset, _, storeTimestamp int64, _ []byte) {
	if q.Topic() != message.TopicSchedule || int(q.ID()) >= len(s.levels) {
		return
	}
	now, wall := s.clock.Read()
	lv := s.levels[q.ID()]
	s.mu.Lock()
	lv.ahead.Add(offset, max(wall, storeTimestamp)-now, now)
	lv.arrived = max(lv.arrived, offset+1)
	wake := lv.idle
	lv.idle = false
	s.mu.Unlock()
	if wake {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// catchUp takes in entries that Arrived was not told of, such as those that were
// stored while a broker was still being put together.
func (s *Service) catchUp() {
	now, wall := s.clock.Read()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, lv := range s.levels {
		if end := lv.q.Max(); end > lv.arrived {
			lv.ahead.Add(lv.arrived, max(wall, s.cfg.Log.LastTimestamp())-now, now)
			lv.arrived, lv.idle = end, false
		}
	}
}

// LevelState is where a level is.
type LevelState struct {
	Level int
	Delay time.Duration
	Next  int64 // offset of the first entry that has not been delivered
	Max   int64 // behind the last entry
}

// States returns where the configured levels are, level 1 first.
func (s *Service) States() []LevelState {
	list := make([]LevelState, len(s.levels))
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, lv := range s.levels {
		list[i] = LevelState{Level: lv.number, Delay: s.cfg.Levels[i], Next: lv.next, Max: lv.arrived}
	}
	return list
}

// Delivered is the number of messages delivered since Open.
func (s *Service) Delivered() int64 { return s.delivered.Load() }

// Skipped is the number of entries since Open that could not be delivered:
// damaged, missing, or without a possible target.
func (s *Service) Skipped() int64 { return s.skipped.Load() }
