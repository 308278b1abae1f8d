// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// OS returns the file system of the machine.
func OS() FS { return osFS{} }

type osFS struct{}

func (osFS) OpenFile(name string, flag int) (File, error) {
	if flag&^allowedFlags != 0 {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fmt.Errorf("flags %#x: %w", flag, syscall.EINVAL)}
	}
	f, err := openQuietly(name, flag)
	if err != nil {
		return nil, err
	}
	if flag&(os.O_WRONLY|os.O_RDWR) == 0 { // else open has refused a directory
		info, err := f.Stat()
		if err == nil && info.IsDir() {
			err = &fs.PathError{Op: "open", Path: name, Err: syscall.EISDIR}
		}
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	return &osFile{File: f}, nil
}

// LinkTarget is what name leads to through links, itself if it is none or not there.
func (osFS) LinkTarget(name string) (string, error) {
	target, err := filepath.EvalSymlinks(name)
	if errors.Is(err, fs.ErrNotExist) {
		if _, missing := os.Lstat(name); errors.Is(missing, fs.ErrNotExist) {
			return name, nil
		}
	}
	return target, err
}

// CreateSecret makes an empty file that only its owner may read and write.
func (osFS) CreateSecret(name string) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Chmod(0o600), f.Close())
}

func (osFS) MkdirAll(dir string) error            { return os.MkdirAll(dir, 0o755) }
func (osFS) Remove(name string) error             { return os.Remove(name) }
func (osFS) RemoveAll(name string) error          { return os.RemoveAll(name) }
func (osFS) Rename(oldName, newName string) error { return os.Rename(oldName, newName) }

func (osFS) ReadDir(dir string) ([]string, error) {
	f, err := openQuietly(dir, os.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	names, err := f.Readdirnames(-1)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	slices.Sort(names)
	return names, nil
}

// openQuietly opens without writing down that it was read, which costs a write
// for each file and directory of a store that starts, and without trying to add
// it to the poller, as os.OpenFile does. Both count with very many queues.
func openQuietly(name string, flag int) (*os.File, error) {
	fd := -1
	open := func(flag int) error {
		return retry(func() (err error) {
			fd, err = unix.Open(name, flag|unix.O_CLOEXEC|unix.O_LARGEFILE, 0o644)
			return err
		})
	}
	err := open(flag | unix.O_NOATIME)
	if errors.Is(err, unix.EPERM) { // somebody else's file
		err = open(flag)
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}

func (osFS) Stat(name string) (int64, bool, error) {
	info, err := os.Stat(name)
	if err != nil {
		return 0, false, err
	}
	if info.IsDir() {
		return 0, true, nil
	}
	return info.Size(), false, nil
}

func (osFS) SyncDir(dir string) error {
	f, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (osFS) Usage(dir string) (Usage, error) {
	var st unix.Statfs_t
	err := retry(func() error { return unix.Statfs(dir, &st) })
	if err != nil {
		return Usage{}, &fs.PathError{Op: "statfs", Path: dir, Err: err}
	}
	unit := int64(st.Frsize) // FUSE may have another Bsize
	if unit == 0 {
		unit = int64(st.Bsize)
	}
	return Usage{
		Total: int64(st.Blocks) * unit,
		Used:  int64(st.Blocks-st.Bfree) * unit,
		Free:  int64(st.Bavail) * unit,
	}, nil
}

// Lock takes an open file description lock on the first byte. It is the range
// that RocketMQ's Java broker locks, and such a lock and Java's exclude each
// other, which an flock would not. A file system without them gets an flock.
func (osFS) Lock(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	err = control(f, "lock", func(fd int) error {
		err := unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart, Len: 1})
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.ENOLCK) {
			err = unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
		}
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
			err = ErrLocked
		}
		return err
	})
	if err == nil {
		_, err = f.WriteAt(lockText, 0)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// osFile adds to os.File what Linux has and os does not.
type osFile struct{ *os.File }

func (f *osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f *osFile) Sync() error {
	return control(f.File, "sync", unix.Fdatasync)
}

func (f *osFile) Preallocate(size int64) error {
	if size <= 0 {
		if size < 0 {
			return &fs.PathError{Op: "preallocate", Path: f.Name(), Err: syscall.EINVAL}
		}
		return nil
	}
	err := control(f.File, "preallocate", func(fd int) error { return unix.Fallocate(fd, 0, 0, size) })
	if !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.ENOSYS) {
		return err
	}
	have, err := f.Size()
	if err != nil || have >= size {
		return err
	}
	return f.Truncate(size)
}

