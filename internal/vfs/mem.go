// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/bits"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
)

// ErrCrashed is returned by everything that belongs to a Mem on which Crash or
// Kill was called.
var ErrCrashed = errors.New("the file system has crashed")

// unlimited is the size that a Mem without a capacity reports.
const unlimited = 1 << 40

// Mem is a file system in memory, for tests. Its names are absolute: "a/b" is
// "/a/b". It starts with the root directory alone. All methods may be called
// from several goroutines.
//
// Mem keeps, besides what a reader sees, what a power cut would leave: the
// bytes as of the last Sync of their file, the names as of the last SyncDir of
// their directory. Crash and Kill turn that into a new Mem.
type Mem struct {
	fault atomic.Pointer[func(Op, string) error]
	dead  atomic.Bool // set first, then checked under the lock that an operation works under
	space space

	mu    sync.Mutex // the tree: every memDir
	root  *memDir
	locks map[*inode]struct{}
}

var _ FS = (*Mem)(nil)

// NewMem returns an empty file system without a capacity and without faults.
func NewMem() *Mem {
	return &Mem{root: newMemDir(), locks: make(map[*inode]struct{})}
}

// Fail makes every operation ask fault first, with the absolute name of the
// file or directory. A non-nil answer becomes the error of the operation,
// which then does nothing, but for two: a *ShortWrite makes OpWrite write a
// part, and a failed OpSync or OpSyncAll leaves the unsynced bytes in doubt for good. fault
// runs on the caller's goroutine with no lock held: it may call Crash and
// Kill. nil ends the faults.
func (m *Mem) Fail(fault func(op Op, name string) error) {
	if fault == nil {
		m.fault.Store(nil)
		return
	}
	m.fault.Store(&fault)
}

// SetCapacity limits the space that files may take to a number of bytes,
// counted in allocated blocks of 4096. 0 is no limit. A limit below what is
// taken already frees nothing.
func (m *Mem) SetCapacity(bytes int64) { m.space.setCapacity(bytes) }

// begin asks the fault function.
func (m *Mem) begin(op Op, name string) error {
	if m.dead.Load() {
		return pathError(op, name, ErrCrashed)
	}
	if fault := m.fault.Load(); fault != nil {
		if err := (*fault)(op, name); err != nil {
			return pathError(op, name, err)
		}
	}
	return nil
}

// lockTree locks the tree of a living file system.
func (m *Mem) lockTree() error {
	m.mu.Lock()
	if m.dead.Load() {
		m.mu.Unlock()
		return ErrCrashed
	}
	return nil
}

// tree runs a named operation on the tree.
func (m *Mem) tree(op Op, name string, run func(path string) error) error {
	path := clean(name)
	if err := m.begin(op, path); err != nil {
		return err
	}
	if err := m.lockTree(); err != nil {
		return pathError(op, path, err)
	}
	defer m.mu.Unlock()
	if err := run(path); err != nil {
		return pathError(op, path, err)
	}
	return nil
}

// OpenFile implements FS.
func (m *Mem) OpenFile(name string, flag int) (File, error) {
	var f *memFile
	err := m.tree(OpOpen, name, func(path string) error {
		node, err := m.openInode(path, flag)
		if err != nil {
			return err
		}
		f = &memFile{m: m, node: node, name: path, access: flag & (os.O_RDONLY | os.O_WRONLY | os.O_RDWR)}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

// openInode finds or makes a file and takes a reference on it. Tree locked.
func (m *Mem) openInode(path string, flag int) (*inode, error) {
	if flag&^allowedFlags != 0 {
		return nil, fmt.Errorf("flags %#x: %w", flag, syscall.EINVAL)
	}
	dir, base, err := m.parent(path)
	if err != nil {
		return nil, err
	}
	if base == "" {
		return nil, syscall.EISDIR
	}
	switch node := dir.names[base].(type) {
	case *memDir:
		if flag&os.O_CREATE != 0 && flag&os.O_EXCL != 0 {
			return nil, syscall.EEXIST
		}
		return nil, syscall.EISDIR
	case *inode:
		if flag&os.O_CREATE != 0 && flag&os.O_EXCL != 0 {
			return nil, syscall.EEXIST
		}
		node.mu.Lock()
		defer node.mu.Unlock()
		if flag&os.O_TRUNC != 0 {
			node.resize(0)
		}
		node.refs++
		return node, nil
	}
	if flag&os.O_CREATE == 0 {
		return nil, syscall.ENOENT
	}
	node := newInode(&m.space)
	node.refs = 2 // the name and the handle
	dir.change(nameChange{base, node})
	return node, nil
}

// Lock implements FS.
func (m *Mem) Lock(name string) (io.Closer, error) {
	var lock *memLock
	err := m.tree(OpLock, name, func(path string) error {
		node, err := m.openInode(path, os.O_RDWR|os.O_CREATE)
		if err != nil {
			return err
		}
		if _, taken := m.locks[node]; taken {
			node.unref()
			return ErrLocked
		}
		if _, err := node.write(lockText, 0); err != nil {
			node.unref()
			return err
		}
		m.locks[node] = struct{}{}
		lock = &memLock{m: m, node: node, name: path}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return lock, nil
}

type memLock struct {
	m      *Mem
	node   *inode
	name   string
	closed atomic.Bool
}

func (l *memLock) Close() error {
	if l.closed.Swap(true) {
		return pathError(OpLock, l.name, fs.ErrClosed)
	}
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	delete(l.m.locks, l.node)
	l.node.unref()
	return nil
}

// Usage implements FS.
func (m *Mem) Usage(dir string) (u Usage, err error) {
	err = m.tree(OpUsage, dir, func(path string) error {
		if _, err := m.lookup(path); err != nil {
			return err
		}
		u = m.space.usage()
		return nil
	})
	return u, err
}

// space counts allocated blocks.
type space struct {
	mu       sync.Mutex
	used     int64 // bytes
	capacity int64 // bytes, 0 without limit
}

func (s *space) setCapacity(bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.capacity = bytes
}

// take reserves one block, or reports that there is none.
func (s *space) take() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.capacity > 0 && s.used+blockSize > s.capacity {
		return false
	}
	s.used += blockSize
	return true
}

// add counts blocks without asking for room.
func (s *space) add(blocks blockSet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, word := range blocks {
		s.used += int64(bits.OnesCount64(word)) * blockSize
	}
}

func (s *space) limit() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.capacity
}

func (s *space) giveBack(blocks int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used -= blocks * blockSize
}

func (s *space) usage() Usage {
	s.mu.Lock()
	defer s.mu.Unlock()
	total := s.capacity
	if total == 0 {
		total = unlimited
	}
	return Usage{Total: total, Used: s.used, Free: max(total-s.used, 0)}
}

func pathError(op Op, name string, err error) error {
	return &fs.PathError{Op: op.String(), Path: name, Err: err}
}
