// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pop

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
)

// Log is what pop consumption needs of the store.
type Log interface {
	Queue(topic string, id int32) *store.Queue
	LookupQueue(topic string, id int32) *store.Queue
	Get(q *store.Queue, from int64, maxCount, maxBytes int, f store.Filter) (store.GetResult, error)
	Entries(dst []store.Entry, q *store.Queue, from int64, n int) ([]store.Entry, error)
	Record(physicalOffset int64) (rec []byte, release func(), err error)
	Append(*store.Batch) error
	Walk(from int64, visit func(*message.Record) error) error
	Flush(offset int64) error
	Flushed() int64
	MaxPhysical() int64
}

// Delays makes records wait. See handler.Delays.
type Delays interface {
	Rewrite(topic string, queue int32, props, scratch []byte) (q *store.Queue, out []byte, ok bool, err error)
}

// Offsets is the consumers' offsets. See package offset.
type Offsets interface {
	Commit(group, topic string, queue int32, offset int64)
	Query(group, topic string, queue int32) (int64, bool)
	Take(group, topic string, queue int32) (int64, bool)
	Flush() error
}

// Topics finds topics, and makes those of retries.
type Topics interface {
	Get(name string) (*body.TopicConfig, bool)
	Ensure(name string, queues, perm, sysFlag int32) (*body.TopicConfig, error)
}

// Groups finds groups.
type Groups interface {
	Get(name string) (*body.SubscriptionGroupConfig, bool)
}

// Config is what a Service needs. Fields without a remark are required.
type Config struct {
	Log     Log
	Delays  Delays // nil: revive records never wait
	Offsets Offsets
	Topics  Topics
	Groups  Groups
	FS      vfs.FS
	Dir     string // of consumerOrderInfo.json and popCheckpoints.json; must exist

	Cluster, Broker  string
	Host             netip.AddrPort // of the records that are stored
	ReviveQueues     int            // reviveQueueNum [8]
	RetryV2          bool           // enableRetryTopicV2: new retry topics are named %RETRY%group+topic
	RetryProbability int            // popFromRetryProbability: pops in a hundred that look for retries first [20]
	ActualRetryTopic bool           // popResponseReturnActualRetryTopic: retries are answered as they are stored
	MaxBytes         int            // of one answer [256 KiB]
	MaxOpen          int64          // bytes that a note may have of open checkpoints, at most 64 MiB [that]; a group has a quarter
	Sync             bool           // pops and acks are answered when they are on the disk

	NowMillis    func() int64  // wall clock, ms since 1970 [the machine's]
	NoteInterval time.Duration // between notes [5 s]
	Logger       *slog.Logger  // [none]
	// Wake, when set, is told that a group may have something to pop of a queue
	// that nothing new came to. It must be quick.
	Wake func(group, topic string, queue int32)
	// Revived, when set, is told of messages that were stored again.
	Revived func(topic string, messages, bytes int)
	// GivenUp, when set, is told of each message of topic that became a dead letter.
	GivenUp func(group, topic string)
}

// Service is pop consumption. Its methods may be called by any goroutine.
type Service struct {
	cfg    Config
	revive string
	turn   atomic.Uint32 // of the revive queues

	// gate is held shared from before a record is stored until it is in the tables,
	// and alone to say what the tables are at an end of the log.
	gate sync.RWMutex
	puts atomic.Uint64 // how often offsets were set by hand; it changes under gate

	mu      sync.Mutex // what follows; behind gate and queue locks
	open    *merge
	orders  *orders
	settled *sync.Cond // an ack is stored, or has failed
	held    map[queueKey]*holder
	pending map[queueKey]*pending
	waking  wakes // orderly queues that are blocked, until when
	arrived []reviveQueue
	dirty   bool
	ended   bool

	revival    revival      // Run's alone
	complained sync.Map     // what went wrong -> ms since 1970, see complain
	noting     sync.Mutex   // one note at a time
	noted      atomic.Int64 // log offset of the last
	wake       chan struct{}
	closing    chan struct{}
	running    sync.WaitGroup
	closeOnce  sync.Once
	closeErr   error
	stats      counters
}

// queueKey is a group's place in a queue.
type queueKey struct {
	group, topic string
	queue        int32
}

// holder is the lock of a queueKey: one pop at a time.
type holder struct {
	mu   sync.Mutex
	refs int
}

type counters struct{ popped, acked, revived, dead, late atomic.Int64 }

// Stats are numbers since Open, and InFlight as of now.
type Stats struct {
	Popped, Acked, Revived, DeadLetters, LateAcks int64
	Open, InFlight                                int
}

// Stats returns the numbers.
func (s *Service) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{
		Popped: s.stats.popped.Load(), Acked: s.stats.acked.Load(), Revived: s.stats.revived.Load(),
		DeadLetters: s.stats.dead.Load(), LateAcks: s.stats.late.Load(), Open: len(s.open.open), InFlight: s.open.inFlight(),
	}
}

