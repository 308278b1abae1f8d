// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twostage/twostage/internal/store/consumequeue"
	"github.com/twostage/twostage/internal/vfs"
)

// entry is what the views need to know of one record.
type entry struct {
	q        *Queue
	offset   int64 // in the queue; -1 without a queue entry
	physical int64
	tags     int64
	ts       int64
	size     int32
	index    bool
	durable  bool  // not before it is on disk
	from, to int32 // properties, in chunk.props
}

// entryMemory is what an entry counts towards Config.MaxBacklog, besides its
// properties.
const entryMemory = 80

// chunk is a run of entries in log order. Chunks go round: filled by Append,
// read by the queue stage, then by the index stage, then free.
type chunk struct {
	entries []entry
	props   []byte
	next    int // first entry that the stage that has it has not done
	kept    int // what it counts for among the free ones
}

func (c *chunk) memory() int { return len(c.entries)*entryMemory + len(c.props) }

// maxChunk bounds a chunk, so that the stages overlap and memory is given back.
const maxChunk = 1 << 20

// dispatcher carries records from the log to the views in two stages: queue
// entries and OnArrive first, the index behind them.
//
//	Append -> filling -> [queue stage: queues, OnArrive] -> indexing -> [index stage] -> free
//
// The queue stage runs on the goroutine that appended, so that a message wakes
// nobody but its consumers; with SyncFlush, and for what is left at the end, on a
// goroutine of its own. The index stage has one, and is woken when much waits for
// it, when somebody does, or after indexDelay.
//
// A stage that has no space for an entry keeps it and all behind it, says so
// (Store.lacks) and tries again after spaceInterval. Appenders are refused then,
// and nobody waits for the dispatcher. Who runs the queue stage meanwhile, such as
// a flush that has synced something, tries too.
type dispatcher struct {
	s *Store

	queueWake chan struct{}
	indexWake chan struct{}
	later     *time.Timer // wakes the index stage
	armed     atomic.Bool // later is set
	again     *time.Timer // wakes the queue stage, which had no space

	wanted atomic.Bool // there is work for the queue stage
	held   atomic.Bool // the queue stage waits for a sync
	stage  sync.Mutex  // held by who runs the queue stage
	mine   []*chunk    // not yet wholly in the queues, oldest first; stage

	incomplete bool // the index lacks entries for good; runIndex

	mu       sync.Mutex
	cond     sync.Cond // progress, or the store has failed
	filling  []*chunk  // last one open
	indexing []*chunk
	free     []*chunk
	freeSize int  // bytes that free has held
	backlog  int  // memory of filling, the queue stage and indexing
	closing  bool // no more will be added
	drained  bool // the queue stage has ended

	dispatched   atomic.Int64 // log offset below which all entries can be read
	dispatchedTS atomic.Int64 // store timestamp of the last of them
	indexed      atomic.Int64
	added        atomic.Int64 // log offset behind the last record that add was given

	hold sync.Mutex // held while entries go into queues; DeleteTopic takes it
}

