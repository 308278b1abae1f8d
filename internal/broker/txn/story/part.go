// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package story

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"

	"github.com/twostage/twostage/internal/vfs"
)

const (
	header     = "TXSTORY1"
	nameDigits = 20
	readBytes  = 256 << 10
)

// part is one of the files.
type part struct {
	number int64
	path   string
	size   int64 // up to the end of its last record
	ragged bool  // the file may be longer
}

// openPart is a part that Find reads.
type openPart struct {
	part
	handle vfs.File
}

// list finds the files and makes them the two that there may be.
func (l *Log) list() error {
	names, err := l.fs.ReadDir(l.dir)
	if err != nil {
		return err
	}
	var parts []*part
	for _, name := range names {
		number, err := strconv.ParseInt(name, 10, 64)
		if err != nil || len(name) != nameDigits || number < 0 {
			continue // not ours
		}
		p := &part{number: number, path: l.path(number)}
		size, dir, err := l.fs.Stat(p.path)
		if err != nil {
			return err
		}
		if dir {
			return fmt.Errorf("%s is a directory: move it away", p.path)
		}
		p.size = size
		parts = append(parts, p)
	}
	for i, p := range parts {
		switch {
		case i < len(parts)-2: // the machine has stopped before it was gone
		case p.size > l.limit:
			l.log.Warn("a file of the story of transactions is larger than it may be now and is removed", "file", p.path, "bytes", p.size, "limit", l.limit)
		default:
			l.older, l.newer = l.newer, p
			continue
		}
		if err := l.fs.Remove(p.path); err != nil {
			return err
		}
	}
	if l.newer == nil {
		return nil
	}
	return l.mend(l.newer)
}

// mend finds the end of the last whole record and cuts off the rest, durably: a
// part of it must not come back behind what is written next.
func (l *Log) mend(p *part) error {
	file, err := l.fs.OpenFile(p.path, os.O_RDWR)
	if err != nil {
		return err
	}
	end, err := scan(file, p.size, nil)
	if err == nil && end < p.size {
		l.log.Warn("a file of the story of transactions ends with a torn record, which is cut off", "file", p.path, "bytes", p.size-end)
		err = errors.Join(file.Truncate(end), file.Sync())
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("%s: %w", p.path, err)
	}
	p.size = end
	return nil
}

// scan calls visit with the body of each record in the first limit bytes of a
// file, until one is damaged or torn. It returns where the last good one ends;
// 0 when the file does not begin as one of ours.
func scan(file vfs.File, limit int64, visit func(body []byte)) (end int64, err error) {
	b := make([]byte, min(limit, readBytes))
	n, err := readFull(file, b[:min(limit, int64(len(header)))], 0)
	if err != nil || string(b[:n]) != header {
		return 0, err
	}
	end = int64(n)
	for end < limit {
		n, err := readFull(file, b[:min(limit-end, readBytes)], end)
		if err != nil {
			return 0, err
		}
		rest := b[:n]
		for len(rest) > 0 {
			body, size, err := record(rest)
			if err != nil {
				break // torn by the end of the buffer, or of the file
			}
			if visit != nil {
				visit(body)
			}
			rest = rest[size:]
		}
		if len(rest) == n {
			break
		}
		end += int64(n - len(rest))
	}
	return end, nil
}

// readFull reads as much of b as the file has.
func readFull(file vfs.File, b []byte, off int64) (int, error) {
	n, err := file.ReadAt(b, off)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// readPart reads what Find asks for.
func (l *Log) readPart(p openPart, visit func(body []byte)) error {
	end, err := scan(p.handle, p.size, visit)
	if err != nil {
		return fmt.Errorf("%s: %w", p.path, err)
	}
	if end < p.size {
		l.log.Warn("a file of the story of transactions is damaged; the rest of it is left out", "file", p.path, "at", end, "bytes", p.size-end)
	}
	return nil
}

// snapshot opens the files, the older one first, and copies what waits.
func (l *Log) snapshot() (parts []openPart, waiting []byte, err error) {
	l.file.Lock()
	defer l.file.Unlock()
	if l.closed {
		return nil, nil, &fs.PathError{Op: "read", Path: l.dir, Err: fs.ErrClosed}
	}
	for _, p := range []*part{l.older, l.newer} {
		if p == nil || p.size == 0 {
			continue
		}
		handle, err := l.fs.OpenFile(p.path, os.O_RDONLY)
		if err != nil {
			for _, open := range parts {
				err = errors.Join(err, open.handle.Close())
			}
			return nil, nil, err
		}
		parts = append(parts, openPart{*p, handle})
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return parts, append([]byte(nil), l.buffer[l.start:]...), nil
}

// writeSome writes as many of the records in b as fit in a file, and returns
// how many bytes these are. Locked (file), as what follows.
func (l *Log) writeSome(b []byte) (n int, err error) {
	if l.newer == nil || l.newer.size+int64(size(b)) > l.limit {
		if err := l.turn(); err != nil {
			return 0, err
		}
	}
	if err := l.openNewer(); err != nil {
		return 0, err
	}
	p := l.newer
	for n < len(b) && p.size+int64(n+size(b[n:])) <= l.limit {
		n += size(b[n:])
	}
	p.ragged = true
	if _, err := l.handle.WriteAt(b[:n], p.size); err != nil {
		return 0, err
	}
	p.size, p.ragged = p.size+int64(n), false
	return n, nil
}

// openNewer opens the newer file and makes it end with its last record.
func (l *Log) openNewer() error {
	p := l.newer
	if l.handle == nil {
		handle, err := l.fs.OpenFile(p.path, os.O_RDWR|os.O_CREATE)
		if err != nil {
			return err
		}
		l.handle = handle
	}
	if p.ragged {
		if err := l.handle.Truncate(p.size); err != nil {
			return err
		}
		p.ragged = false
	}
	if p.size > 0 {
		return nil
	}
	p.ragged = true
	if _, err := l.handle.WriteAt([]byte(header), 0); err != nil {
		return err
	}
	p.size, p.ragged = int64(len(header)), false
	return nil
}

// turn removes the older file and begins a new one.
func (l *Log) turn() error {
	number := int64(0)
	if l.newer != nil {
		number = l.newer.number + 1
		if l.handle != nil {
			// For people: that a full file is not on the disk ends nothing.
			if err := errors.Join(l.handle.Sync(), l.handle.Close(), l.fs.SyncDir(l.dir)); err != nil {
				l.log.Warn("syncing a file of the story of transactions", "file", l.newer.path, "error", err)
			}
			l.handle = nil
		}
	}
	if l.older != nil {
		if err := l.fs.Remove(l.older.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	l.older, l.newer = l.newer, &part{number: number, path: l.path(number), ragged: true}
	return nil
}
