// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/twostage/twostage/internal/vfs"
)

const (
	pageSize = 4096
	margin   = 3000 // ms that recovery goes further back than the times say

	checkpointName = "checkpoint"
	abortName      = "abort"
	lockName       = "lock"
)

// ErrInUse is what Lock wraps when another opener holds the directory.
var ErrInUse = errors.New("the store directory is in use")

// Times are the numbers of a checkpoint, in ms since 1970 by the store's clock;
// 0 when nothing is claimed.
type Times struct {
	Physic int64
	Logics int64
	Index  int64
}

// RecoverBefore is the time up to which log and queues agree for sure: the
// lesser of Physic and Logics, less three seconds, not below 0.
func (t Times) RecoverBefore() int64 { return max(0, min(t.Physic, t.Logics)-margin) }

// File is the open checkpoint file. One goroutine at a time.
type File struct {
	f    vfs.File
	page [pageSize]byte
	last Times
}

// Open opens the checkpoint of the store directory dir and reads it; a missing
// one is created and claims nothing. A shorter or longer file than a page is
// read as far as it goes; negative times read as 0.
func Open(fsys vfs.FS, dir string) (*File, error) {
	name := dir + "/" + checkpointName
	f, err := fsys.OpenFile(name, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	c := &File{f: f}
	n, err := f.ReadAt(c.page[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.Join(fmt.Errorf("checkpoint: read %s: %w", name, err), f.Close())
	}
	clear(c.page[n:])
	at := func(i int) int64 { return max(0, int64(binary.BigEndian.Uint64(c.page[i:]))) }
	c.last = Times{at(0), at(8), at(16)}
	if n < pageSize { // new, or cut: make the name durable with the page
		if err := errors.Join(c.write(c.last), fsys.SyncDir(dir)); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	return c, nil
}

// Read reads the checkpoint of dir and changes nothing: what is in the file,
// negative times too. An error that is fs.ErrNotExist says that there is none. What a
// file is short of reads as 0.
func Read(fsys vfs.FS, dir string) (t Times, err error) {
	f, err := fsys.OpenFile(dir+"/"+checkpointName, os.O_RDONLY)
	if err != nil {
		return Times{}, fmt.Errorf("checkpoint: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	var b [24]byte
	if _, err := f.ReadAt(b[:], 0); err != nil && !errors.Is(err, io.EOF) {
		return Times{}, fmt.Errorf("checkpoint: read %s/%s: %w", dir, checkpointName, err)
	}
	at := func(i int) int64 { return int64(binary.BigEndian.Uint64(b[i:])) }
	return Times{at(0), at(8), at(16)}, nil
}

// Times returns what was read, or written last.
func (c *File) Times() Times { return c.last }

// Write makes t durable. A time that is less than what the file claims is kept
// as it is: what has been durable stays so.
func (c *File) Write(t Times) error {
	t = Times{max(t.Physic, c.last.Physic), max(t.Logics, c.last.Logics), max(t.Index, c.last.Index)}
	if t == c.last {
		return nil
	}
	return c.write(t)
}

// Reset writes t even where it claims less than the file does. Recovery uses it
// when views are rebuilt.
func (c *File) Reset(t Times) error { return c.write(t) }

func (c *File) write(t Times) error {
	binary.BigEndian.PutUint64(c.page[0:], uint64(t.Physic))
	binary.BigEndian.PutUint64(c.page[8:], uint64(t.Logics))
	binary.BigEndian.PutUint64(c.page[16:], uint64(t.Index))
	if _, err := c.f.WriteAt(c.page[:], 0); err != nil {
		return fmt.Errorf("checkpoint: write: %w", err)
	}
	if err := c.f.Sync(); err != nil {
		return fmt.Errorf("checkpoint: fdatasync: %w", err)
	}
	c.last = t
	return nil
}

// Close closes the file without writing.
func (c *File) Close() error { return c.f.Close() }

// Aborted tells whether the last run in dir did not end cleanly.
func Aborted(fsys vfs.FS, dir string) (bool, error) {
	_, _, err := fsys.Stat(dir + "/" + abortName)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	}
	return false, fmt.Errorf("checkpoint: %w", err)
}

// SetAbort durably makes the abort file.
func SetAbort(fsys vfs.FS, dir string) error {
	f, err := fsys.OpenFile(dir+"/"+abortName, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	if err := errors.Join(f.Close(), fsys.SyncDir(dir)); err != nil {
		return fmt.Errorf("checkpoint: make %s/%s: %w", dir, abortName, err)
	}
	return nil
}

// ClearAbort durably removes the abort file.
func ClearAbort(fsys vfs.FS, dir string) error {
	if err := fsys.Remove(dir + "/" + abortName); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("checkpoint: %w", err)
	}
	if err := fsys.SyncDir(dir); err != nil {
		return fmt.Errorf("checkpoint: remove %s/%s: %w", dir, abortName, err)
	}
	return nil
}

// Lock takes the directory for this process and this store, until Close. The
// error wraps ErrInUse and names dir when somebody else has it.
func Lock(fsys vfs.FS, dir string) (io.Closer, error) {
	c, err := fsys.Lock(dir + "/" + lockName)
	if errors.Is(err, vfs.ErrLocked) {
		return nil, fmt.Errorf("%w: %s is locked by another broker (%s/%s)", ErrInUse, dir, dir, lockName)
	}
	if err != nil {
		return nil, fmt.Errorf("checkpoint: lock %s: %w", dir, err)
	}
	return c, nil
}
