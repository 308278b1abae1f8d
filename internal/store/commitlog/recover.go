// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package commitlog

import (
	"errors"
	"fmt"

	"github.com/twostage/twostage/internal/store/segment"
	"github.com/twostage/twostage/message"
)

// Damage is a range of one file that holds no record although records follow, or
// a record that cannot be right.
type Damage struct {
	File   string // path of the log file
	Offset int64  // in the log, bytes
	Length int64  // bytes
	Copy   string // path of the copy of the bytes; "" when they are all zero
}

// Recovered says what Recover found.
type Recovered struct {
	Start, End int64 // walked from, log ends at
	Records    int   // valid records between them
	Damage     []Damage
	Cut        int64 // bytes behind End that were no record and have been zeroed or removed
}

// Recover walks the records from offset from, where a record (or nothing yet)
// must stand, calls visit for each, and prepares the log for writing behind the
// last one: see the package comment. The record passed to visit is valid during
// the call; where visit returns an error that wraps ErrImplausible it is damage.
// Another error of visit or a read error ends it and changes nothing
// further on disk. It is called once, before the first Write; on success all
// that it walked over is durable.
func (l *Log) Recover(from int64, visit func(*message.Record) error) (Recovered, error) {
	r, err := l.walkOver(from, visit, l.setAside)
	switch {
	case err != nil:
		return r, err
	case len(*l.files.Load()) == 0:
		l.end.Store(from)
		l.synced.Store(from)
		return r, nil
	}
	return r, l.cut(&r, r.End)
}

// walkOver is the walk of Recover and Survey: r.End is behind the last record, and
// damaged deals with each range that is none although records follow, or that
// cannot be right.
func (l *Log) walkOver(from int64, visit func(*message.Record) error, damaged func(r *Recovered, pos, next int64) error) (r Recovered, err error) {
	r = Recovered{Start: from, End: from}
	files := *l.files.Load()
	if len(files) == 0 {
		return r, nil
	}
	if limit := files[len(files)-1].start + l.opt.FileSize; from < files[0].start || from > limit {
		return r, fmt.Errorf("commitlog: cannot recover from %d, the files hold %d to %d", from, files[0].start, limit)
	}
	s := newScanner(l, scanChunk)
	pos, i := from, int((from-files[0].start)/l.opt.FileSize)
	for i < len(files) {
		if s.file != files[i] {
			s.open(files[i])
		}
		k, n, err := s.look(pos)
		if err != nil {
			return r, err
		}
		next := pos + n
		switch {
		case k == isRecord:
			ts := s.rec.StoreTimestamp
			if err := visit(&s.rec); errors.Is(err, ErrImplausible) {
				k = isOdd
			} else if err != nil {
				return r, err
			} else {
				l.lastTS.Store(max(l.lastTS.Load(), ts))
				r.Records++
			}
		case k == isOdd:
			l.opt.Logger.Error("commit log: a record cannot be right", "offset", pos, "queue", s.rec.QueueID,
				"queueOffset", s.rec.QueueOffset, "storeTimestamp", s.rec.StoreTimestamp)
		case k == isBlank || pos == s.fileEnd():
			next = s.fileEnd()
			i++
		default:
			if next, err = l.findFrom(s, files[i:], pos); err != nil {
				return r, err
			}
			if next < 0 {
				r.End = pos
				return r, nil
			}
			k, i = isOdd, int((next-files[0].start)/l.opt.FileSize)
		}
		if k == isOdd {
			if err := damaged(&r, pos, next); err != nil {
				return r, err
			}
		}
		pos = next
	}
	r.End = pos
	return r, nil
}

// findFrom returns the first record behind pos, which lies in files[0], or -1.
func (l *Log) findFrom(s *scanner, files []*file, pos int64) (int64, error) {
	pos++
	for _, f := range files {
		s.open(f)
		next, err := s.find(max(pos, f.start))
		if err != nil || next >= 0 {
			return next, err
		}
	}
	return -1, nil
}

