// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package txn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twostage/twostage/internal/broker/txn/pending"
	"github.com/twostage/twostage/internal/broker/txn/state"
	"github.com/twostage/twostage/internal/broker/txn/story"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/message"
)

// Log is what the transactions need of the store.
type Log interface {
	Queue(topic string, id int32) *store.Queue
	Append(*store.Batch) error
	WhenFlushed(offset int64, fn func(error))
	Flush(offset int64) error
	Record(physicalOffset int64) (rec []byte, release func(), err error)
	Entries(dst []store.Entry, q *store.Queue, from int64, n int) ([]store.Entry, error)
	Query(topic, key string, max int, begin, end int64) (store.QueryResult, error)
	WaitDispatched(offset int64) error
	MaxPhysical() int64
	Flushed() int64
}

// Offsets keeps the low-water marks, among the consumer offsets.
type Offsets interface {
	Query(group, topic string, queue int32) (int64, bool)
	Commit(group, topic string, queue int32, offset int64)
}

// Producer is a live connection of a producer group.
type Producer interface {
	// PushIf sends a request that is not answered, unless valid, asked right before
	// the bytes go out, says no. valid may run on any goroutine.
	PushIf(req *wire.Request, valid func() bool) error
	RemoteAddr() netip.AddrPort
}

// Delays turns a committed message with a delay level or a time of delivery into
// one that waits. An error says that the time can't be had: the message does not
// wait then, as it was taken when it was sent.
type Delays interface {
	Rewrite(topic string, queue int32, props, scratch []byte) (q *store.Queue, out []byte, ok bool, err error)
}

// Config is what a Service needs; all of it but Came and Deciders is required.
type Config struct {
	Log       Log
	Offsets   Offsets
	Delays    Delays
	Producers func(group string) (Producer, bool) // a live connection, another one each time
	// Deciders, when set, gives only those that may decide about messages to the topic.
	Deciders  func(group, topic string) (Producer, bool)
	Topic     func(name string) error // makes a topic of the broker's own where there is none
	FS        vfs.FS
	Dir       string           // of the store: the state file is in transactions/ below it
	NowMillis func() int64     // wall clock, for people and for the age of what is found at the start
	Now       func() time.Time // with monotonic reading: deadlines don't jump
	Logger    *slog.Logger
	// Came, when set, is told of records that were stored in a topic, that of delayed
	// ones included, from the goroutine that stored them; bytes are those of the records.
	Came func(topic string, messages, bytes int)

	Host     netip.AddrPort // of records
	Sync     bool           // transactionFlushDiskType=SYNC_FLUSH, or flushDiskType=SYNC_FLUSH
	Timeout  time.Duration  // transactionTimeOut: age before the first check
	Checks   int            // transactionCheckMax
	Interval time.Duration  // transactionCheckInterval: between the first two checks
	MaxAge   time.Duration  // transactionMaxAge: what nobody decided for so long is discarded; 0: never
	Rate     int            // transactionCheckRate: checks a second and group; 0: no limit
}

// Service is the transactions of one broker. All methods are safe for concurrent
// use.
//
// Lock order: resuming, then order, then mu. Neither order nor mu is held during a
// send; order is held, for reading, during an append.
type Service struct {
	cfg    Config
	epoch  time.Time // monotonic milliseconds count from here
	half   *store.Queue
	op     *store.Queue
	parked *store.Queue // TRANS_CHECK_MAX_TIME_TOPIC

	mu      sync.Mutex
	table   *pending.Table
	waiters map[*pending.Decision][]func(code int32, remark string)
	doubts  map[*pending.Decision]string // outcomes of which nobody knows whether they are on disk
	kick    chan struct{}

	// order is held for reading from the append of an outcome until its words are
	// in states, so that whoever holds it for writing sees a word for every op
	// message of the log.
	order  sync.RWMutex
	states *state.File
	fresh  fresh
	story  *story.Log
	marks  noted // of KeepNotes, then of Close

	timeout  atomic.Int64 // Config.Timeout, as it is now
	opening  atomic.Bool  // Run has not begun
	lost     []opRecord   // outcomes that Repair carries out again
	torn     bool         // Repair has failed
	resuming sync.Mutex   // one at a time
	counts   counters
}