// Open reads the notes and the log behind them (see the package comment), commits
// the offsets that it restores, and notes the result. Nothing may be popped before
// it has returned. Errors name the file, or come from the store.
func Open(cfg Config) (*Service, error) {
	if cfg.Log == nil || cfg.Offsets == nil || cfg.Topics == nil || cfg.Groups == nil || cfg.FS == nil || cfg.Dir == "" || cfg.Cluster == "" || cfg.Broker == "" {
		return nil, errors.New("pop: Log, Offsets, Topics, Groups, FS, Dir, Cluster and Broker are needed")
	}
	if cfg.ReviveQueues <= 0 {
		cfg.ReviveQueues = 8
	}
	if cfg.MaxBytes <= 0 {
		cfg.MaxBytes = 256 << 10
	}
	if cfg.MaxOpen <= 0 || cfg.MaxOpen > maxOpen {
		cfg.MaxOpen = maxOpen
	}
	if cfg.NowMillis == nil {
		cfg.NowMillis = func() int64 { return time.Now().UnixMilli() }
	}
	if cfg.NoteInterval < time.Millisecond {
		cfg.NoteInterval = 5 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Service{
		cfg: cfg, revive: ReviveTopic(cfg.Cluster), open: newMerge(), orders: newOrders(),
		held: make(map[queueKey]*holder), pending: make(map[queueKey]*pending), waking: newWakes(),
		arrived: make([]reviveQueue, cfg.ReviveQueues), wake: make(chan struct{}, 1), closing: make(chan struct{}),
	}
	s.settled = sync.NewCond(&s.mu)
	if err := s.resume(); err != nil {
		return nil, fmt.Errorf("pop: %w", err)
	}
	return s, nil
}

// maxOpen keeps a note far below what can be read back (body.PopNote: 256 MiB and
// 1.4 million checkpoints), changes of invisible times included, and the moment
// short in which it stops everything.
const maxOpen = 64 << 20

// room tells why a group can't have another checkpoint, nil when it can. slack is
// how often the limits count. mu is held.
func (s *Service) room(group string, slack int64) error {
	switch {
	case s.open.groups[group] >= slack*s.cfg.MaxOpen/4:
		return fmt.Errorf("%w: group %s has %d bytes of checkpoints open", ErrFull, group, s.open.groups[group])
	case s.open.size >= slack*s.cfg.MaxOpen:
		return fmt.Errorf("%w: %d bytes of checkpoints are open", ErrFull, s.open.size)
	}
	return nil
}

// Close ends Run, waits for it and notes what is open. It must come before the
// store's Close. A second call returns the same.
func (s *Service) Close() error {
	s.closeOnce.Do(func() {
		s.mu.Lock()
		s.ended = true
		s.mu.Unlock()
		close(s.closing)
		s.running.Wait()
		s.closeErr = s.Note()
	})
	return s.closeErr
}

func (s *Service) notePath() string  { return filepath.Join(s.cfg.Dir, "popCheckpoints.json") }
func (s *Service) orderPath() string { return filepath.Join(s.cfg.Dir, "consumerOrderInfo.json") }

// lock takes a group's place in a queue. Without wait it may fail.
func (s *Service) lock(k queueKey, wait bool) (unlock func(), ok bool) {
	s.mu.Lock()
	h := s.held[k]
	if h == nil {
		h = &holder{}
		s.held[k] = h
	}
	h.refs++
	s.mu.Unlock()
	leave := func() {
		s.mu.Lock()
		if h.refs--; h.refs == 0 {
			delete(s.held, k)
		}
		s.mu.Unlock()
	}
	if wait {
		h.mu.Lock()
	} else if !h.mu.TryLock() {
		leave()
		return nil, false
	}
	return func() { h.mu.Unlock(); leave() }, true
}

// nextRevive is the revive queue of the next pop.
func (s *Service) nextRevive() int32 {
	return int32(s.turn.Add(1) % uint32(s.cfg.ReviveQueues))
}

// retryKind is that of the retry topics that are made.
func (s *Service) retryKind() Retry {
	if s.cfg.RetryV2 {
		return RetryV2
	}
	return RetryV1
}

func (s *Service) chance(inHundred int) bool { return rand.IntN(100) < inHundred }

// poke has Run look again.
func (s *Service) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// complainEvery is how often the same thing that goes wrong is logged, in ms.
const complainEvery = 60_000

// complain logs what goes wrong, the first time and then once in a while. what is
// one of few.
func (s *Service) complain(what string, attrs ...any) {
	now := s.cfg.NowMillis()
	if last, ok := s.complained.Load(what); ok && now-last.(int64) < complainEvery && now >= last.(int64) {
		return
	}
	s.complained.Store(what, now)
	s.cfg.Logger.Error(what, attrs...)
}
