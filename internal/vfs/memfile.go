// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
)

// memFile is a handle.
type memFile struct {
	m      *Mem
	node   *inode
	name   string
	access int // os.O_RDONLY, O_WRONLY or O_RDWR
	closed atomic.Bool
}

// check refuses a dead or closed handle. The inode is locked, so that nothing
// happens after a crash.
func (f *memFile) check() error {
	if f.m.dead.Load() {
		return ErrCrashed
	}
	if f.closed.Load() {
		return fs.ErrClosed
	}
	return nil
}

// reading runs an operation that leaves the inode as it is.
func (f *memFile) reading(op Op, run func() error) error {
	if err := f.m.begin(op, f.name); err != nil {
		return err
	}
	f.node.mu.RLock()
	defer f.node.mu.RUnlock()
	if err := f.check(); err != nil {
		return pathError(op, f.name, err)
	}
	if err := run(); err != nil {
		return pathError(op, f.name, err)
	}
	return nil
}

// writing runs an operation that changes the inode.
func (f *memFile) writing(op Op, run func() error) error {
	if err := f.m.begin(op, f.name); err != nil {
		return err
	}
	f.node.mu.Lock()
	defer f.node.mu.Unlock()
	if err := f.check(); err != nil {
		return pathError(op, f.name, err)
	}
	if err := run(); err != nil {
		return pathError(op, f.name, err)
	}
	return nil
}

func (f *memFile) ReadAt(p []byte, off int64) (n int, err error) {
	err = f.reading(OpRead, func() error {
		switch {
		case f.access == os.O_WRONLY:
			return syscall.EBADF
		case off < 0:
			return syscall.EINVAL
		case off < int64(len(f.node.buf)):
			n = copy(p, f.node.buf[off:])
		}
		return nil
	})
	if err == nil && n < len(p) {
		err = io.EOF
	}
	return n, err
}

func (f *memFile) WriteAt(p []byte, off int64) (n int, err error) {
	fault := f.m.begin(OpWrite, f.name)
	if fault != nil {
		short, ok := errors.AsType[*ShortWrite](fault)
		if !ok {
			return 0, fault
		}
		p, fault = p[:min(max(short.N, 0), len(p))], pathError(OpWrite, f.name, short.Err)
	}
	f.node.mu.Lock()
	defer f.node.mu.Unlock()
	err = f.check()
	switch {
	case err != nil:
	case f.access == os.O_RDONLY:
		err = syscall.EBADF
	case off < 0:
		err = syscall.EINVAL
	default:
		n, err = f.node.write(p, off)
	}
	if err != nil {
		return n, pathError(OpWrite, f.name, err)
	}
	return n, fault
}

func (f *memFile) Size() (size int64, err error) {
	err = f.reading(OpSize, func() error {
		size = int64(len(f.node.buf))
		return nil
	})
	return size, err
}

func (f *memFile) Truncate(size int64) error {
	return f.writing(OpTruncate, func() error {
		if size < 0 || f.access == os.O_RDONLY {
			return syscall.EINVAL
		}
		f.node.resize(size)
		return nil
	})
}

func (f *memFile) Sync() error {
	err := f.writing(OpSync, func() error {
		f.node.sync()
		return nil
	})
	if err != nil && !errors.Is(err, ErrCrashed) && !errors.Is(err, fs.ErrClosed) {
		f.node.mu.Lock()
		defer f.node.mu.Unlock()
		f.node.failSync()
	}
	return err
}

func (f *memFile) Preallocate(size int64) error {
	return f.writing(OpPreallocate, func() error {
		switch {
		case size < 0:
			return syscall.EINVAL
		case f.access == os.O_RDONLY:
			return syscall.EBADF
		}
		for block := int64(0); block*blockSize < size; block++ {
			if !f.node.allocate(block) {
				return syscall.ENOSPC
			}
		}
		f.node.grow(size)
		return nil
	})
}

func (f *memFile) NextData(off int64) (at int64, err error) {
	err = f.reading(OpNextData, func() error {
		if off < 0 {
			return syscall.EINVAL
		}
		at = int64(len(f.node.buf))
		for block := off / blockSize; block*blockSize < at; block++ {
			if f.node.written.has(block) {
				at = min(max(block*blockSize, off), at)
				break
			}
		}
		return nil
	})
	return at, err
}

func (f *memFile) NextHole(off int64) (at int64, err error) {
	err = f.reading(OpNextData, func() error {
		if off < 0 {
			return syscall.EINVAL
		}
		at = int64(len(f.node.buf))
		for block := off / blockSize; block*blockSize < at; block++ {
			if !f.node.written.has(block) {
				at = min(max(block*blockSize, off), at)
				break
			}
		}
		return nil
	})
	return at, err
}

func (f *memFile) Map(size int64) (Mapping, error) {
	v := &memMapping{node: f.node}
	err := f.writing(OpMap, func() error {
		have := int64(len(f.node.buf))
		switch {
		case f.access == os.O_WRONLY:
			return syscall.EACCES
		case size < 0 || size > have:
			return fmt.Errorf("%d bytes of a file of %d: %w", size, have, syscall.EINVAL)
		}
		v.b = f.node.buf[:size:size]
		if v.b == nil {
			v.b = []byte{}
		}
		f.node.views = append(f.node.views, v)
		f.node.refs++
		return nil
	})
	if err != nil {
		return nil, err
	}
	return v, nil
}

func (f *memFile) Close() error {
	if f.closed.Swap(true) {
		return &fs.PathError{Op: "close", Path: f.name, Err: fs.ErrClosed}
	}
	f.node.unref()
	return nil
}

// memMapping is a slice of the buffer of its file. It is stale when the file
// has moved to a larger buffer since; writes then go to both, so that the view
// stays coherent and never moves.
type memMapping struct {
	node  *inode
	b     []byte
	stale bool // guarded by node.mu
}

func (v *memMapping) Bytes() []byte { return v.b }

func (v *memMapping) Close() error {
	if v.b == nil {
		return nil
	}
	v.b = nil
	v.node.mu.Lock()
	v.node.views = slices.DeleteFunc(v.node.views, func(other *memMapping) bool { return other == v })
	v.node.mu.Unlock()
	v.node.unref()
	return nil
}
