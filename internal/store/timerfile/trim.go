// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package timerfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"github.com/twostage/twostage/internal/store/segment"
	"github.com/twostage/twostage/internal/vfs"
)

// trimStep is how many bytes of units one Trim reads at most.
const trimStep = 1 << 20

// Trim removes the files at the begin all of whose units have a time before ms.
// more: it has read as much as it may at once, and is to be called again. A file is
// looked through once, and one that was written since OpenLog not at all.
func (l *Log) Trim(ms int64) (more bool, err error) {
	for left := int64(trimStep); len(l.files) > 1 && l.files[0].start+l.size <= l.synced; {
		f := &l.files[0]
		for f.last < ms && f.seen >= 0 {
			if left <= 0 {
				return true, nil
			}
			n, err := l.lookAt(f)
			if err != nil {
				return false, err
			}
			left -= n
		}
		if f.last >= ms {
			return false, nil
		}
		if err := errors.Join(f.f.Close(), l.fs.Remove(l.path(f.start))); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
		l.files = l.files[1:]
	}
	return false, nil
}

// lookAt looks at some more units of a full file, and returns how many bytes it has
// read. seen is -1 behind the last one.
func (l *Log) lookAt(f *logFile) (int64, error) {
	b := make([]byte, min(64<<10, f.start+l.size-f.seen))
	if _, err := f.f.ReadAt(b, f.seen-f.start); err != nil && err != io.EOF {
		return 0, err
	}
	n, end := eachUnit(b, f.seen, func(_ int64, u *Unit) { f.last = max(f.last, u.Time()+1) })
	f.seen += n
	switch {
	case end == unitsGoOn && n > 0:
	case end == unitsDamaged:
		f.seen, f.last = -1, math.MaxInt64 // better kept
	default:
		f.seen = -1
	}
	return int64(len(b)), nil
}

// How the units of a part of a file end.
const (
	unitsGoOn = iota
	unitsBlank
	unitsDamaged
)

// eachUnit calls visit for the units at the begin of b, which stands at position
// at, and returns how many bytes they have.
func eachUnit(b []byte, at int64, visit func(pos int64, u *Unit)) (n int64, end int) {
	for ; len(b) >= UnitSize; b, n = b[UnitSize:], n+UnitSize {
		if isBlank(b) {
			return n, unitsBlank
		}
		u, err := DecodeUnit(b, at+n)
		if err != nil {
			return n, unitsDamaged
		}
		visit(at+n, &u)
	}
	return n, unitsGoOn
}

// Units calls visit for the units in dir's timerlog before position end, in their
// order, until it returns false. It reads files of its own accord, so it may be
// called while another goroutine uses the Log, whose Write has been called since
// end was its End. Errors are those of the disk, or ErrDamaged when something else
// stands there.
func Units(fsys vfs.FS, dir string, fileSize, end int64, visit func(u *Unit) bool) error {
	dir = filepath.Join(dir, logDir)
	list, err := segment.List(fsys, dir, fileSize)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) && end == 0 {
			return nil
		}
		return err
	}
	b := make([]byte, 1260*UnitSize) // 64 KiB
	for _, start := range list.Starts {
		on, err := unitsOf(fsys, segment.Join(dir, start), start, min(fileSize, end-start), b, visit)
		if err != nil && !errors.Is(err, fs.ErrNotExist) || !on { // removed meanwhile: all of it is over
			return err
		}
	}
	return nil
}

// unitsOf calls visit for the units in the first size bytes of a file.
func unitsOf(fsys vfs.FS, name string, start, size int64, b []byte, visit func(u *Unit) bool) (on bool, err error) {
	f, err := fsys.OpenFile(name, os.O_RDONLY)
	if err != nil {
		return true, err
	}
	defer f.Close()
	on = true
	for at := int64(0); on && size-at >= UnitSize; {
		got, err := f.ReadAt(b[:min(int64(len(b)), size-at)], at)
		if err != nil && err != io.EOF {
			return false, err
		}
		n, end := eachUnit(b[:got], start+at, func(_ int64, u *Unit) { on = on && visit(u) })
		at += n
		switch {
		case end == unitsBlank:
			return on, nil
		case end == unitsDamaged, n == 0:
			return false, fmt.Errorf("%s at %d: no unit: %w", name, at, ErrDamaged)
		}
	}
	return on, nil
}
