// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package vfs

import (
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The request FS_IOC_FIEMAP: which parts of a file have space on the disk, and
// which of those were written. Source: Documentation/filesystems/fiemap.rst of
// Linux.
const (
	fsIocFiemap     = 0xC020660B
	fiemapSync      = 0x1   // write what is only in the page cache first
	extentLast      = 0x1   // the last one of the file
	extentUnwritten = 0x800 // reserved, reads as zeros
)

type extent struct {
	logical, physical, length uint64
	_                         [2]uint64
	flags                     uint32
	_                         [3]uint32
}

type fiemap struct {
	start, length uint64
	flags, mapped uint32
	count, _      uint32
	extents       [32]extent
}

// nextWritten returns the first offset at or after off that was written, size
// when none was. An error with noExtents says that the file system can't tell.
func nextWritten(fd int, off, size int64) (int64, error) {
	// Mostly off itself was, and is on disk or on its way: nothing need be
	// written to see that.
	if at, err := firstExtent(fd, off, size, 0, 1); err != nil || at == off {
		return at, err
	}
	return firstExtent(fd, off, size, fiemapSync, len(fiemap{}.extents))
}

// firstExtent asks for so many extents at a time. Without fiemapSync it passes
// over reserved space that was written but for the disk.
func firstExtent(fd int, off, size int64, flags uint32, count int) (int64, error) {
	for off < size {
		m := fiemap{start: uint64(off), length: uint64(size - off), flags: flags, count: uint32(count)}
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), fsIocFiemap, uintptr(unsafe.Pointer(&m))); errno != 0 {
			return 0, errno
		}
		if m.mapped == 0 {
			return size, nil
		}
		for _, e := range m.extents[:m.mapped] {
			if e.flags&extentUnwritten == 0 {
				return min(max(off, int64(e.logical)), size), nil
			}
			if e.flags&extentLast != 0 || flags&fiemapSync == 0 {
				return size, nil
			}
			off = int64(e.logical + e.length)
		}
	}
	return size, nil
}

// noExtents tells whether err of nextWritten says that this file system, or
// kernel, does not know the request. EBADR is a flag it does not know.
func noExtents(err error) bool {
	return errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EINVAL) ||
		errors.Is(err, unix.EBADR) || errors.Is(err, unix.ENOSYS)
}
