// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package timerfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/twostage/twostage/internal/store/segment"
	"github.com/twostage/twostage/internal/vfs"
)

const (
	logDir      = "timerlog"
	readBlock   = 8 << 10  // bytes read at once: a slot's units are often neighbours
	writeBuffer = 64 << 10 // bytes of units that are written at once
)

// Log is the directory timerlog: files of one size, each sparse from its first
// unit on, that hold units one behind the other. A position counts the bytes of
// all files from the first one that ever was.
//
//	| unit 52 B | unit | ... | blank: int32 bytes to the end, int64 0, int32 0xCBD43194 | zeros
//
// Source: TimerLog of Apache RocketMQ 5.3.3. One goroutine uses a Log.
type Log struct {
	fs   vfs.FS
	dir  string
	size int64

	files  []logFile // ascending, without gaps
	end    int64     // where the next unit goes, unless the file is full
	buf    []byte    // units before end that are not written yet
	synced int64

	block   []byte // what was read last
	blockAt int64
}

type logFile struct {
	start int64
	f     vfs.File
	seen  int64 // units before this position have been looked at
	last  int64 // the latest time of those, + 1
}

// OpenLog opens the files in dir's timerlog, or makes the directory. The end is
// that of the files; Cut says where it is before anything is appended. Larger
// files, and gaps between them, are ErrDamaged.
func OpenLog(fsys vfs.FS, dir string, fileSize int64) (_ *Log, err error) {
	l := &Log{fs: fsys, dir: filepath.Join(dir, logDir), size: fileSize, blockAt: -1}
	if err := vfs.MkdirAllSync(fsys, l.dir); err != nil {
		return nil, err
	}
	list, err := segment.List(fsys, l.dir, fileSize)
	if errors.Is(err, segment.ErrLayout) {
		return nil, fmt.Errorf("%w: %w", err, ErrDamaged)
	}
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = l.Close()
		}
	}()
	for _, start := range list.Starts {
		f, err := fsys.OpenFile(l.path(start), os.O_RDWR)
		if err != nil {
			return nil, err
		}
		l.files = append(l.files, logFile{start: start, f: f, seen: start})
		size, err := f.Size()
		if err != nil {
			return nil, err
		}
		if size > fileSize {
			return nil, fmt.Errorf("%s has %d bytes, not %d (mappedFileSizeTimerLog): %w", l.path(start), size, fileSize, ErrDamaged)
		}
		if size < fileSize { // a crash while it was made, or cut
			if err := f.Truncate(fileSize); err != nil {
				return nil, err
			}
		}
		l.end = start + fileSize
	}
	return l, nil
}

func (l *Log) path(start int64) string { return segment.Join(l.dir, start) }

// Begin is the position of the first unit that is kept.
func (l *Log) Begin() int64 {
	if len(l.files) == 0 {
		return l.end
	}
	return l.files[0].start
}

// End is the position behind the last unit.
func (l *Log) End() int64 { return l.end }

// Cut makes pos, where a unit may begin, the end: what is behind goes, durably.
// A pos behind all files, when there are any, is ErrDamaged.
func (l *Log) Cut(pos int64) error {
	l.buf, l.blockAt = l.buf[:0], -1
	if len(l.files) == 0 && pos%l.size != 0 || len(l.files) > 0 && pos < l.files[0].start {
		return fmt.Errorf("%s has no unit at %d: %w", l.dir, pos, ErrDamaged)
	}
	for n := len(l.files); n > 0; n = len(l.files) {
		last := l.files[n-1]
		if pos > last.start+l.size {
			return fmt.Errorf("%s ends at %d, not behind %d: %w", l.dir, last.start+l.size, pos, ErrDamaged)
		}
		if pos > last.start {
			if err := l.blankBehind(last, pos); err != nil {
				return err
			}
			l.files[n-1].seen, l.files[n-1].last = last.start, 0
			break
		}
		if err := errors.Join(last.f.Close(), l.fs.Remove(l.path(last.start))); err != nil {
			return err
		}
		l.files = l.files[:n-1]
		if err := l.fs.SyncDir(l.dir); err != nil {
			return err
		}
	}
	l.end, l.synced = pos, pos
	return nil
}

// blankBehind makes the file zero from pos on.
func (l *Log) blankBehind(f logFile, pos int64) error {
	data, err := f.f.NextData(pos - f.start)
	if err != nil || data >= l.size {
		return err
	}
	return errors.Join(f.f.Truncate(pos-f.start), f.f.Truncate(l.size), f.f.Sync())
}

// Append puts u behind the last unit and returns its position. It is with the
// operating system after Write or Sync, for Read at once. After an error nothing
// was appended.
func (l *Log) Append(u *Unit) (pos int64, err error) {
	rest := l.size - l.end%l.size
	if n := len(l.files); n == 0 || l.end == l.files[n-1].start+l.size {
		if err := l.addFile(); err != nil {
			return 0, err
		}
	} else if rest < UnitSize+blankSize {
		if rest >= blankSize {
			l.buf = appendBlank(l.buf, rest)
		}
		if err := l.Write(); err != nil {
			if rest >= blankSize {
				l.buf = l.buf[:len(l.buf)-blankSize]
			}
			return 0, err
		}
		l.end += rest
		if err := l.addFile(); err != nil {
			return 0, err
		}
	}
	if len(l.buf) >= writeBuffer {
		if err := l.Write(); err != nil {
			return 0, err
		}
	}
	pos = l.end
	if f := &l.files[len(l.files)-1]; f.seen == pos {
		f.seen, f.last = pos+UnitSize, max(f.last, u.Time()+1)
	}
	l.buf = AppendUnit(l.buf, u)
	l.end += UnitSize
	return pos, nil
}

