// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package index

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/twostage/twostage/internal/vfs"
)

const nameLen = len("yyyyMMddHHmmssSSS")

func isName(name string) bool {
	for i := range len(name) {
		if name[i] < '0' || name[i] > '9' {
			return false
		}
	}
	return len(name) == nameLen
}

// load finds the files and makes the last one ready.
func (x *Index) load(trusted int64) error {
	names, err := x.fs.ReadDir(x.dir)
	if errors.Is(err, fs.ErrNotExist) {
		x.complete = 0
		return nil
	}
	if err != nil {
		return fmt.Errorf("index: list %s: %w", x.dir, err)
	}
	if trusted != TrustAll {
		if err := vfs.SyncNames(x.fs, x.dir); err != nil {
			return fmt.Errorf("index: %w", err)
		}
	}
	x.made = true
	sizes := make(map[*file]int64)
	for _, name := range names {
		f := &file{shape: x.shape, name: x.dir + "/" + name}
		if !isName(name) {
			x.log.Warn("index: not an index file, ignored", "file", f.name)
			continue
		}
		size, err := f.readHeader(x.fs)
		if err != nil {
			return err
		}
		if size == 0 { // what is left of one that could not be made
			if err := x.removeFile(f); err != nil {
				return err
			}
			continue
		}
		sizes[f] = size
		x.files = append(x.files, f)
	}
	for i, f := range x.files {
		// It was being made.
		unflushed := sizes[f] < f.fileSize() && i == len(x.files)-1 && trusted != TrustAll
		if sizes[f] != f.fileSize() && !unflushed {
			return fmt.Errorf("%w: %s has %d bytes, %d with maxHashSlotNum %d and maxIndexNum %d: configure those it was written with, or move the index directory away to have it built from the log",
				ErrFileSize, f.name, sizes[f], f.fileSize(), f.slots, f.entries)
		}
	}
	damaged := false
	for i, f := range x.files {
		damage := f.hdr.check(f.slots, f.entries)
		if sizes[f] == f.fileSize() && damage == nil {
			continue
		}
		x.log.Error("index: damaged file, the index is built again from there on", "file", f.name, "header", damage)
		damaged = true
		if err := x.remove(i); err != nil {
			return err
		}
		break
	}
	if trusted == TrustAll {
		err = x.openLast()
	} else {
		var torn bool
		torn, err = x.verify(trusted)
		damaged = damaged || torn
	}
	x.noteEnd()
	switch {
	case damaged:
		x.complete = min(trusted, x.last)
	case len(x.files) == 0: // there is one after each Flush: see begin
		x.complete = 0
	}
	return err
}

// readHeader returns the size of the file, and takes the header when it is the
// right one.
func (f *file) readHeader(fsys vfs.FS) (size int64, err error) {
	r, err := fsys.OpenFile(f.name, os.O_RDONLY)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if size, err = r.Size(); err != nil || size != f.fileSize() {
		return size, err
	}
	var b [headerSize]byte
	if got, err := r.ReadAt(b[:], 0); got < len(b) {
		return 0, fmt.Errorf("index: read header of %s: %w", f.name, err)
	}
	f.hdr.decode(&b)
	return size, nil
}

// openLast makes the last file the active one if it has room.
func (x *Index) openLast() error {
	if len(x.files) == 0 {
		return nil
	}
	f := x.files[len(x.files)-1]
	if f.full() {
		return nil
	}
	if err := x.openFile(f); err != nil {
		return err
	}
	x.active = f
	return nil
}

func (x *Index) openFile(f *file) (err error) {
	if f.f, err = x.fs.OpenFile(f.name, os.O_RDWR); err != nil {
		return err
	}
	f.pages = make([]page, x.pages())
	for n := range f.pages {
		f.pages[n].written = true
	}
	return nil
}

// verify keeps the files that were full and flushed before trusted, and makes
// sure of the next one. What is behind that was written without being flushed.
// damaged: it lacks what was flushed.
func (x *Index) verify(trusted int64) (damaged bool, err error) {
	for i, f := range x.files {
		if f.full() && f.hdr.EndTime <= trusted {
			continue
		}
		old := f.hdr
		all := old.EndTime <= trusted
		newer := false
		err := x.rebuild(i, func(e item) bool {
			newer = !all && old.time(e)+999 > trusted
			return newer
		})
		cut := len(x.files) <= i || x.files[i].hdr.Count < old.Count
		return cut && !newer, err
	}
	return false, nil
}

// rebuild makes file i the last one. It keeps its entries up to the first for
// which beyond holds or that does not follow from those before it, and makes its
// slots from them. A file of which nothing is left is removed, unless it is the
// only one.
func (x *Index) rebuild(i int, beyond func(item) bool) error {
	if err := x.remove(i + 1); err != nil {
		return err
	}
	// A Query may still be reading the file as it was.
	x.retire(x.files[i])
	f := &file{shape: x.shape, name: x.files[i].name, hdr: x.files[i].hdr}
	if err := x.openFile(f); err != nil {
		return err
	}
	x.files[i], x.active = f, f
	cut, err := f.rebuild(beyond)
	if err != nil {
		return fmt.Errorf("index: rebuild %s: %w", f.name, err)
	}
	if f.empty() && i > 0 {
		return x.remove(i)
	}
	if f.empty() {
		f.hdr = Header{Count: 1}
	}
	if cut {
		// Before anything takes the place of what was cut off.
		var b [headerSize]byte
		f.hdr.encode(&b)
		if _, err := f.f.WriteAt(b[:], 0); err != nil {
			return fmt.Errorf("index: write header of %s: %w", f.name, err)
		}
		if err := f.sync(); err != nil {
			return err
		}
	}
	f.changed = true
	return nil
}

// remove removes the files from number i on, the last first, for good.
func (x *Index) remove(i int) error {
	for n := len(x.files) - 1; n >= i; n-- {
		f := x.files[n]
		x.retire(f)
		if err := x.removeFile(f); err != nil {
			return err
		}
		x.files = x.files[:n]
	}
	return nil
}

func (x *Index) removeFile(f *file) error {
	err := x.fs.Remove(f.name)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err == nil {
		if err = x.fs.SyncDir(x.dir); err != nil {
			err = fmt.Errorf("%w: %w", errSync, err)
		}
	}
	if err != nil {
		return fmt.Errorf("index: remove %s: %w", f.name, err)
	}
	return nil
}

// noteEnd sets what is known of the last record.
func (x *Index) noteEnd() {
	x.resume, x.again, x.done, x.last = 0, -1, 0, 0
	for n := len(x.files) - 1; n >= 0; n-- {
		if f := x.files[n]; !f.empty() {
			x.resume, x.again, x.last = f.hdr.EndOffset, f.hdr.EndOffset, f.hdr.EndTime
			return
		}
	}
}