// cut ends the log at pos: zeros follow in its file, later files go.
func (l *Log) cut(r *Recovered, pos int64) error {
	files := *l.files.Load()
	keep := 0
	for keep < len(files) && files[keep].start < pos {
		keep++
	}
	if keep == 0 && len(files) > 0 && files[0].start == pos {
		keep = 1 // an empty log goes on at the same place
	}
	for i := len(files) - 1; i >= keep; i-- { // last first: no gap if this stops half-way
		f := files[i]
		if err := f.acquire(); err != nil {
			return err
		}
		data, err := f.f.NextData(0)
		f.release()
		if err != nil {
			return err
		}
		if data < l.opt.FileSize {
			r.Cut += l.opt.FileSize - data
		}
		l.pool.drop(f)
		if err := removeFile(l.opt.FS, l.opt.Dir, f.path); err != nil {
			return err
		}
		rest := append([]*file(nil), files[:i]...)
		l.files.Store(&rest)
	}
	if keep > 0 {
		f := files[keep-1]
		zeroed, err := l.zero(f, pos-f.start)
		if err != nil {
			return err
		}
		r.Cut += zeroed
	}
	if err := l.syncFrom(segment.Start(r.Start, l.opt.FileSize)); err != nil {
		return err
	}
	if keep > 0 && pos < files[keep-1].start+l.opt.FileSize {
		f := files[keep-1]
		if err := f.acquire(); err != nil {
			return err
		}
		l.setActive(f)
	}
	r.End = pos
	l.end.Store(pos)
	l.synced.Store(pos)
	if r.Cut > 0 {
		l.opt.Logger.Warn("commit log: incomplete bytes behind the last record removed", "end", pos, "bytes", r.Cut)
	}
	return nil
}

// zero overwrites what is not zero from off (inside the file) on and returns
// how many bytes that were, from the first to the last.
func (l *Log) zero(f *file, off int64) (int64, error) {
	if err := f.acquire(); err != nil {
		return 0, err
	}
	defer f.release()
	var buf, zeros []byte
	first, last := int64(-1), int64(-1)
	for off < l.opt.FileSize {
		at, err := f.f.NextData(off)
		if err != nil {
			return 0, fmt.Errorf("commitlog: seek %s: %w", f.path, err)
		}
		if off = at; off >= l.opt.FileSize {
			break
		}
		if buf == nil {
			buf, zeros = make([]byte, 64<<10), make([]byte, 64<<10)
		}
		n := int(min(int64(len(buf)), l.opt.FileSize-off))
		if err := f.readAt(buf[:n], f.start+off); err != nil {
			return 0, err
		}
		if i, j := nonZero(buf[:n]); i >= 0 {
			if _, err := f.f.WriteAt(zeros[i:j], off+int64(i)); err != nil {
				return 0, fmt.Errorf("commitlog: clear %s: %w", f.path, err)
			}
			if first < 0 {
				first = off + int64(i)
			}
			last = off + int64(j)
		}
		off += int64(n)
	}
	return last - first, nil
}

// nonZero returns the range of b from the first to behind the last byte that is
// not zero; -1, -1 when all are.
func nonZero(b []byte) (i, j int) {
	for j = len(b); j > 0 && b[j-1] == 0; j-- {
	}
	if j == 0 {
		return -1, -1
	}
	for i = 0; b[i] == 0; i++ {
	}
	return i, j
}

// syncFrom makes the files from the one at start on durable.
func (l *Log) syncFrom(start int64) error {
	for _, f := range *l.files.Load() {
		if f.start < start {
			continue
		}
		if err := f.acquire(); err != nil {
			return err
		}
		err := f.f.Sync()
		f.release()
		if err != nil {
			return fmt.Errorf("commitlog: fdatasync %s: %w", f.path, err)
		}
	}
	return nil
}
