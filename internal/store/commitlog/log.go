// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package commitlog

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/twostage/twostage/internal/store/segment"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

// Limits of a log.
const (
	// MinFileSize is the least Options.FileSize: one page.
	MinFileSize = 4096
	// MaxFileSize is the greatest: a blank marker counts in an int32.
	MaxFileSize = 1<<31 - 1
	// MaxRecordSize is the largest record that recovery believes in. The wire
	// allows frames of 16 MiB.
	MaxRecordSize = 64 << 20
)

var (
	// ErrNotFound: no record, or no file, at that offset.
	ErrNotFound = errors.New("commitlog: no record there")
	// ErrFailed wraps the cause for which the log takes no more writes.
	ErrFailed = errors.New("commitlog: stopped after an I/O error")
	// ErrImplausible is what the visit of Recover wraps to have a record set
	// aside as damage.
	ErrImplausible = errors.New("commitlog: implausible record")
)

// Options of a log.
type Options struct {
	FS        vfs.FS
	Dir       string // the files of the log
	DamageDir string // where recovery copies damaged bytes; made when needed
	FileSize  int64  // bytes of each file, MinFileSize to MaxFileSize
	MaxOpen   int    // files open and mapped at once, about; 0 is 1024
	// Newest is the greatest store timestamp (ms) that recovery believes in; 0
	// for any. What was recovered or written since Open may be newer.
	Newest int64
	Logger *slog.Logger
}

// Log is a commit log. See the package comment for who may call what at the
// same time.
type Log struct {
	opt   Options
	pool  pool
	files atomic.Pointer[[]*file] // ascending and gapless, immutable

	end    atomic.Int64 // everything below is written
	lastTS atomic.Int64 // greatest store timestamp below end, ms
	synced atomic.Int64 // everything below is durable
	failed atomic.Pointer[error]

	active *file // the file that end is in, referenced; nil if it does not exist. Writer only.

	listMu   sync.Mutex
	unsynced []*file // referenced since written, until synced beyond their end

	syncMu sync.Mutex
	ahead  ahead
}

