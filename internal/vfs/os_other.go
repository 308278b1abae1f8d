// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime"
)

// OS returns the file system of the machine. On this system nobody has written it:
// everything fails with an error that is errors.ErrUnsupported. Mem works.
func OS() FS { return osFS{} }

type osFS struct{}

// refuse names the operation, the file and the way out.
func refuse(op Op, name string) error {
	return &fs.PathError{Op: op.String(), Path: name,
		Err: fmt.Errorf("a store on disk needs Linux, and this is %s (in memory, as mqtest has it, it works here too): %w", runtime.GOOS, errors.ErrUnsupported)}
}

func (osFS) OpenFile(name string, _ int) (File, error) { return nil, refuse(OpOpen, name) }
func (osFS) MkdirAll(dir string) error                 { return refuse(OpMkdirAll, dir) }
func (osFS) Remove(name string) error                  { return refuse(OpRemove, name) }
func (osFS) RemoveAll(name string) error               { return refuse(OpRemoveAll, name) }
func (osFS) Rename(oldName, _ string) error            { return refuse(OpRename, oldName) }
func (osFS) ReadDir(dir string) ([]string, error)      { return nil, refuse(OpReadDir, dir) }
func (osFS) Stat(name string) (int64, bool, error)     { return 0, false, refuse(OpStat, name) }
func (osFS) SyncDir(dir string) error                  { return refuse(OpSyncDir, dir) }
func (osFS) Lock(name string) (io.Closer, error)       { return nil, refuse(OpLock, name) }
func (osFS) Syncer(dir string) (Syncer, error)         { return nil, refuse(OpSyncAll, dir) }
func (osFS) Usage(dir string) (Usage, error)           { return Usage{}, refuse(OpUsage, dir) }
