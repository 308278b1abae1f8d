// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package state

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// Write gives every word that was set before to the operating system: it then
// survives the death of the process. When it fails (no space, say) what was not
// written stays in memory and the next Write tries again.
func (f *File) Write() error {
	f.write.Lock()
	defer f.write.Unlock()
	if err := f.usable(); err != nil {
		return err
	}
	return f.flush()
}

// Commit makes every word that was set before durable, then m, which Mark
// returns from then on, after a power cut too. Words that are set meanwhile may
// be durable or not. It blocks on the device, Set and Get don't wait for it.
// When it fails, the mark before stays.
//
// After a failed sync the disk is in doubt: Write, Commit, Clear, DropBelow and
// Reset return that error from then on, and so does reading what is not in
// memory of the file in question. Set works on, in memory. The way out is to
// open the directory again and to set all that came after the mark.
func (f *File) Commit(m Mark) error {
	if err := m.check(); err != nil {
		return err
	}
	f.write.Lock()
	defer f.write.Unlock()
	if err := f.usable(); err != nil {
		return err
	}
	if err := f.flush(); err != nil {
		return err
	}
	if err := f.sync(true); err != nil {
		return err
	}
	if err := f.syncNames(); err != nil {
		return err
	}
	unsure, err := f.marks.write(m)
	return f.endMark(unsure, err)
}

// endMark takes over what the file of the mark says now.
func (f *File) endMark(unsure bool, err error) error {
	f.mu.Lock()
	f.mark, f.marked = f.marks.mark()
	f.mu.Unlock()
	if err == nil {
		return nil
	}
	err = fmt.Errorf("transaction state: mark %s: %w", f.marks.name, err)
	if unsure {
		f.broken = err
	}
	return err
}

// DropBelow removes the files that hold only words below half, and forgets
// these words: they are zero from then on. The half messages they belong to
// should be gone from the log, and half not above the mark's. Words set below
// half meanwhile may be lost.
func (f *File) DropBelow(half int64) error {
	if half < 0 {
		return fmt.Errorf("transaction state: there is no half queue offset %d", half)
	}
	f.write.Lock()
	defer f.write.Unlock()
	if err := f.usable(); err != nil {
		return err
	}
	list := f.between(0, half/segmentWords*segmentWords)
	for _, seg := range list {
		if err := f.remove(seg); err != nil {
			return err
		}
	}
	if len(list) == 0 {
		return nil
	}
	return f.syncNames()
}

// Clear zeroes the words from from to to-1. It is as durable as a Set: Commit
// makes it so. Words set meanwhile there may be lost. When it takes back what a
// mark rests on (a word below Mark.Half, or one of an op record below
// Mark.Log), it first removes the mark, durably.
func (f *File) Clear(from, to int64) error {
	if from < 0 || to > maxOffset {
		return fmt.Errorf("transaction state: there are no half queue offsets %d to %d", from, to)
	}
	if from >= to {
		return nil
	}
	f.write.Lock()
	defer f.write.Unlock()
	if err := f.usable(); err != nil {
		return err
	}
	list := f.between(from, to)
	marked, err := f.markRestsOn(list, from, to)
	if err != nil {
		return err
	}
	if marked {
		if err := f.endMark(f.marks.drop()); err != nil {
			return err
		}
	}
	for _, seg := range list {
		first := seg.number * segmentWords
		if from <= first && to >= first+segmentWords {
			if err := f.remove(seg); err != nil {
				return err
			}
			continue
		}
		f.zero(seg, max(from, first), min(to, first+segmentWords))
	}
	return nil
}

// markRestsOn tells whether a mark on disk says something of the words [from,to).
func (f *File) markRestsOn(list []*segment, from, to int64) (rests bool, err error) {
	if !f.marks.some {
		return f.marks.useless, nil
	}
	if from < f.marks.reach.Half {
		return true, nil
	}
	for _, seg := range list {
		first := seg.number * segmentWords
		err := f.Range(max(from, first), min(to, first+segmentWords), func(_ int64, w Word) bool {
			rests = w.Kind == Resumed || w.Kind != Undecided && w.Op < f.marks.reach.Log
			return !rests
		})
		if errors.Is(err, ErrDamaged) {
			return true, nil // who knows
		}
		if err != nil || rests {
			return rests, err
		}
	}
	return false, nil
}

// zero sets the words [from,to) of a segment to zero.
func (f *File) zero(seg *segment, from, to int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for from < to {
		number, next := from/pageWords, min(to, (from/pageWords+1)*pageWords)
		p := f.find(number)
		if p == nil && number%segmentPages*pageBytes < seg.size {
			p = f.create(number)
		}
		if p != nil {
			for ; from < next; from++ {
				p.put(from%pageWords, 0)
			}
			f.dirtied(p)
		}
		from = next
	}
}

// Reset forgets the mark and every word, durably: the mark first. When it fails
// the mark is gone and some words may be there.
func (f *File) Reset() error {
	f.write.Lock()
	defer f.write.Unlock()
	if err := f.usable(); err != nil {
		return err
	}
	if err := f.endMark(f.marks.drop()); err != nil {
		return err
	}
	for _, seg := range f.between(0, maxOffset) {
		if err := f.remove(seg); err != nil {
			return err
		}
	}
	return f.syncNames()
}

