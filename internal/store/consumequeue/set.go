// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package consumequeue

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/twostage/twostage/internal/vfs"
)

var (
	// ErrFileSize is wrapped when a file is not FileSize bytes long.
	ErrFileSize = errors.New("consumequeue: wrong file size")

	// ErrDeleted is wrapped by what is done with a queue of a deleted topic.
	ErrDeleted = errors.New("consumequeue: the topic was deleted")

	// ErrClosed is wrapped by what is done with a closed Set.
	ErrClosed = errors.New("consumequeue: closed")

	// ErrBelowMin is wrapped by a Read of entries that are gone.
	ErrBelowMin = errors.New("consumequeue: below the first offset")

	// ErrGap is wrapped by an Append too far behind the end of its queue.
	ErrGap = errors.New("consumequeue: gap too large")
)

const (
	// DefaultFileSize is RocketMQ's, in bytes.
	DefaultFileSize = 300_000 * EntrySize

	// DefaultMaxOpen is how many files are open at once.
	DefaultMaxOpen = 4000

	maxTail      = 64 << 10 / EntrySize * EntrySize // of a queue, bytes
	firstTail    = 16 * EntrySize
	maxTails     = 64 << 20 // of all queues, bytes; beyond, tails no longer grow
	parallel     = 8        // files synced at once by Flush
	parallelRead = 16       // queues read at once by Open and TruncatePhysical, so that a device has enough to do

	// defaultSyncAll is where one syncfs is sure to be quicker than an fdatasync
	// for each file, however much else it may have to write: see doc.go.
	defaultSyncAll = 64
	deletePrefix   = ".deleted."
)

// Options of a Set.
type Options struct {
	FS       vfs.FS
	Dir      string // the consumequeue directory; made when the first entry is written
	FileSize int64  // bytes, a multiple of EntrySize [DefaultFileSize]
	MaxOpen  int    // files open at once, besides those in use by more callers [DefaultMaxOpen]

	// SyncAll is the number of queues with changes from which on Flush makes all of
	// the file system durable, which takes one step, instead of each file; below 0
	// it never does. [64]
	SyncAll int

	// Clean says that the last writer stopped in order, so that a file shorter
	// than FileSize means another configuration. Otherwise it may be the trace
	// of a stop of the machine and is given its size.
	Clean bool

	// LogMin is where the log begins. With Clean, Open does Queue.SetMin with it,
	// which costs less than later; else what is not flushed must be dropped first.
	LogMin int64

	Logger *slog.Logger // [none]
}

// Set is the queues of a store. All methods may be called by any goroutine.
type Set struct {
	dir   string
	log   *slog.Logger
	files files
	tails atomic.Int64 // memory of all tails, bytes
	limit int64        // of tails

	logMin int64 // where the log began at Open

	mu     sync.RWMutex // held for writing while a queue is made, Delete renames
	topics map[string]map[int32]*Queue
	closed bool

	flushing sync.Mutex // one Flush at a time
	failed   error      // the first failed fsync; flushing
	syncAll  int        // Options.SyncAll
	syncer   vfs.Syncer // nil: not yet needed, or not to be had; flushing

	dirtyMu sync.Mutex
	dirty   []*Queue
}

