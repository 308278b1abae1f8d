// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/twostage/twostage/internal/store/consumequeue"
	"github.com/twostage/twostage/message"
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
	next    int // first entry that the queue stage has not read
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
type dispatcher struct {
	s *Store

	queueWake chan struct{}
	indexWake chan struct{}
	later     *time.Timer // wakes the index stage
	armed     atomic.Bool // later is set

	wanted atomic.Bool // there is work for the queue stage
	stage  sync.Mutex  // held by who runs the queue stage
	mine   []*chunk    // not yet wholly in the queues, oldest first; stage

	mu       sync.Mutex
	cond     sync.Cond // progress, or the store has failed
	filling  []*chunk  // last one open
	indexing []*chunk
	free     []*chunk
	backlog  int  // memory of filling, the queue stage and indexing
	closing  bool // no more will be added
	drained  bool // the queue stage has ended

	dispatched   atomic.Int64 // log offset below which all entries can be read
	dispatchedTS atomic.Int64 // store timestamp of the last of them
	indexed      atomic.Int64

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
	d.dispatched.Store(offset)
	d.dispatchedTS.Store(ts)
	d.indexed.Store(offset)
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// signal says that records were added: it runs the queue stage, unless somebody
// is at it, who then sees to these too.
func (d *dispatcher) signal() {
	if d.s.cfg.SyncFlush {
		wake(d.queueWake)
		return
	}
	d.wanted.Store(true)
	for d.wanted.Load() && d.stage.TryLock() {
		d.wanted.Store(false)
		d.advance()
		d.stage.Unlock()
	}
}

const (
	indexDelay = 5 * time.Millisecond // that the index may be behind while nobody asks
	indexSoon  = 128 << 10            // bytes of entries that are indexed at once
)

// advance is one round of the queue stage; d.stage is held.
func (d *dispatcher) advance() {
	d.mu.Lock()
	d.mine = append(d.mine, d.filling...)
	clear(d.filling)
	d.filling = d.filling[:0]
	d.mu.Unlock()

	done, err := d.carry(d.mine)
	if err != nil {
		d.s.fail(err)
	}
	if done == 0 {
		return
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
}

// waitForRoom blocks while too much waits, so that a slow view slows senders
// down instead of filling the memory.
func (d *dispatcher) waitForRoom() {
	d.mu.Lock()
	for d.backlog > d.s.cfg.MaxBacklog && !d.closing && d.s.log.Err() == nil {
		d.cond.Wait()
	}
	d.mu.Unlock()
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
			} else {
				c = new(chunk)
			}
			d.filling = append(d.filling, c)
		}
		end := it.off + it.size
		from := len(c.props)
		c.props = append(c.props, b.buf[end-it.props:end]...)
		e := entry{q: it.q, offset: -1, physical: it.at.PhysicalOffset, tags: it.tags, ts: it.at.StoreTimestamp,
			size: it.at.Size, index: it.index, from: int32(from), to: int32(len(c.props))}
		if it.queued {
			e.offset = it.at.QueueOffset
		}
		if it.delay != noDelay {
			e.tags = e.ts + it.delay
		}
		c.entries = append(c.entries, e)
		d.backlog += entryMemory + it.props
	}
}

// runQueues runs the queue stage for what no appender has carried. It ends when
// closing is set and everything has been carried, or when the store has failed.
func (d *dispatcher) runQueues() {
	for {
		d.mu.Lock()
		closing := d.closing
		d.mu.Unlock()
		d.stage.Lock()
		d.wanted.Store(false)
		d.advance()
		left := len(d.mine)
		d.stage.Unlock()
		if d.wanted.Load() {
			continue // somebody added records and could not run the stage
		}
		if d.s.log.Err() != nil || closing && left == 0 {
			d.mu.Lock()
			d.drained = true
			d.cond.Broadcast()
			d.mu.Unlock()
			wake(d.indexWake)
			return
		}
		<-d.queueWake
	}
}

// carry puts entries into their queues, with SyncFlush only durable ones, and
// returns how many chunks are done.
func (d *dispatcher) carry(chunks []*chunk) (done int, err error) {
	for _, c := range chunks {
		d.hold.Lock()
		err := d.carryChunk(c)
		d.hold.Unlock()
		if err != nil {
			return done, err
		}
		if c.next < len(c.entries) {
			break
		}
		done++
	}
	return done, nil
}

func (d *dispatcher) carryChunk(c *chunk) error {
	limit := int64(1<<63 - 1)
	if d.s.cfg.SyncFlush {
		limit = d.s.log.Synced()
	}
	arrive := d.s.cfg.OnArrive
	for ; c.next < len(c.entries); c.next++ {
		e := &c.entries[c.next]
		end := e.physical + int64(e.size)
		if end > limit {
			return nil
		}
		queued := e.offset >= 0 && !e.q.gone.Load()
		if queued {
			if err := e.q.cq.Append(e.offset, consumequeue.Entry{Offset: e.physical, Size: e.size, Tags: e.tags}); err != nil {
				return err
			}
		}
		d.dispatched.Store(end)
		d.dispatchedTS.Store(e.ts)
		if queued && arrive != nil {
			arrive(e.q, e.offset, e.tags, e.ts, c.props[e.from:e.to])
		}
	}
	return nil
}

// runIndex is the index stage.
func (d *dispatcher) runIndex() {
	var mine []*chunk
	for {
		d.mu.Lock()
		mine, d.indexing = d.indexing, mine[:0]
		last := d.drained && len(mine) == 0
		d.mu.Unlock()
		for _, c := range mine {
			if err := d.indexChunk(c); err != nil {
				d.s.fail(err)
			}
			d.recycle(c)
		}
		clear(mine)
		if last {
			return
		}
		if len(mine) == 0 {
			<-d.indexWake
		}
	}
}

func (d *dispatcher) indexChunk(c *chunk) error {
	if d.s.log.Err() != nil {
		return nil // the index stays behind; recovery puts the rest
	}
	for i := range c.entries {
		e := &c.entries[i]
		if e.index {
			if err := d.s.putIndex(e.q.raw, c.props[e.from:e.to], e.physical, e.ts); err != nil {
				return err
			}
		}
		d.indexed.Store(e.physical + int64(e.size))
	}
	return nil
}

const (
	maxFree     = 256       // chunks that are kept for reuse,
	maxFreeSize = 256 << 10 // those with at most so many bytes
)

func (d *dispatcher) recycle(c *chunk) {
	memory := c.memory()
	clear(c.entries) // no handles kept
	c.entries, c.props, c.next = c.entries[:0], c.props[:0], 0
	d.mu.Lock()
	defer d.mu.Unlock()
	d.backlog -= memory
	if len(d.free) < maxFree && memory <= maxFreeSize {
		d.free = append(d.free, c)
	}
	d.cond.Broadcast()
}

// putIndex puts the keys of a record, if it has any, into the index.
func (s *Store) putIndex(topic, props []byte, physical, ts int64) error {
	uniq, _ := message.Property(props, message.PropertyUniqueKey)
	keys, _ := message.Property(props, message.PropertyKeys)
	return s.index.Put(topic, uniq, keys, physical, ts)
}

// WaitDispatched blocks until every record below the log offset can be found
// through its queue and its keys. The error is that of ReadOnly, or ErrClosed.
func (s *Store) WaitDispatched(offset int64) error {
	d := &s.dispatch
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
		d.cond.Wait()
	}
	return nil
}