// Open reads what is undecided from the log. It starts nothing: the caller runs
// Run and KeepNotes.
func Open(cfg Config) (*Service, error) {
	s := &Service{
		cfg: cfg, epoch: cfg.Now(), waiters: map[*pending.Decision][]func(int32, string){}, doubts: map[*pending.Decision]string{},
		kick:   make(chan struct{}, 1),
		half:   cfg.Log.Queue(message.TopicHalf, 0),
		op:     cfg.Log.Queue(message.TopicOpHalf, 0),
		parked: cfg.Log.Queue(message.TopicCheckMax, 0),
	}
	s.timeout.Store(int64(cfg.Timeout))
	s.opening.Store(true)
	if err := s.open(); err != nil {
		if s.states != nil {
			_ = s.states.Close()
		}
		if s.story != nil {
			_ = s.story.Close()
		}
		return nil, fmt.Errorf("transactions: %w", err)
	}
	return s, nil
}

// storyBytes bounds the story on disk.
const storyBytes = 64 << 20

func (s *Service) open() (err error) {
	dir := filepath.Join(s.cfg.Dir, "transactions")
	if s.states, err = state.Open(state.Config{FS: s.cfg.FS, Dir: dir, Logger: s.cfg.Logger}); err != nil {
		return err
	}
	if s.story, err = story.Open(story.Config{FS: s.cfg.FS, Dir: filepath.Join(dir, "story"), MaxBytes: storyBytes, Logger: s.cfg.Logger}); err != nil {
		return err
	}
	err = s.rebuild()
	if errors.Is(err, state.ErrDamaged) {
		s.cfg.Logger.Error("the states of transactions are damaged: they are forgotten, and what the log tells is read again", "dir", dir, "error", err)
		if err := s.states.Reset(); err != nil {
			return err
		}
		err = s.rebuild()
	}
	return err
}

// mono is the monotonic time in milliseconds, rounded down: nothing is due too
// early. What counts from now on counts from monoUp.
func (s *Service) mono() int64 { return s.cfg.Now().Sub(s.epoch).Milliseconds() }

func (s *Service) monoUp() int64 {
	return (s.cfg.Now().Sub(s.epoch) + time.Millisecond - 1).Milliseconds()
}

// wall is the wall clock's time, in milliseconds since 1970, of a monotonic one.
func (s *Service) wall(mono int64) int64 { return s.cfg.NowMillis() - s.mono() + mono }

// Sync tells whether a half message is answered when it is on disk.
func (s *Service) Sync() bool { return s.cfg.Sync }

// Online says that the producer group has a live connection.
func (s *Service) Online(group string) {
	s.mu.Lock()
	s.table.Online(group, s.mono())
	s.mu.Unlock()
	s.poke()
}

func (s *Service) poke() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// noteInterval is how often check counts, outcomes and the story are given to the
// operating system, so that they survive the death of the process.
const noteInterval = 250 * time.Millisecond

// KeepNotes notes how far everything is, until ctx ends. It is apart from Run
// because it waits for the disk.
func (s *Service) KeepNotes(ctx context.Context) error {
	tick := time.NewTicker(noteInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			s.note()
		}
	}
}

// Run sends checks and discards what nobody decides, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	s.opening.Store(false)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.kick:
		case <-timer.C:
		}
		s.check(ctx)
		s.mu.Lock()
		wait := time.Hour
		if next, ok := s.table.Wake(); ok {
			wait = max(time.Duration(next-s.mono())*time.Millisecond, 0)
		}
		s.mu.Unlock()
		timer.Reset(wait)
	}
}

// Close waits for the log to be on disk, and notes how far everything is, unless
// Repair has failed. Run and KeepNotes must have ended, and nothing may be decided
// any more.
func (s *Service) Close() error {
	err := s.cfg.Log.Flush(s.cfg.Log.MaxPhysical())
	if err == nil && !s.torn {
		s.marks.end = 0
		s.capture()
		err = s.publish()
	}
	if e := s.story.Close(); err == nil {
		err = e
	}
	if e := s.states.Close(); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("transactions: %w", err)
	}
	return nil
}
