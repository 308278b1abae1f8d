// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package story

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"

	"github.com/twostage/twostage/internal/vfs"
)

const (
	minBytes  = 16 << 10
	maxBuffer = 1 << 20 // bytes that wait to be written
)

// Config says where the story is and how long.
type Config struct {
	FS       vfs.FS
	Dir      string       // is made when missing; nobody else writes in it while a Log is open
	MaxBytes int64        // of both files together, at least 16 KiB
	Logger   *slog.Logger // nil: nothing is logged
}

// Log is the story of all transactions. All methods may be called from several
// goroutines.
type Log struct {
	fs    vfs.FS
	dir   string
	limit int64 // bytes of one file
	log   *slog.Logger

	file   sync.Mutex // taken before mu
	older  *part      // nil for none
	newer  *part      // nil for none
	handle vfs.File   // of newer, nil when it is not open
	closed bool

	mu      sync.Mutex
	buffer  []byte // records that wait, from start on
	start   int
	taken   []byte // records that a Write has taken
	ended   bool   // closed
	dropped int64
	told    int64 // of dropped, how many were logged
}

// Open opens the story in cfg.Dir. A torn record at the end is cut off. What is
// more than cfg.MaxBytes allows, since it was more once, is removed with a
// warning.
func Open(cfg Config) (*Log, error) {
	if cfg.MaxBytes < minBytes {
		return nil, fmt.Errorf("transaction story: %d bytes are too few, at least %d are needed", cfg.MaxBytes, minBytes)
	}
	l := &Log{fs: cfg.FS, dir: cfg.Dir, limit: cfg.MaxBytes / 2, log: cfg.Logger}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	if err := vfs.MkdirAllSync(l.fs, l.dir); err != nil {
		return nil, fmt.Errorf("transaction story: %w", err)
	}
	// The last process may have been killed right after it had made l.dir.
	if err := l.fs.SyncDir(filepath.Dir(l.dir)); err != nil {
		return nil, fmt.Errorf("transaction story: %w", err)
	}
	if err := l.list(); err != nil {
		return nil, fmt.Errorf("transaction story: %w", err)
	}
	return l, nil
}

// Append adds e to the story. It goes to memory: Write brings it to the file.
// It never waits for a disk and never fails; when too much waits to be written
// the oldest is dropped that no Write is busy with. After Close it does nothing.
func (l *Log) Append(e Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return
	}
	if l.start > maxBuffer { // what was dropped: keep the memory in bounds
		l.buffer = l.buffer[:copy(l.buffer, l.buffer[l.start:])]
		l.start = 0
	}
	l.buffer = appendRecord(l.buffer, e)
	l.shed()
}

// shed drops the oldest records of the buffer while too much waits.
func (l *Log) shed() {
	for len(l.taken)+len(l.buffer)-l.start > maxBuffer && l.start < len(l.buffer) {
		l.start += size(l.buffer[l.start:])
		l.dropped++
	}
}

// Dropped returns how many events were dropped since Open because too much
// waited to be written.
func (l *Log) Dropped() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dropped
}

// Write gives what was appended before to the operating system: it then
// survives the death of the process. When it fails, what was not written waits
// for the next Write. It may block on the device when a file is full.
func (l *Log) Write() error {
	l.file.Lock()
	defer l.file.Unlock()
	if l.closed {
		return &fs.PathError{Op: "write", Path: l.dir, Err: fs.ErrClosed}
	}
	return l.flush()
}

// flush writes the buffer. Locked (file).
func (l *Log) flush() error {
	l.mu.Lock()
	l.taken, l.buffer, l.start = l.buffer[l.start:], nil, 0
	rest := l.taken
	dropped := l.dropped - l.told
	l.told = l.dropped
	l.mu.Unlock()
	if dropped > 0 {
		l.log.Warn("events of transactions were dropped, as they could not be written in time", "events", dropped)
	}
	var err error
	for len(rest) > 0 && err == nil {
		var n int
		n, err = l.writeSome(rest)
		rest = rest[n:]
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.taken = nil
	if err == nil {
		return nil
	}
	l.buffer, l.start = append(rest[:len(rest):len(rest)], l.buffer[l.start:]...), 0
	l.shed()
	return fmt.Errorf("transaction story: %w", err)
}

// Find returns the events of the given half messages, the oldest first, written
// or not. It reads both files. It does not hold up Append, and Write only while
// it opens the files.
func (l *Log) Find(half ...int64) ([]Event, error) {
	if len(half) == 0 {
		return nil, nil
	}
	parts, waiting, err := l.snapshot()
	if err != nil {
		return nil, fmt.Errorf("transaction story: %w", err)
	}
	var found []Event
	visit := func(body []byte) {
		if slices.Contains(half, halfOf(body)) {
			found = append(found, event(body))
		}
	}
	for _, p := range parts {
		if err == nil {
			err = l.readPart(p, visit)
		}
		err = errors.Join(err, p.handle.Close())
	}
	if err != nil {
		return nil, fmt.Errorf("transaction story: %w", err)
	}
	for len(waiting) > 0 {
		body, n, err := record(waiting)
		if err != nil {
			return nil, fmt.Errorf("transaction story: in memory: %w", err)
		}
		visit(body)
		waiting = waiting[n:]
	}
	return found, nil
}

// Close writes as Write does, syncs and closes the file. The second Close does
// nothing.
func (l *Log) Close() error {
	l.file.Lock()
	defer l.file.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	l.mu.Lock()
	l.ended = true
	l.mu.Unlock()
	err := l.flush()
	if l.handle != nil {
		err = errors.Join(err, l.handle.Sync(), l.handle.Close(), l.fs.SyncDir(l.dir))
		l.handle = nil
	}
	return err
}

func (l *Log) path(number int64) string {
	return filepath.Join(l.dir, fmt.Sprintf("%0*d", nameDigits, number))
}