// Open lists and checks the files of o.Dir, which it makes when missing, removes
// those at the end that were reserved and never written to, and brings short files
// (left by a crash while they were being reserved) to full size. It reads no record: call Recover before anything else.
func Open(o Options) (*Log, error) {
	if o.FileSize < MinFileSize || o.FileSize > MaxFileSize {
		return nil, fmt.Errorf("commitlog: file size %d, must be %d to %d", o.FileSize, MinFileSize, MaxFileSize)
	}
	if o.MaxOpen <= 0 {
		o.MaxOpen = 1024
	}
	if o.Newest == 0 {
		o.Newest = math.MaxInt64
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if err := vfs.MkdirAllSync(o.FS, o.Dir); err != nil {
		return nil, fmt.Errorf("commitlog: %w", err)
	}
	l := &Log{opt: o}
	l.pool = pool{fs: o.FS, size: o.FileSize, max: o.MaxOpen, fail: func(err error) {
		o.Logger.Error("commit log: closing a file failed", "err", err)
	}}
	l.ahead.init()
	list, err := segment.List(o.FS, o.Dir, o.FileSize)
	if err != nil {
		return nil, fmt.Errorf("commitlog: %w", err)
	}
	for _, name := range list.Other {
		o.Logger.Warn("commit log: not a log file, ignored", "dir", o.Dir, "name", name)
	}
	if err := vfs.SyncNames(o.FS, o.Dir); err != nil {
		return nil, fmt.Errorf("commitlog: %w", err)
	}
	starts, err := l.dropUnused(list.Starts)
	if err != nil {
		return nil, err
	}
	files := make([]*file, len(starts))
	for i, start := range starts {
		f := l.newFile(start)
		size, dir, err := o.FS.Stat(f.path)
		switch {
		case err != nil:
			return nil, fmt.Errorf("commitlog: %w", err)
		case dir:
			return nil, fmt.Errorf("commitlog: %s is a directory", f.path)
		case size > o.FileSize:
			return nil, fmt.Errorf("commitlog: %s has %d bytes, more than the configured file size %d", f.path, size, o.FileSize)
		case size < o.FileSize:
			if err := reserve(o.FS, f.path, o.FileSize, os.O_RDWR); err != nil {
				return nil, err
			}
		}
		files[i] = f
	}
	l.files.Store(&files)
	if len(files) > 0 {
		l.end.Store(files[0].start)
		l.synced.Store(files[0].start)
	}
	return l, nil
}

// dropUnused removes the last files but one as long as nothing was ever written to
// them: what was reserved ahead. On a full disk that is the room in which views can
// be recovered.
func (l *Log) dropUnused(starts []int64) ([]int64, error) {
	for ; len(starts) > 1; starts = starts[:len(starts)-1] {
		path := segment.Join(l.opt.Dir, starts[len(starts)-1])
		unused, err := l.unused(path)
		if err != nil {
			return nil, fmt.Errorf("commitlog: %w", err)
		}
		if !unused {
			break
		}
		if err := removeFile(l.opt.FS, l.opt.Dir, path); err != nil {
			return nil, err
		}
	}
	return starts, nil
}

func (l *Log) unused(path string) (_ bool, err error) {
	size, dir, err := l.opt.FS.Stat(path)
	if err != nil || dir || size > l.opt.FileSize {
		return false, err // said by Open
	}
	f, err := l.opt.FS.OpenFile(path, os.O_RDONLY)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	data, err := f.NextData(0)
	return err == nil && data >= size, err
}

func (l *Log) newFile(start int64) *file {
	f := &file{start: start, path: segment.Join(l.opt.Dir, start), pool: &l.pool}
	f.refs.Store(notOpen)
	return f
}

// FileSize is the size of each file in bytes.
func (l *Log) FileSize() int64 { return l.opt.FileSize }

// Min is the offset of the first byte that is kept.
func (l *Log) Min() int64 {
	if files := *l.files.Load(); len(files) > 0 {
		return files[0].start
	}
	return l.end.Load()
}

// End is the offset behind the last record. Everything from Min to End may be
// read.
func (l *Log) End() int64 { return l.end.Load() }

// Synced is the offset below which everything is durable.
func (l *Log) Synced() int64 { return l.synced.Load() }

// LastTimestamp is the greatest store timestamp in the log (ms), as far as
// Recover and Write have seen; 0 when there is none.
func (l *Log) LastTimestamp() int64 { return l.lastTS.Load() }

// Starts returns the start offsets of the files, ascending.
func (l *Log) Starts() []int64 {
	files := *l.files.Load()
	starts := make([]int64, len(files))
	for i, f := range files {
		starts[i] = f.start
	}
	return starts
}

// Err is nil, or wraps ErrFailed and the cause for which the log takes no more
// writes.
func (l *Log) Err() error {
	if p := l.failed.Load(); p != nil {
		return *p
	}
	return nil
}

// Fail stops writing for good because of cause and returns what Err returns
// from now on: the first cause.
func (l *Log) Fail(cause error) error {
	err := fmt.Errorf("%w: %w", ErrFailed, cause)
	if l.failed.CompareAndSwap(nil, &err) {
		l.opt.Logger.Error("commit log: no more writes", "err", cause)
	}
	return l.Err()
}

// fileAt returns the file that holds offset, or nil.
func (l *Log) fileAt(offset int64) *file {
	files := *l.files.Load()
	if len(files) == 0 || offset < files[0].start {
		return nil
	}
	if i := (offset - files[0].start) / l.opt.FileSize; i < int64(len(files)) {
		return files[i]
	}
	return nil
}

// View returns [offset, offset+size) as bytes of the mapping of one file, for
// writev, and the reference that keeps it valid. ErrNotFound when that is not
// wholly between Min and End and inside one file.
func (l *Log) View(offset int64, size int) ([]byte, Ref, error) {
	if size < 0 || offset < 0 || offset > l.end.Load()-int64(size) {
		return nil, Ref{}, ErrNotFound
	}
	f := l.fileAt(offset)
	if f == nil || offset+int64(size) > f.start+l.opt.FileSize {
		return nil, Ref{}, ErrNotFound
	}
	if err := f.acquire(); err != nil {
		return nil, Ref{}, err
	}
	at := offset - f.start
	return f.view[at : at+int64(size) : at+int64(size)], Ref{f}, nil
}

// Ref keeps a view valid.
type Ref struct{ f *file }

// Release ends the reference. Each Ref is released once.
func (r Ref) Release() { r.f.release() }

// Covers tells whether a further view of [offset, offset+size) would be in the
// same file, so that the holder of r can take it with r.View.
func (r Ref) Covers(offset int64, size int) bool {
	return r.f != nil && offset >= r.f.start && offset+int64(size) <= r.f.start+r.f.pool.size
}

// View returns more bytes of the file of r, which stay valid as long as r. The
// caller has checked r.Covers and that they are below End.
func (r Ref) View(offset int64, size int) []byte {
	at := offset - r.f.start
	return r.f.view[at : at+int64(size) : at+int64(size)]
}

// ReadAt fills p with the bytes at offset, which must lie in one file between
// Min and End (ErrNotFound otherwise).
func (l *Log) ReadAt(p []byte, offset int64) error {
	if offset < 0 || offset > l.end.Load()-int64(len(p)) {
		return ErrNotFound
	}
	f := l.fileAt(offset)
	if f == nil || offset+int64(len(p)) > f.start+l.opt.FileSize {
		return ErrNotFound
	}
	return f.readAt(p, offset)
}

// Head reads the fixed part of the record at offset and returns its size and
// store timestamp (ms). ErrNotFound when there is no record there: the magic,
// the position and the size (at most MaxRecordSize, inside the file and below
// End) are checked.
func (l *Log) Head(offset int64) (size int32, storeTimestamp int64, err error) {
	var head [message.MinRecordSize]byte
	if err := l.ReadAt(head[:], offset); err != nil {
		return 0, 0, err
	}
	return l.checkHead(head[:], offset)
}

// checkHead says whether head, of at least message.MinRecordSize bytes, begins a
// record at offset.
func (l *Log) checkHead(head []byte, offset int64) (size int32, storeTimestamp int64, err error) {
	size, _, physical, ts := message.Position(head)
	magic := be.Uint32(head[4:])
	if (magic != message.MagicV1 && magic != message.MagicV2) || physical != offset ||
		size < message.MinRecordSize || size > MaxRecordSize || offset+int64(size) > l.limit(offset) {
		return 0, 0, ErrNotFound
	}
	return size, ts, nil
}

// limit is where a record at offset ends at the latest.
func (l *Log) limit(offset int64) int64 {
	return min(segment.Start(offset, l.opt.FileSize)+l.opt.FileSize, l.end.Load())
}

// firstRead is how much of a record of unknown size is read at once.
const firstRead = 2048

// ReadRecord appends the record at offset to dst. ErrNotFound as for Head. The
// body's CRC is not checked.
func (l *Log) ReadRecord(dst []byte, offset int64) ([]byte, error) {
	n := len(dst)
	first := message.MinRecordSize
	if offset >= 0 {
		first = int(max(min(l.limit(offset)-offset, firstRead), message.MinRecordSize))
	}
	buf := slices.Grow(dst, first)[:n+first]
	err := l.ReadAt(buf[n:], offset)
	if err != nil && !errors.Is(err, ErrNotFound) && first > message.MinRecordSize {
		first = message.MinRecordSize // perhaps only what follows the record can't be read
		err = l.ReadAt(buf[n:n+first], offset)
	}
	if err != nil {
		return dst, err
	}
	size, _, err := l.checkHead(buf[n:n+first], offset)
	if err != nil {
		return dst, err
	}
	if int(size) > first {
		buf = slices.Grow(buf, int(size)-first)[:n+int(size)]
		if err := l.ReadAt(buf[n+first:], offset+int64(first)); err != nil {
			return dst, err
		}
	}
	return buf[:n+int(size)], nil
}

// Close lets go of all files. With removeAhead it deletes the file that was
// reserved ahead and holds nothing. The reservation goroutine must have ended.
// Views that are still out keep their file mapped until released.
func (l *Log) Close(removeAhead bool) error {
	var errs []error
	if l.active != nil {
		l.active.release()
		l.active = nil
	}
	l.listMu.Lock()
	for _, f := range l.unsynced {
		f.release()
	}
	l.unsynced = nil
	l.listMu.Unlock()
	if start, ok := l.ahead.take(); ok && removeAhead {
		errs = append(errs, removeFile(l.opt.FS, l.opt.Dir, segment.Join(l.opt.Dir, start)))
	}
	for _, f := range *l.files.Load() {
		l.pool.drop(f)
	}
	return errors.Join(errs...)
}

func removeFile(fsys vfs.FS, dir, path string) error {
	if err := fsys.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("commitlog: %w", err)
	}
	if err := fsys.SyncDir(dir); err != nil {
		return fmt.Errorf("commitlog: sync %s: %w", dir, err)
	}
	return nil
}
