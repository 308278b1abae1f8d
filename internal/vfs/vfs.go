// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package vfs

import (
	"errors"
	"io"
	"os"
)

const allowedFlags = os.O_RDONLY | os.O_WRONLY | os.O_RDWR | os.O_CREATE | os.O_EXCL | os.O_TRUNC

var lockText = []byte("lock")

// ErrLocked is returned by FS.Lock when somebody else holds the lock.
var ErrLocked = errors.New("locked by another process or by another part of this one")

// FS is a file system. All methods may be called from several goroutines.
// Errors carry the operation and the name and answer errors.Is for
// fs.ErrNotExist, fs.ErrExist, syscall.ENOSPC and so on.
type FS interface {
	// OpenFile opens name with flags os.O_RDONLY, O_WRONLY or O_RDWR, plus any
	// of O_CREATE, O_EXCL, O_TRUNC. New files get mode 0644. A directory is an
	// error. The name of a new file is durable after SyncDir of its directory.
	OpenFile(name string, flag int) (File, error)

	// MkdirAll makes dir and its missing parents with mode 0755. An existing
	// directory is no error. See MkdirAllSync for one that survives a power cut.
	MkdirAll(dir string) error

	// Remove removes a file or an empty directory. Open handles and mappings of
	// a removed file stay usable.
	Remove(name string) error

	// RemoveAll removes name and everything below it. A missing name is no error.
	RemoveAll(name string) error

	// Rename gives oldName the name newName, in one step and in place of a file
	// that may be there. A directory that is there is an error.
	Rename(oldName, newName string) error

	// ReadDir returns the names in dir, sorted. fs.ErrNotExist when it is missing.
	ReadDir(dir string) ([]string, error)

	// Stat returns the size in bytes (0 for a directory) and whether name is a
	// directory.
	Stat(name string) (size int64, dir bool, err error)

	// SyncDir makes the names in dir durable. It blocks on the device.
	SyncDir(dir string) error

	// Lock takes the exclusive lock of the file name, which it creates when
	// missing and which holds the text "lock". The lock ends with Close, which
	// leaves the file where it is, or with the process. ErrLocked when taken,
	// by this process too.
	Lock(name string) (io.Closer, error)

	// Syncer returns what makes all of the file system that holds dir durable at
	// once. An error that is errors.ErrUnsupported says that this one cannot, or
	// would not report what it failed to write.
	Syncer(dir string) (Syncer, error)

	// Usage tells how full the file system that holds dir is.
	Usage(dir string) (Usage, error)
}

// Syncer syncs a file system. Its methods may be called by any goroutine.
type Syncer interface {
	// SyncAll makes durable what anybody has changed on the file system before it
	// is called: contents, sizes and names. It blocks on the device for all of
	// that, also for the files of others. An error is like one of Sync for each
	// file: something was lost, since the Syncer was made or, if nobody was told,
	// before; perhaps not of ours. See the package comment.
	SyncAll() error

	// Close ends the Syncer. A second Close is an error.
	io.Closer
}

// Usage is the space of a file system, in bytes. Total may be more than Used and
// Free together: what is kept back for the superuser is neither.
type Usage struct {
	Total int64 // its size
	Used  int64 // taken by anybody
	Free  int64 // free for us
}

// Ratio is how full the file system is, 0 to 1, as df reckons:
// Used / (Used + Free). It is 0 for one without any space.
func (u Usage) Ratio() float64 {
	if u.Used+u.Free <= 0 {
		return 0
	}
	return float64(u.Used) / float64(u.Used+u.Free)
}

// File is an open file. ReadAt and WriteAt may run concurrently on disjoint
// ranges. After Close every method returns an error that is fs.ErrClosed.
type File interface {
	// ReadAt is io.ReaderAt: fewer bytes than asked come with an error, io.EOF
	// at the end of the file.
	io.ReaderAt

	// WriteAt is io.WriterAt. It extends the file when needed. When it fails,
	// the first n bytes have been written. On return the bytes are visible to
	// every reader and survive the death of the process.
	io.WriterAt

	// Close ends the handle, not its mappings. A second Close is an error.
	io.Closer

	// Size returns the current size in bytes.
	Size() (int64, error)

	// Truncate sets the size. New bytes are zero and take no space.
	Truncate(size int64) error

	// Sync makes the contents and the size durable (fdatasync). It blocks on
	// the device. After an error see the package comment.
	Sync() error

	// Preallocate reserves space for [0,size) and makes the file at least that
	// long, so that later writes there do not run out of space. It never
	// shortens. New bytes are zero. Where the file system cannot reserve, the
	// file is only extended. No space is an error that is syscall.ENOSPC.
	Preallocate(size int64) error

	// NextData returns the first offset at or after off that may hold anything
	// but zeros that nobody wrote, and the file size when there is none. Where
	// the file system does not know, it returns off.
	NextData(off int64) (int64, error)

	// NextHole returns the first offset at or after off from which on there is
	// nothing but zeros for a while that nobody wrote, and the file size when the
	// file system knows of none.
	NextHole(off int64) (int64, error)

	// Map returns a read-only view of [0,size) that follows every WriteAt.
	// Mapping past the end of the file is an error. Reading a part of a view
	// that Truncate has cut off is a fault of the process (OS) or reads zeros
	// or old bytes (Mem): whoever shortens a file closes its views first.
	Map(size int64) (Mapping, error)
}

// Mapping is a view of a file. It stays valid after the file is closed or
// removed.
type Mapping interface {
	// Bytes returns the view; the same slice each time, nil after Close. It
	// must not be written to.
	Bytes() []byte

	// Close ends the view. Nobody may read a slice from Bytes afterwards. A
	// second Close does nothing.
	Close() error
}