// Close writes as Write does and closes the files. When that fails, what it
// could not write is lost to this process. The second Close does nothing.
func (f *File) Close() error {
	f.write.Lock()
	defer f.write.Unlock()
	f.mu.Lock()
	closed := f.closed
	f.closed = true // no more Set
	f.mu.Unlock()
	if closed {
		return nil
	}
	err := f.broken
	if err == nil {
		err = f.flush()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.handles) > 0 {
		f.closeHandle(f.handles[0])
	}
	f.marks.close()
	f.segments, f.dirty, f.last = nil, nil, nil
	f.clean.init()
	return err
}

// The methods below want the write lock.

func (f *File) usable() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return f.errClosed()
	}
	return f.broken
}

// flush writes the queued pages.
func (f *File) flush() error {
	f.mu.Lock()
	list := f.dirty
	f.dirty = nil
	f.mu.Unlock()
	slices.SortFunc(list, func(a, b *page) int { return cmp.Compare(a.number, b.number) })
	for len(list) > 0 {
		n := 1
		for n < len(list) && n < rangeWords/pageWords && list[n].number == list[n-1].number+1 && list[n].seg == list[0].seg {
			n++
		}
		if err := f.writePages(list[:n]); err != nil {
			f.mu.Lock()
			f.dirty = append(f.dirty, list...)
			f.mu.Unlock()
			return err
		}
		list = list[n:]
	}
	return nil
}

// writePages writes pages that lie side by side in one segment, all of them
// queued. With an error they are as before.
func (f *File) writePages(pages []*page) error {
	seg := pages[0].seg
	if err := f.limitUnsynced(seg); err != nil {
		return err
	}
	b, at, sets, err := f.take(seg, pages)
	if err != nil {
		return err
	}
	_, err = seg.handle.WriteAt(b, at)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		for i, p := range pages {
			for j := range p.set {
				p.set[j] |= sets[i][j]
			}
		}
		return fmt.Errorf("transaction state: write %d bytes of %s at %d: %w", len(b), seg.path, at, err)
	}
	seg.size = max(seg.size, at+int64(len(b)))
	for _, p := range pages {
		if p.set != [len(p.set)]uint64{} { // set again meanwhile
			f.dirty = append(f.dirty, p)
			continue
		}
		p.queued = false
		f.used(p)
	}
	return nil
}

// take collects what is to be written of pages: from the first word that was
// set to the last. The words count as written from then on.
func (f *File) take(seg *segment, pages []*page) (b []byte, at int64, sets [][pageWords / 64]uint64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range pages {
		if err := f.load(p); err != nil {
			return nil, 0, nil, err
		}
	}
	if err := f.open(seg, true); err != nil {
		return nil, 0, nil, err
	}
	seg.unsynced = true
	n := int64(len(pages))
	from, _ := pages[0].span()
	_, to := pages[n-1].span()
	f.buffer = slices.Grow(f.buffer[:0], int(n*pageBytes))
	b = f.buffer[:n*pageBytes]
	sets = make([][pageWords / 64]uint64, n)
	for i, p := range pages {
		p.encode(b[i*pageBytes:], 0, pageWords)
		sets[i] = p.set
		p.set = [len(p.set)]uint64{}
	}
	return b[from*wordBytes : (n-1)*pageBytes+to*wordBytes], pages[0].at() + from*wordBytes, sets, nil
}

// limitUnsynced syncs early when too many files are open for it.
func (f *File) limitUnsynced(seg *segment) error {
	if seg.unsynced {
		return nil
	}
	f.mu.Lock()
	n := 0
	for _, s := range f.handles {
		if s.unsynced {
			n++
		}
	}
	f.mu.Unlock()
	if n < maxUnsynced {
		return nil
	}
	return f.sync(false)
}

// sync makes what was written durable, and what the process before may have
// left if inherited says so.
func (f *File) sync(inherited bool) error {
	for _, seg := range f.between(0, maxOffset) {
		if !seg.unsynced && !(inherited && seg.inherited) {
			continue
		}
		f.mu.Lock()
		err := f.open(seg, false)
		handle := seg.handle
		seg.unsynced = err == nil // keeps the handle open
		f.mu.Unlock()
		if err != nil {
			return err
		}
		err = handle.Sync()
		f.mu.Lock()
		if err != nil {
			seg.failed = err
			f.broken = fmt.Errorf("transaction state: sync %s: %w", seg.path, err)
		} else {
			seg.unsynced, seg.inherited = false, false
		}
		f.mu.Unlock()
		if err != nil {
			return f.broken
		}
	}
	return nil
}

func (f *File) syncNames() error {
	if !f.newNames {
		return nil
	}
	if err := f.fs.SyncDir(f.dir); err != nil {
		f.broken = fmt.Errorf("transaction state: sync the names in %s: %w", f.dir, err)
		return f.broken
	}
	f.newNames = false
	return nil
}
