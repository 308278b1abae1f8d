// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package vfs

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// Keep says what of the changes that were not synced survives a crash.
type Keep uint8

// KeepSynced loses every change that was not synced. KeepSome keeps each with
// even odds. KeepAll loses nothing.
const (
	KeepSynced Keep = iota
	KeepSome
	KeepAll
)

// CrashOptions say what a power cut leaves. The zero value leaves what was
// synced and nothing else.
type CrashOptions struct {
	// Data is about bytes since the last Sync of their file. KeepSome chooses
	// for each sector of 512 bytes, so that writes are torn, and for the size.
	Data Keep

	// Names is about names since the last SyncDir of their directory. KeepSome
	// chooses for each operation, in no order.
	Names Keep

	// Rand makes the choices of KeepSome, which needs it. The same seed over
	// the same history leaves the same.
	Rand *rand.Rand
}

// Crash cuts the power: m, its handles and its locks fail from now on with
// ErrCrashed, though its mappings may still be read, and what the cut leaves
// is returned. It has the capacity of m and no faults. Everything on it is
// durable.
func (m *Mem) Crash(o CrashOptions) *Mem {
	return m.end(&ending{options: o})
}

// Kill is the death of the process: as Crash, but everything written survives,
// and what was not synced is still not synced.
func (m *Mem) Kill() *Mem {
	return m.end(&ending{options: CrashOptions{Data: KeepAll, Names: KeepAll}, kill: true})
}

// ending builds the tree that is left from the tree that was.
type ending struct {
	options CrashOptions
	kill    bool
	space   *space
	files   map[*inode]*inode
	dirs    map[*memDir]*memDir
}

func (m *Mem) end(e *ending) *Mem {
	m.dead.Store(true)
	m.mu.Lock()
	defer m.mu.Unlock()
	left := NewMem()
	left.space.setCapacity(m.space.limit())
	e.space, e.files, e.dirs = &left.space, make(map[*inode]*inode), make(map[*memDir]*memDir)
	left.root = e.dir(m.root)
	for _, f := range e.files {
		if f.refs > 0 { // else removed, though perhaps not for good
			left.space.add(f.allocated)
		}
	}
	return left
}

func (e *ending) keep(k Keep) bool {
	return k == KeepAll || k == KeepSome && e.options.Rand.IntN(2) == 0
}

// dir returns nil for a directory that was left under two names by a rename
// that is half durable: it stays at the first.
func (e *ending) dir(d *memDir) *memDir {
	if e.dirs[d] != nil {
		return nil
	}
	left := newMemDir()
	e.dirs[d] = left
	if e.kill {
		left.durable = e.nodes(d.durable)
		for _, changes := range d.pending {
			left.pending = append(left.pending, e.changes(changes))
		}
		left.names = e.nodes(d.names)
	} else {
		names := maps.Clone(d.durable)
		for _, changes := range d.pending {
			if e.keep(e.options.Names) {
				apply(names, changes)
			}
		}
		left.durable = e.nodes(names)
		left.names = maps.Clone(left.durable)
	}
	for _, node := range left.names {
		if f, ok := node.(*inode); ok {
			f.refs++
		}
	}
	return left
}

func (e *ending) nodes(names map[string]memNode) map[string]memNode {
	left := make(map[string]memNode, len(names))
	for _, name := range sorted(names) {
		if node := e.node(names[name]); node != nil {
			left[name] = node
		}
	}
	return left
}

func (e *ending) changes(changes []nameChange) []nameChange {
	left := make([]nameChange, len(changes))
	for i, c := range changes {
		left[i] = nameChange{c.name, e.node(c.node)}
	}
	return left
}

// node returns what is left of a node. After a kill one node has many
// appearances (now, durable, pending); after a crash a file may have two names.
func (e *ending) node(node memNode) memNode {
	switch node := node.(type) {
	case *memDir:
		if e.kill && e.dirs[node] != nil {
			return e.dirs[node]
		}
		if left := e.dir(node); left != nil {
			return left
		}
	case *inode:
		left := e.files[node]
		if left == nil {
			left = e.file(node)
			e.files[node] = left
		}
		return left
	}
	return nil
}

func (e *ending) file(f *inode) *inode {
	f.mu.Lock() // not RLock: waits for writes under way, and later ones see dead
	defer f.mu.Unlock()
	left := newInode(e.space)
	// Room for all that was ever there, so that sectors can be put back whole.
	left.buf = f.written.copyOf(f.buf, max(f.durableSize, int64(len(f.buf))))
	left.allocated, left.written = slices.Clone(f.allocated), slices.Clone(f.written)
	if e.kill {
		left.durableSize = f.durableSize
		for s, sec := range f.dirty {
			left.dirty[s] = &sector{before: sec.before, lost: sec.lost}
		}
	} else {
		e.tear(f, left)
	}
	return left
}

// tear makes left, a copy of f, what the power cut leaves of f.
func (e *ending) tear(f, left *inode) {
	size := e.size(f.durableSize, int64(len(f.buf)))
	whole := int64(cap(left.buf))
	left.buf = left.buf[:whole]
	for _, s := range f.dirtySectors() {
		if s*sectorSize >= whole || e.keep(e.options.Data) {
			continue // written and cut off again, or kept
		}
		now, before := left.sector(s), f.dirty[s].before
		clear(now)
		if copy(now, before) > 0 {
			left.written.add(s * sectorSize / blockSize)
			left.allocated.add(s * sectorSize / blockSize)
		}
	}
	clear(left.buf[size:])
	left.buf = left.buf[:size]
	firstFree := (size + blockSize - 1) / blockSize
	left.allocated.cutFrom(firstFree)
	left.written.cutFrom(firstFree)
	left.durableSize = size
}

// size chooses the size that survives. Of an extension, any part may.
func (e *ending) size(durable, now int64) int64 {
	switch e.options.Data {
	case KeepAll:
		return now
	case KeepSome:
		switch choice := e.options.Rand.IntN(3); {
		case choice == 0:
			return now
		case choice == 1 && now > durable:
			return durable + e.options.Rand.Int64N(now-durable)
		}
	}
	return durable
}
