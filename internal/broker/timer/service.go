// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package timer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twostage/twostage/internal/skew"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/store/timerfile"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

// Log is what timers need of the store.
type Log interface {
	Queue(topic string, id int32) *store.Queue
	Entries(dst []store.Entry, q *store.Queue, from int64, n int) ([]store.Entry, error)
	Record(physicalOffset int64) (rec []byte, release func(), err error)
	Append(*store.Batch) error
	Flush(offset int64) error
	MaxPhysical() int64
	LastTimestamp() int64
	Queued(offset int64) bool
	Walk(from int64, visit func(*message.Record) error) error
}

// Config is what a Service needs. Log, FS and Dir are required.
type Config struct {
	Log Log
	FS  vfs.FS
	Dir string // of the store; config/ below it must exist

	MaxDelay   time.Duration // longer ones are refused (timerMaxDelaySec) [3 days]
	Precision  time.Duration // of a slot (timerPrecisionMs) [1 s]
	RollWindow time.Duration // what waits longer is stored again on the way (timerRollWindowSlot) [2 days]
	FileSize   int64         // of the timerlog (mappedFileSizeTimerLog) [100 MiB]

	FlushInterval time.Duration // a checkpoint is written this often (timerFlushIntervalMs) [1 s]
	NowMillis     func() int64  // wall clock, ms since 1970: the store's [the machine's]
	Logger        *slog.Logger  // [none]

	// TopicExists, when set, tells whether a topic is configured. A message for
	// one that is not is stored all the same, as in RocketMQ, and logged.
	TopicExists func(topic string) bool

	// Delivered, when set, is told of deliveries from the goroutine of Run.
	Delivered func(topic string, messages, bytes int)

	keep         int // units of a slot in memory [maxWindow]
	rebuildPages int // of offsets, at least 1 [rebuildPages]
}

// Service delivers messages at any time. Its methods may be called by any
// goroutine.
type Service struct {
	cfg       Config
	precision int64        // ms
	window    int64        // ms
	keep      int          // units of a slot in memory
	clock     skew.Clock   // the time of the wheel
	q         *store.Queue // of message.TopicTimer

	wake    chan struct{}
	closing chan struct{}
	running sync.WaitGroup

	delivered, recalled, skipped, rolled atomic.Int64
	position                             atomic.Int64 // put, for who asks
	reached                              atomic.Int64 // read, for who asks
	overdue                              atomic.Int64 // ms, of what is being delivered; 0: nothing is due
	waiting                              atomic.Int64 // messages in the slots from read on
	written                              atomic.Int64 // units before that position are in the files, for who asks
	suspect                              atomic.Bool  // who asked has found a damaged unit

	// Of Open, then of Run, then of Close.
	wheel   *timerfile.Wheel
	log     *timerfile.Log
	old     int64  // units before that position are of earlier runs
	read    int64  // the slot that is being delivered
	last    int64  // no slot behind it has units
	began   int64  // end of the log when that slot began
	gate    int64  // since when it waits for entries from before to be in their queue, 0: it does not
	put     int64  // first entry that is not in the wheel
	target  int64  // entries before belong into the wheel before the slot is delivered
	cur     window // slot read
	ahead   window // the next one, shortly before it begins
	base    int64  // ahead of the wall clock, of entries of earlier runs
	opened  int64  // the wheel's time at Open
	latest  int64  // time of delivery that may have come in earlier runs, by the wall clock
	entries int64  // end of the wheel's topic at Open
	done    done
	recalls recalls
	noted   timerfile.Checkpoint
	dirty   bool  // something to note
	noteAt  int64 // ms
	trimAt  int64 // ms
	leaseAt int64 // ms
	held    bool  // no checkpoint before the slot has ended
	broken  error // the wheel is to be built again
	chained int64 // last unit + 1 of another chain of the slot, of the last checkpoint

	building *building // nil: the wheel is whole
	java     byRocketMQ

	work delivery

	mu       sync.Mutex   // below; ended
	relative skew.History // of delays: the store's time
	absolute skew.History // of times: the wall clock
	least    int64        // of absolute's ahead, and those of earlier runs
	utmost   int64        // the same
	arrived  int64        // behind the last entry that may be put in
	idle     bool         // the goroutine of Run waits for an entry

	ended     bool // Run may not start any more
	closeOnce sync.Once
	closeErr  error
}

