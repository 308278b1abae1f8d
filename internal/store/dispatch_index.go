// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"time"

	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

// runIndex is the index stage.
func (d *dispatcher) runIndex() {
	var mine []*chunk
	for {
		d.mu.Lock()
		mine, d.indexing = d.indexing, mine[:0]
		last := d.drained && len(mine) == 0
		d.mu.Unlock()
		for _, c := range mine {
			d.indexChunk(c)
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

// indexChunk puts c into the index. Once the store has failed or is closed
// without space the index stays behind; recovery puts the rest.
func (d *dispatcher) indexChunk(c *chunk) {
	for !d.incomplete && d.s.log.Err() == nil {
		err := d.put(c)
		if err == nil {
			d.s.has(indexSpace)
			return
		}
		if !vfs.NoSpace(err) {
			d.s.fail(err)
			return
		}
		_ = d.s.lacks(indexSpace, err)
		d.incomplete = !d.pause()
	}
}

// put puts the entries of c from c.next on, which the queue stage has reset.
func (d *dispatcher) put(c *chunk) error {
	for ; c.next < len(c.entries); c.next++ {
		e := &c.entries[c.next]
		if e.index {
			if err := d.s.putIndex(e.q.raw, c.props[e.from:e.to], e.physical, e.ts); err != nil {
				return err
			}
		}
		d.indexed.Store(e.physical + int64(e.size))
	}
	return nil
}

// pause waits until the index stage may try again. false: the store is closed.
func (d *dispatcher) pause() bool {
	t := time.NewTimer(spaceInterval)
	defer t.Stop()
	closed := d.closes()
	for !closed {
		select {
		case <-t.C:
			return true
		case <-d.indexWake: // or there is more to do, which is seen later
		}
		if d.closes() || d.s.log.Err() != nil {
			return true
		}
	}
	return false
}

func (d *dispatcher) closes() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.closing
}

const (
	maxFree     = 8192    // chunks that are kept for reuse
	maxFreeSize = 8 << 20 // and the bytes that they have held together
)

func (d *dispatcher) recycle(c *chunk) {
	memory := c.memory()
	clear(c.entries) // no handles kept
	c.entries, c.props, c.next = c.entries[:0], c.props[:0], 0
	d.mu.Lock()
	defer d.mu.Unlock()
	d.backlog -= memory
	if len(d.free) < maxFree && d.freeSize+memory <= maxFreeSize {
		c.kept = memory
		d.freeSize += memory
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