// addFile makes the file that begins at end.
func (l *Log) addFile() error {
	if err := l.Write(); err != nil {
		return err
	}
	f, err := l.fs.OpenFile(l.path(l.end), os.O_RDWR|os.O_CREATE)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(0), f.Truncate(l.size), l.fs.SyncDir(l.dir)); err != nil {
		return errors.Join(err, f.Close(), l.fs.Remove(l.path(l.end)))
	}
	l.files = append(l.files, logFile{start: l.end, f: f, seen: l.end})
	return nil
}

// Write hands what was appended to the operating system.
func (l *Log) Write() error {
	if len(l.buf) == 0 {
		return nil
	}
	last := l.files[len(l.files)-1]
	at := l.end - int64(len(l.buf))
	if isBlank(l.buf[max(0, len(l.buf)-blankSize):]) { // end is not behind the blank yet
		at += blankSize
	}
	if _, err := last.f.WriteAt(l.buf, at-last.start); err != nil {
		return fmt.Errorf("timerlog: %w", err)
	}
	l.buf, l.blockAt = l.buf[:0], -1
	return nil
}

// Sync makes all units durable.
func (l *Log) Sync() error {
	if err := l.Write(); err != nil {
		return err
	}
	if l.synced == l.end {
		return nil
	}
	for _, f := range l.files {
		if f.start+l.size <= l.synced {
			continue
		}
		if err := f.f.Sync(); err != nil {
			return fmt.Errorf("timerlog: %w", err)
		}
	}
	l.synced = l.end
	return nil
}

// Read returns the unit at pos. Errors are ErrDamaged, also for a position that
// holds none, or those of the disk.
func (l *Log) Read(pos int64) (Unit, error) {
	if pos < l.Begin() || pos+UnitSize > l.end {
		return Unit{}, fmt.Errorf("timerlog at %d: no unit between %d and %d: %w", pos, l.Begin(), l.end, ErrDamaged)
	}
	if written := l.end - int64(len(l.buf)); pos >= written {
		return DecodeUnit(l.buf[pos-written:], pos)
	}
	if l.blockAt < 0 || pos < l.blockAt || pos+UnitSize > l.blockAt+int64(len(l.block)) {
		if err := l.readBlock(pos); err != nil {
			return Unit{}, err
		}
	}
	return DecodeUnit(l.block[pos-l.blockAt:], pos)
}

// readBlock reads the bytes around the unit at pos: most of them before it, as
// chains lead back, or behind it when the last block is before it.
func (l *Log) readBlock(pos int64) error {
	f := l.files[(pos-l.Begin())/l.size]
	if l.blockAt >= 0 && pos >= l.blockAt+int64(len(l.block)) {
		return l.readFrom(f, pos)
	}
	return l.readFrom(f, max(f.start, pos+UnitSize-readBlock))
}

// readFrom reads a block that begins at from.
func (l *Log) readFrom(f logFile, from int64) error {
	n := min(from+readBlock, f.start+l.size) - from
	if int64(cap(l.block)) < n {
		l.block = make([]byte, readBlock)
	}
	l.block, l.blockAt = l.block[:n], -1
	if _, err := f.f.ReadAt(l.block, from-f.start); err != nil && err != io.EOF {
		return fmt.Errorf("timerlog: %w", err)
	}
	l.blockAt = from
	return nil
}

// Scan calls fn for each unit from pos on, where one stands, until there is none
// any more, and returns the position behind the last one. It looks beyond End.
func (l *Log) Scan(pos int64, fn func(pos int64, u *Unit) error) (int64, error) {
	old := l.end
	defer func() { l.end = old }()
	for _, f := range l.files {
		for l.end = f.start + l.size; pos >= f.start && pos+blankSize <= l.end; pos += UnitSize {
			if l.blockAt < 0 || pos < l.blockAt || pos+UnitSize > l.blockAt+int64(len(l.block)) {
				if err := l.readFrom(f, pos); err != nil {
					return pos, err
				}
			}
			b := l.block[min(pos-l.blockAt, int64(len(l.block))):]
			if isBlank(b) {
				break
			}
			u, err := DecodeUnit(b, pos)
			if err != nil {
				return pos, nil
			}
			if err := fn(pos, &u); err != nil {
				return pos, err
			}
		}
		if pos >= f.start {
			pos = f.start + l.size
		}
	}
	return pos, nil
}

// Close ends the log. What was not written is lost.
func (l *Log) Close() error {
	var errs []error
	for _, f := range l.files {
		errs = append(errs, f.f.Close())
	}
	l.files = nil
	return errors.Join(errs...)
}