// Open reads the files, goes back to the last checkpoint, finds out what has been
// delivered since, and writes a checkpoint. Where there is none but entries, or a
// file is damaged, Run builds the wheel again from the log: that may take as long
// as reading all of it, once for each 64 GiB that hold nothing but timer messages,
// can be ended by Close, and nothing is delivered meanwhile. Entries that arrive
// afterwards are to be told to Arrived: others are found when Run begins and with
// each checkpoint. Errors name the file, or come from the store.
func Open(cfg Config) (*Service, error) {
	if cfg.Log == nil || cfg.FS == nil || cfg.Dir == "" {
		return nil, errors.New("timers: Log, FS and Dir are needed")
	}
	set := func(d *time.Duration, def time.Duration) {
		if *d <= 0 {
			*d = def
		}
	}
	set(&cfg.MaxDelay, 72*time.Hour)
	set(&cfg.Precision, time.Second)
	set(&cfg.RollWindow, 48*time.Hour)
	set(&cfg.FlushInterval, time.Second)
	if cfg.keep <= 0 {
		cfg.keep = maxWindow
	}
	if cfg.rebuildPages <= 0 {
		cfg.rebuildPages = rebuildPages
	}
	if cfg.FileSize <= 0 {
		cfg.FileSize = 100 << 20
	}
	if cfg.NowMillis == nil {
		cfg.NowMillis = func() int64 { return time.Now().UnixMilli() }
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Service{cfg: cfg, precision: cfg.Precision.Milliseconds(), keep: cfg.keep,
		wake: make(chan struct{}, 1), closing: make(chan struct{})}
	switch {
	case s.precision <= 0 || time.Duration(s.precision)*time.Millisecond != cfg.Precision:
		return nil, fmt.Errorf("timers: a slot of %s is not whole milliseconds (timerPrecisionMs)", cfg.Precision)
	case cfg.FileSize < minFileSize:
		return nil, fmt.Errorf("timers: files of %d bytes are too small, at least %d (mappedFileSizeTimerLog)", cfg.FileSize, minFileSize)
	}
	// Java takes a window that the wheel does not hold for the largest.
	largest := int64(timerfile.WheelSlots/2 - blankSlots)
	s.window = min(max(cfg.RollWindow.Milliseconds()/s.precision, 2), largest) * s.precision
	s.q = cfg.Log.Queue(message.TopicTimer, 0)
	s.entries = s.q.Max()
	s.arrived = s.entries
	if err := s.resume(); err != nil {
		s.closeFiles()
		return nil, fmt.Errorf("timers: %w", err)
	}
	if s.broken != nil {
		return s, nil // Run builds the wheel
	}
	if err := s.note(); err != nil {
		if !s.noted.Own || !vfs.NoSpace(err) {
			s.closeFiles()
			return nil, fmt.Errorf("timers: %w", err)
		}
		cfg.Logger.Error("how far timers are could not be noted; what was noted before will do until there is space", "error", err)
	}
	return s, nil
}

const (
	minFileSize = 4096
	blankSlots  = 60 // of half the wheel, that stay empty
)

// Run puts in and delivers until ctx ends or the service is closed, and returns
// nil. It is called once. Errors of the store are logged and tried again: nothing
// is delivered meanwhile, and nothing is lost.
func (s *Service) Run(ctx context.Context) error {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return nil
	}
	s.running.Add(1)
	s.mu.Unlock()
	defer s.running.Done()

	t := time.NewTimer(0)
	defer t.Stop()
	s.catchUp()
	for {
		select {
		case <-s.closing: // whatever else there is to do
			return nil
		default:
		}
		next := s.round()
		t.Reset(max(s.clock.Until(next), 0))
		select {
		case <-ctx.Done():
			return nil
		case <-s.closing:
			return nil
		case <-s.wake:
		case <-t.C:
		}
	}
}