func (f *osFile) NextData(off int64) (int64, error) { return f.nextData(off, nextWritten) }

// nextData asks SEEK_DATA, which never passes over data, but to which reserved
// space that was ever read, and so is in the page cache, is data. So written is
// asked whether it is, where the file system can tell. To find that out, what is
// only in the page cache is written: other errors are those of the device.
func (f *osFile) nextData(off int64, written func(fd int, off, size int64) (int64, error)) (int64, error) {
	size, err := f.Size()
	if err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, &fs.PathError{Op: "seek", Path: f.Name(), Err: syscall.EINVAL}
	}
	if off >= size {
		return size, nil
	}
	var at int64
	err = control(f.File, "seek", func(fd int) (err error) {
		at, err = unix.Seek(fd, off, unix.SEEK_DATA)
		return err
	})
	switch {
	case errors.Is(err, unix.ENXIO):
		return size, nil
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.EOPNOTSUPP):
		at = off
	case err != nil:
		return 0, err
	}
	found := at
	err = control(f.File, "fiemap", func(fd int) (err error) {
		found, err = written(fd, at, size)
		return err
	})
	if noExtents(err) {
		return at, nil
	}
	return found, err
}

func (f *osFile) NextHole(off int64) (int64, error) {
	size, err := f.Size()
	if err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, &fs.PathError{Op: "seek", Path: f.Name(), Err: syscall.EINVAL}
	}
	at := size
	if off < size {
		err = control(f.File, "seek", func(fd int) (err error) {
			at, err = unix.Seek(fd, off, unix.SEEK_HOLE)
			return err
		})
	}
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENXIO) {
		return size, nil
	}
	return at, err
}

func (f *osFile) Map(size int64) (Mapping, error) {
	have, err := f.Size()
	if err != nil {
		return nil, err
	}
	if size < 0 || size > have || size > math.MaxInt {
		return nil, &fs.PathError{Op: "mmap", Path: f.Name(), Err: fmt.Errorf("%d bytes of a file of %d: %w", size, have, syscall.EINVAL)}
	}
	if size == 0 {
		return &osMapping{b: []byte{}}, nil
	}
	m := new(osMapping)
	err = control(f.File, "mmap", func(fd int) (err error) {
		m.b, err = unix.Mmap(fd, 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
		return err
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

type osMapping struct{ b []byte }

func (m *osMapping) Bytes() []byte { return m.b }

func (m *osMapping) Close() error {
	b := m.b
	m.b = nil
	if len(b) == 0 {
		return nil
	}
	return os.NewSyscallError("munmap", unix.Munmap(b))
}

// control runs a system call on the descriptor of f, which cannot be closed
// meanwhile, again after each interruption, and names the file in its error.
func control(f *os.File, op string, call func(fd int) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return &fs.PathError{Op: op, Path: f.Name(), Err: err}
	}
	var callErr error
	err = conn.Control(func(fd uintptr) {
		callErr = retry(func() error { return call(int(fd)) })
	})
	if err != nil {
		callErr = fs.ErrClosed // the one reason why Control does not call
	}
	if callErr != nil {
		return &fs.PathError{Op: op, Path: f.Name(), Err: callErr}
	}
	return nil
}

func retry(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