// Open finds the queues in o.Dir and where each ends. Errors name the file and
// what to do.
func Open(o Options) (*Set, error) {
	if o.FileSize == 0 {
		o.FileSize = DefaultFileSize
	}
	if o.FileSize < EntrySize || o.FileSize%EntrySize != 0 {
		return nil, fmt.Errorf("consumequeue: mappedFileSizeConsumeQueue is %d, must be a multiple of %d", o.FileSize, EntrySize)
	}
	if o.MaxOpen == 0 {
		o.MaxOpen = DefaultMaxOpen
	}
	if o.MaxOpen < 0 {
		return nil, fmt.Errorf("consumequeue: at most %d open files make no sense", o.MaxOpen)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.SyncAll == 0 {
		o.SyncAll = defaultSyncAll
	}
	s := &Set{dir: o.Dir, log: o.Logger, limit: maxTails, syncAll: o.SyncAll, logMin: o.LogMin, topics: make(map[string]map[int32]*Queue)}
	s.files.init(o.FS, o.FileSize, o.MaxOpen, o.Clean)
	if err := s.load(); err != nil {
		return nil, err
	}
	return s, nil
}

// Queue returns a queue, which it makes, in memory, when there is none.
func (s *Set) Queue(topic string, id int32) *Queue {
	if q, ok := s.Lookup(topic, id); ok {
		return q
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queueLocked(topic, id)
}

func (s *Set) queueLocked(topic string, id int32) *Queue {
	ids := s.topics[topic]
	if ids == nil {
		ids = make(map[int32]*Queue)
		// The caller's string may be a part of something large.
		topic = strings.Clone(topic)
		s.topics[topic] = ids
	}
	q := ids[id]
	if q == nil {
		q = newQueue(s, topic, id)
		ids[id] = q
	}
	return q
}

// Lookup returns a queue if there is one.
func (s *Set) Lookup(topic string, id int32) (*Queue, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	q, ok := s.topics[topic][id]
	return q, ok
}

// Range calls fn for each queue, in no order, until it returns false. fn may
// call everything.
func (s *Set) Range(fn func(topic string, id int32, q *Queue) bool) {
	for _, q := range s.all() {
		if !fn(q.topic, q.id, q) {
			return
		}
	}
}

func (s *Set) all() []*Queue {
	s.mu.RLock()
	defer s.mu.RUnlock()
	n := 0
	for _, ids := range s.topics {
		n += len(ids)
	}
	all := make([]*Queue, 0, n)
	for _, ids := range s.topics {
		for _, q := range ids {
			all = append(all, q)
		}
	}
	return all
}

// Delete removes the queues of a topic and their files. It is durable when
// Delete returns nil. Handles got before fail with ErrDeleted; Queue makes new
// ones. A topic without queues is no error. After an error the queues are gone
// from the Set, but their files may come back with the next Open.
func (s *Set) Delete(topic string) error {
	if err := checkTopic(topic); err != nil {
		return err
	}
	grave := s.dir + "/" + deletePrefix + topic
	renamed, queues, err := s.unname(topic, grave)
	for _, q := range queues {
		err = errors.Join(err, s.files.drop(q, -1))
	}
	if renamed {
		err = errors.Join(err, s.files.fs.SyncDir(s.dir), s.files.fs.RemoveAll(grave))
	}
	if err != nil {
		return fmt.Errorf("consumequeue: delete topic %s: %w", topic, err)
	}
	return nil
}

func (s *Set) unname(topic, grave string) (renamed bool, queues []*Queue, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false, nil, ErrClosed
	}
	for _, q := range s.topics[topic] {
		q.mu.Lock()
		q.gone.Store(true)
		q.dropTail()
		q.mu.Unlock()
		queues = append(queues, q)
	}
	delete(s.topics, topic)
	dir := s.dir + "/" + topic
	if _, _, err := s.files.fs.Stat(dir); err != nil {
		return false, queues, notExistIsNil(err)
	}
	if err := s.files.fs.RemoveAll(grave); err != nil {
		return false, queues, err
	}
	if err := s.files.fs.Rename(dir, grave); err != nil {
		return false, queues, err
	}
	return true, queues, nil
}

// Close flushes, closes all files and ends the use of every Queue. A second
// Close does nothing. It returns what Flush returns.
func (s *Set) Close() error {
	s.mu.Lock()
	was := s.closed
	s.closed = true
	s.mu.Unlock()
	if was {
		return nil
	}
	queues := s.all()
	for _, q := range queues { // no more entries
		q.mu.Lock()
		q.closed = true
		q.mu.Unlock()
	}
	err := s.Flush()
	for _, q := range queues {
		q.gone.Store(true)
		err = errors.Join(err, s.files.drop(q, -1))
	}
	s.flushing.Lock()
	defer s.flushing.Unlock()
	if s.syncer != nil {
		err = errors.Join(err, s.syncer.Close())
		s.syncer = nil
	}
	return err
}

// checkTopic refuses topics that cannot be directories.
func checkTopic(topic string) error {
	if topic == "" || strings.HasPrefix(topic, ".") || strings.ContainsAny(topic, "/\x00") {
		return fmt.Errorf("consumequeue: topic %q cannot name a directory", topic)
	}
	return nil
}

// each runs fn for all items, at most so many at a time, and joins the first
// errors and all those that wrap errSync.
func each[T any](atOnce int, items []T, fn func(T) error) error {
	var (
		next atomic.Int64
		wg   sync.WaitGroup
		mu   sync.Mutex
		errs []error
	)
	for range min(atOnce, len(items)) {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(items) {
					return
				}
				if err := fn(items[i]); err != nil {
					mu.Lock()
					if len(errs) < parallel || errors.Is(err, errSync) {
						errs = append(errs, err)
					}
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(slices.Clip(errs)...)
}
