// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package commitlog

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
)

// Age says how new the records of one file can be.
type Age struct {
	Start  int64 // log offset of its first byte
	Newest int64 // no record in it has a greater store timestamp (ms); math.MaxInt64 when not known
}

// Oldest returns the n oldest files, fewer when there are not so many, never the
// last one. Store timestamps never go back, so the first record of the next file
// bounds those of a file; where no record can be read there, or its timestamp
// cannot be right, the one after is asked. No CRC covers a timestamp: one that was
// changed later can make a file look newer than it is, or older by no more than
// the time in which the file was filled. It reads two heads, or little more, a file.
func (l *Log) Oldest(n int) []Age {
	files := *l.files.Load()
	n = min(n, len(files)-1)
	if n <= 0 {
		return nil
	}
	ages := make([]Age, 0, n)
	known, _ := l.firstTime(files[0], 0)
	for i := 1; i < len(files) && len(ages) < n; i++ {
		ts, ok := l.firstTime(files[i], known)
		if !ok {
			continue
		}
		for known = ts; len(ages) < min(i, n); {
			ages = append(ages, Age{files[len(ages)].start, ts})
		}
	}
	for len(ages) < n {
		ages = append(ages, Age{files[len(ages)].start, math.MaxInt64})
	}
	return ages
}

// firstTime returns the store timestamp of the first record of f, if there is one
// that can follow a record of the time known.
func (l *Log) firstTime(f *file, known int64) (ts int64, ok bool) {
	_, ts, err := l.Head(f.start)
	if err != nil || ts < known {
		return known, false
	}
	if last := l.lastTS.Load(); last > 0 && ts > last {
		return known, false
	}
	return ts, true
}

// Trim removes the files below the log offset min, which is where one of the
// files begins and not beyond Synced: the oldest first, each durably before the
// next, so that a stop in between leaves no gap. Min follows file by file; a
// moment before, the records of a file cannot be found any more. Readers of a
// removed file keep what they have; its space is free when the last of them has
// released it. A file that cannot be removed is an error, and may be tried again; a
// failed sync of the directory ends all writing (ErrFailed). One caller at a time,
// beside readers, the writer and Sync.
func (l *Log) Trim(min int64) error {
	if err := l.Err(); err != nil {
		return err
	}
	files := *l.files.Load()
	if n := len(files); n == 0 || min > files[n-1].start || min%l.opt.FileSize != 0 || min > l.synced.Load() {
		return fmt.Errorf("commitlog: cannot remove what is below %d: no file begins there, or it is not durable (synced to %d)", min, l.synced.Load())
	}
	for _, f := range files {
		if f.start >= min {
			break
		}
		if err := f.remove(); err != nil {
			return fmt.Errorf("commitlog: remove what is no longer kept: %w", err)
		}
		err := l.opt.FS.SyncDir(l.opt.Dir)
		l.forget(f)
		if err != nil {
			return l.Fail(fmt.Errorf("commitlog: sync %s: %w", l.opt.Dir, err))
		}
	}
	return nil
}

// forget takes f, the first file, from the list.
func (l *Log) forget(f *file) {
	l.listMu.Lock()
	rest := append([]*file(nil), (*l.files.Load())[1:]...) // Roll may have added one
	l.files.Store(&rest)
	l.listMu.Unlock()
	l.pool.drop(f)
}

// remove takes the name of a file away. Nobody can open it afterwards, and nobody
// finds that it cannot be opened.
func (f *file) remove() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.pool.fs.Remove(f.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f.dropped.Store(true)
	return nil
}
