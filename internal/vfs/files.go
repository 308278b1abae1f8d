// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

const (
	backupSuffix     = ".bak"
	unfinishedSuffix = ".tmp"
)

// ReadFile returns the contents of name.
func ReadFile(fsys FS, name string) (data []byte, err error) {
	f, err := fsys.OpenFile(name, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	data = make([]byte, size)
	n, err := f.ReadAt(data, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return data[:n], nil // n < size only when somebody shortens the file now
}

// WriteFile makes name hold data and syncs it. It is not atomic and does not
// sync the directory: see ReplaceFile.
func WriteFile(fsys FS, name string, data []byte) (err error) {
	f, err := fsys.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.WriteAt(data, 0); err != nil {
		return err
	}
	return f.Sync()
}

// ReplaceFile makes name hold data, so that ReadConfigFile finds either the
// old content or data whenever the machine stops, and data once ReplaceFile
// has returned nil. The old content stays in name.bak, where RocketMQ keeps
// it. When it fails, ReadConfigFile finds one of the two. One writer a name at
// a time.
//
//	name.tmp <- data, synced      a stop leaves: name old
//	name     -> name.bak          no name, name.bak old
//	name.tmp -> name              name new, name.bak old
//	directory synced              the same, for good
//
// A name that is missing or holds nothing (a stop between the renames, or a
// writer that did not sync) never replaces the backup. Blank data, which
// ReadConfigFile would take for a damaged file, is refused.
func ReplaceFile(fsys FS, name string, data []byte) error {
	if blank(data) {
		return fmt.Errorf("replace %s: no data: %w", name, syscall.EINVAL)
	}
	unfinished := name + unfinishedSuffix
	if err := WriteFile(fsys, unfinished, data); err != nil {
		// What cannot be removed is overwritten by the next call.
		_ = fsys.Remove(unfinished)
		return fmt.Errorf("replace %s: %w", name, err)
	}
	old, err := ReadFile(fsys, name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("replace %s: %w", name, err)
	}
	if !blank(old) {
		if err := fsys.Rename(name, name+backupSuffix); err != nil {
			return fmt.Errorf("replace %s: %w", name, err)
		}
	}
	if err := fsys.Rename(unfinished, name); err != nil {
		return fmt.Errorf("replace %s: %w", name, err)
	}
	if err := fsys.SyncDir(filepath.Dir(name)); err != nil {
		return fmt.Errorf("replace %s: %w", name, err)
	}
	return nil
}

// ReadConfigFile returns the content of a file that ReplaceFile or RocketMQ
// writes: name, or name.bak (fromBackup) when name is missing or blank. A file
// is blank when it is empty or holds only zero bytes, as a power cut leaves a
// file that was not synced. When there is neither, the error is
// fs.ErrNotExist. A name that cannot be read is an error, not a reason to take
// the older content.
func ReadConfigFile(fsys FS, name string) (data []byte, fromBackup bool, err error) {
	data, err = ReadFile(fsys, name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, false, err
	}
	if !blank(data) {
		return data, false, nil
	}
	backup, backupErr := ReadFile(fsys, name+backupSuffix)
	if backupErr != nil && !errors.Is(backupErr, fs.ErrNotExist) {
		return nil, false, backupErr
	}
	if !blank(backup) {
		return backup, true, nil
	}
	if err == nil {
		err = fmt.Errorf("%s is blank and has no backup: %w", name, fs.ErrNotExist)
	}
	return nil, false, err
}

// MkdirAllSync is MkdirAll whose result survives a power cut: it syncs the
// directory above each one that it had to make.
func MkdirAllSync(fsys FS, dir string) error {
	dir = filepath.Clean(dir)
	var made []string // directories that get a new name, innermost first
	for d := dir; ; {
		_, isDir, err := fsys.Stat(d)
		if err == nil && isDir {
			break
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		parent := filepath.Dir(d)
		if err == nil || parent == d {
			break // a file in the way: MkdirAll words the error
		}
		made = append(made, parent)
		d = parent
	}
	if err := fsys.MkdirAll(dir); err != nil {
		return err
	}
	for i := len(made) - 1; i >= 0; i-- {
		if err := fsys.SyncDir(made[i]); err != nil {
			return err
		}
	}
	return nil
}

// ReplaceSecret makes name hold data, which only the owner of the file may read where
// the file system has owners. Whenever the machine stops ReadFile finds either the old
// content or data, and data once ReplaceSecret has returned nil; when it fails, one of
// the two. It leaves no backup: old secrets would stay in it. A link stays one, and what
// it leads to is replaced. One writer a name at a time.
//
//	name.tmp <- data, synced      a stop leaves: name old
//	name.tmp -> name              name new
//	directory synced              the same, for good
func ReplaceSecret(fsys FS, name string, data []byte) error {
	fail := func(err error) error { return fmt.Errorf("replace %s: %w", name, err) }
	target := name
	owned, _ := fsys.(interface {
		LinkTarget(name string) (string, error)
		CreateSecret(name string) error
	})
	if owned != nil {
		var err error
		if target, err = owned.LinkTarget(name); err != nil {
			return fail(err)
		}
		if err := owned.CreateSecret(target + unfinishedSuffix); err != nil {
			return fail(err)
		}
	}
	err := WriteFile(fsys, target+unfinishedSuffix, data)
	if err == nil {
		err = fsys.Rename(target+unfinishedSuffix, target)
	}
	if err != nil {
		// What cannot be removed is overwritten by the next call.
		_ = fsys.Remove(target + unfinishedSuffix)
		return fail(err)
	}
	if err := fsys.SyncDir(filepath.Dir(target)); err != nil {
		return fail(err)
	}
	return nil
}

// SyncNames makes the name of dir and the names in it durable, for who finds a
// directory that a killed process may have made, or changed, without getting to
// that. A directory above that may not be read is left to whoever made it.
func SyncNames(fsys FS, dir string) error {
	if err := fsys.SyncDir(filepath.Dir(filepath.Clean(dir))); err != nil && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return fsys.SyncDir(dir)
}

func blank(data []byte) bool {
	for _, b := range data {
		if b != 0 {
			return false
		}
	}
	return true
}