func (d *dispatcher) init(s *Store, offset, ts int64) {
	d.s = s
	d.cond.L = &d.mu
	d.queueWake, d.indexWake = make(chan struct{}, 1), make(chan struct{}, 1)
	d.later = time.AfterFunc(time.Hour, func() {
		d.armed.Store(false)
		wake(d.indexWake)
	})
	d.later.Stop()
	d.again = time.AfterFunc(time.Hour, func() { wake(d.queueWake) })
	d.again.Stop()
	d.dispatched.Store(offset)
	d.dispatchedTS.Store(ts)
	d.indexed.Store(offset)
	d.added.Store(offset)
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// signal says that records were added: it runs the queue stage, unless somebody
// is at it, who then sees to these too. It does a bounded part of what others
// have added; the store's own goroutine does the rest.
func (d *dispatcher) signal() {
	d.wanted.Store(true)
	for range inlineRounds {
		if !d.wanted.Load() || !d.stage.TryLock() {
			return
		}
		if d.round(inlineEntries) {
			break
		}
	}
	if d.wanted.Load() {
		wake(d.queueWake)
	}
}

// round is one round of the queue stage, for at most so many entries; the caller
// has locked d.stage, round unlocks it. It tells whether entries are left because
// of that bound.
func (d *dispatcher) round(entries int) (left bool) {
	defer d.stage.Unlock()
	defer func() {
		// OnArrive is the caller's code, and may run where panics are recovered:
		// without its entries in the queues the store must not go on.
		if p := recover(); p != nil {
			d.s.fail(fmt.Errorf("bug: panic while a queue entry was made visible: %v", p))
			panic(p)
		}
	}()
	d.wanted.Store(false)
	if left = d.advance(entries); left {
		d.wanted.Store(true)
	}
	return left
}

const (
	inlineRounds  = 2    // that an appender runs the queue stage
	inlineEntries = 1024 // that it carries in one round
	allEntries    = math.MaxInt
)

const (
	indexDelay = 5 * time.Millisecond // that the index may be behind while nobody asks
	indexSoon  = 128 << 10            // bytes of entries that are indexed at once
)

// advance carries at most so many entries; d.stage is held.
func (d *dispatcher) advance(entries int) (left bool) {
	d.mu.Lock()
	if d.drained { // Close has given up what there was no space for
		d.mu.Unlock()
		return false
	}
	d.mine = append(d.mine, d.filling...)
	clear(d.filling)
	d.filling = d.filling[:0]
	d.mu.Unlock()

	done, left, err := d.carry(d.mine, entries)
	switch {
	case err == nil:
		d.s.has(queueSpace)
	case vfs.NoSpace(err):
		_ = d.s.lacks(queueSpace, err)
		d.again.Reset(spaceInterval)
	default:
		d.s.fail(err)
	}
	if done == 0 {
		return left
	}
	for _, c := range d.mine[:done] {
		c.next = 0 // for the index stage
	}
	d.mu.Lock()
	d.indexing = append(d.indexing, d.mine[:done]...)
	soon := d.backlog > indexSoon
	d.cond.Broadcast()
	d.mu.Unlock()
	rest := copy(d.mine, d.mine[done:])
	clear(d.mine[rest:])
	d.mine = d.mine[:rest]
	if soon {
		wake(d.indexWake)
	} else if !d.armed.Swap(true) {
		d.later.Reset(indexDelay)
	}
	return left
}

// waitForRoom blocks while too much waits, so that a slow view slows senders
// down instead of filling the memory, for limit at most (0: as long as it takes).
// It returns what is left of the limit. An error wraps ErrNoSpace, when nobody
// knows for how long, or ErrBusy.
func (d *dispatcher) waitForRoom(limit time.Duration) (left time.Duration, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var deadline time.Time
	for d.backlog > d.s.cfg.MaxBacklog && !d.closing && d.s.log.Err() == nil {
		if err := d.s.noSpace(); err != nil {
			return 0, err
		}
		switch {
		case limit <= 0:
		case deadline.IsZero():
			deadline = time.Now().Add(limit)
			defer time.AfterFunc(limit, func() {
				d.mu.Lock() // or it falls between the look at the clock and the wait
				d.cond.Broadcast()
				d.mu.Unlock()
			}).Stop()
		case !time.Now().Before(deadline):
			return 0, fmt.Errorf("%w: waited %v for queues and index, which are %d bytes behind the log (at most %d may wait): their disk is slow", ErrBusy, limit, d.backlog, d.s.cfg.MaxBacklog)
		}
		d.cond.Wait()
	}
	if deadline.IsZero() {
		return limit, nil
	}
	return max(time.Until(deadline), 1), nil // 0 would be none
}

// stopWaiting lets everybody look again whether the store has failed.
func (d *dispatcher) stopWaiting() {
	d.mu.Lock()
	d.cond.Broadcast()
	d.mu.Unlock()
	wake(d.queueWake)
	wake(d.indexWake)
}

// add takes over n items of b from first on, which have been written. The
// caller holds Store.mu, so that chunks are in log order.
func (d *dispatcher) add(b *Batch, first, n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var c *chunk
	if k := len(d.filling); k > 0 {
		c = d.filling[k-1]
	}
	for i := first; i < first+n; i++ {
		it := &b.items[i]
		if c == nil || c.memory() > maxChunk {
			if k := len(d.free); k > 0 {
				c, d.free = d.free[k-1], d.free[:k-1]
				d.freeSize -= c.kept
			} else {
				c = new(chunk)
			}
			d.filling = append(d.filling, c)
		}
		end := it.off + it.size
		from := len(c.props)
		c.props = append(c.props, b.buf[end-it.props:end]...)
		e := entry{q: it.q, offset: -1, physical: it.at.PhysicalOffset, tags: it.tags, ts: it.at.StoreTimestamp,
			size: it.at.Size, index: it.index, durable: b.Durable || d.s.cfg.SyncFlush, from: int32(from), to: int32(len(c.props))}
		if it.queued {
			e.offset = it.at.QueueOffset
		}
		if it.delay != noDelay {
			e.tags = e.ts + it.delay
		}
		c.entries = append(c.entries, e)
		d.backlog += entryMemory + it.props
	}
	last := &b.items[first+n-1]
	d.added.Store(last.at.PhysicalOffset + int64(last.size))
}

// runQueues runs the queue stage for what no appender has carried. It ends when
// closing is set and everything has been carried that there is space for, or when
// the store has failed.
func (d *dispatcher) runQueues() {
	for {
		d.mu.Lock()
		closing := d.closing
		d.mu.Unlock()
		d.stage.Lock()
		d.round(allEntries)
		if d.wanted.Load() {
			continue // somebody added records and could not run the stage
		}
		d.stage.Lock()
		left := len(d.mine)
		d.stage.Unlock()
		if d.wanted.Load() {
			continue // and could not just now, for that look
		}
		if d.s.log.Err() != nil || closing && (left == 0 || d.s.lackOf(1<<queueSpace) != nil) {
			d.mu.Lock()
			d.drained = true
			d.cond.Broadcast()
			d.mu.Unlock()
			d.again.Stop()
			wake(d.indexWake)
			return
		}
		<-d.queueWake
	}
}

// carry puts at most so many entries into their queues, up to the first that is
// to be durable and is not, and returns how many chunks are done; left tells
// whether the bound stopped it.
func (d *dispatcher) carry(chunks []*chunk, entries int) (done int, left bool, err error) {
	for _, c := range chunks {
		if entries <= 0 {
			return done, true, nil
		}
		n, err := d.carryChunk(c, entries)
		entries -= n
		if err != nil {
			return done, false, err
		}
		if c.next < len(c.entries) {
			return done, entries <= 0, nil
		}
		done++
	}
	return done, false, nil
}

// carryChunk carries at most most entries of c and returns how many it did.
func (d *dispatcher) carryChunk(c *chunk, most int) (n int, err error) {
	d.hold.Lock()
	defer d.hold.Unlock()
	synced := d.s.log.Synced()
	arrive := d.s.cfg.OnArrive
	for ; c.next < len(c.entries) && n < most; n++ {
		e := &c.entries[c.next]
		end := e.physical + int64(e.size)
		if e.durable && end > synced {
			d.held.Store(true) // before the log is asked again: a sync that ends now sees it
			if synced = d.s.log.Synced(); end > synced {
				return n, nil
			}
		}
		queued := e.offset >= 0 && !e.q.gone.Load()
		if queued {
			if err := e.q.cq.Append(e.offset, consumequeue.Entry{Offset: e.physical, Size: e.size, Tags: e.tags}); err != nil {
				return n, err
			}
		}
		c.next++
		d.dispatched.Store(end)
		d.dispatchedTS.Store(e.ts)
		if queued && arrive != nil {
			arrive(e.q, e.offset, e.tags, e.ts, c.props[e.from:e.to])
		}
	}
	return n, nil
}

// WaitDispatched blocks until every record below the log offset can be found
// through its queue and its keys. The error is that of ReadOnly, or ErrClosed, or
// wraps ErrNoSpace: some of them wait for space, and nobody knows for how long.
func (s *Store) WaitDispatched(offset int64) error {
	d := &s.dispatch
	if min(d.dispatched.Load(), d.indexed.Load()) >= offset {
		return nil
	}
	s.mu.lock(0) // the log may end in a file that nothing could be written to
	if offset <= s.log.End() {
		offset = min(offset, d.added.Load())
	}
	s.mu.unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	for min(d.dispatched.Load(), d.indexed.Load()) < offset {
		wake(d.indexWake)
		if err := s.ReadOnly(); err != nil {
			return err
		}
		if d.drained {
			return ErrClosed
		}
		if err := s.lackOf(behind); err != nil {
			return err
		}
		d.cond.Wait()
	}
	return nil
}