// Close ends Run, waits for it and writes a checkpoint, unless the wheel is being
// built, which is logged. It must come before the store's Close. A second call returns the same.
func (s *Service) Close() error {
	s.closeOnce.Do(func() {
		s.mu.Lock()
		s.ended = true
		s.mu.Unlock()
		close(s.closing)
		s.running.Wait()
		if s.broken == nil && s.building == nil {
			s.closeErr = s.finish()
		} else {
			s.cfg.Logger.Warn("the timer wheel is not whole: the next start builds it from the log; RocketMQ, if it takes this directory over, delivers again what is in the log and has been delivered")
		}
		s.closeFiles()
	})
	return s.closeErr
}

// closeFiles ends what is open; what counts is synced.
func (s *Service) closeFiles() {
	if s.wheel != nil {
		_ = s.wheel.Close()
	}
	if s.log != nil {
		_ = s.log.Close()
	}
	s.wheel, s.log = nil, nil
}

// Arrived tells of a new entry in a queue, with what store.Config.OnArrive gets.
// Entries of other topics are ignored. It is cheap: one look at the clocks for an
// entry of message.TopicTimer, nothing for others.
func (s *Service) Arrived(q *store.Queue, offset, _, storeTimestamp int64, _ []byte) {
	if q != s.q {
		return
	}
	now, wall := s.clock.Read()
	s.mu.Lock()
	s.measure(offset, now, wall, storeTimestamp)
	s.arrived = max(s.arrived, offset+1)
	wake := s.idle
	s.idle = false
	s.mu.Unlock()
	if wake {
		s.rouse()
	}
}

// rouse has Run look again.
func (s *Service) rouse() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// measure notes how far the clocks are ahead at an entry. mu is held.
func (s *Service) measure(offset, now, wall, storeTimestamp int64) {
	ahead := s.absolute.Add(offset, wall-now, now)
	s.least, s.utmost = min(s.least, ahead), max(s.utmost, ahead)
	s.relative.Add(offset, max(wall, storeTimestamp)-now, now)
}

// catchUp takes in entries that Arrived was not told of, such as those that were
// stored while a broker was still being put together.
func (s *Service) catchUp() {
	now, wall := s.clock.Read()
	s.mu.Lock()
	defer s.mu.Unlock()
	if end := s.q.Max(); end > s.arrived {
		s.measure(s.arrived, now, wall, s.cfg.Log.LastTimestamp())
		s.arrived = end
	}
}

// Delivered is the number of messages delivered since Open.
func (s *Service) Delivered() int64 { return s.delivered.Load() }

// Recalled is the number of messages that were not delivered since Open because
// they were taken back.
func (s *Service) Recalled() int64 { return s.recalled.Load() }

// Skipped is the number of entries since Open that could not be delivered:
// damaged, missing, or without a possible target.
func (s *Service) Skipped() int64 { return s.skipped.Load() }

// Rolled is how often messages were stored again on the way since Open.
func (s *Service) Rolled() int64 { return s.rolled.Load() }

// Behind is the number of entries of message.TopicTimer that are not in the
// wheel yet.
func (s *Service) Behind() int64 { return max(s.q.Max()-s.position.Load(), 0) }

// Waiting is the number of messages in the wheel whose slot is not over; what has been
// taken back does not count.
func (s *Service) Waiting() int64 { return max(s.waiting.Load(), 0) }

// Late is for how long the message that is delivered next has been due, 0 when none is.
func (s *Service) Late() time.Duration {
	due := s.overdue.Load()
	if due == 0 {
		return 0
	}
	return time.Duration(max(s.clock.Now()-due, 0)) * time.Millisecond
}

// Position is the first entry of message.TopicTimer that is not in the wheel.
func (s *Service) Position() int64 { return s.position.Load() }
