// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package fsck

import (
	"context"
	"errors"

	"github.com/twostage/twostage/message"
)

// step is what a walk over the log comes to.
type step struct {
	kind       kind
	from, to   int64 // log offsets; a range lies in one file
	path       string
	fileOffset int64
	rec        *message.Record // of isRecord and isOdd; valid during the call
	raw        []byte          // of the same
	why        string          // of isDamaged and isOdd
}

// logEnd is where a walk ended.
type logEnd struct {
	pos      int64
	path     string // of the file it is in, or behind; "" without files
	rest     int64  // log offset of the first byte behind pos that is not zero; -1 none
	restSize int64  // from there to the last one
}

// errStop ends a walk without an error.
var errStop = errors.New("stop")

// walkLog calls fn for all that stands in the log from the record at, or behind,
// from on. What fn returns ends it; errStop is no error.
func (d *Dir) walkLog(ctx context.Context, from int64, fn func(*step) error) (logEnd, error) {
	r := d.newLogReader()
	e, err := r.walk(ctx, from, fn)
	if errors.Is(err, errStop) {
		err = nil
	}
	return e, err
}

func (r *logReader) walk(ctx context.Context, from int64, fn func(*step) error) (logEnd, error) {
	files := r.d.log
	i := 0
	for i+1 < len(files) && files[i+1].start <= from {
		i++
	}
	if len(files) == 0 {
		return logEnd{rest: -1}, nil
	}
	pos := files[i].start
	r.open(&files[i])
	if from > pos {
		next, err := r.seek(ctx, i, from)
		if err != nil || next < 0 {
			return logEnd{pos: from, path: files[len(files)-1].path, rest: -1}, err
		}
		pos = next
	}
	for count := 0; ; count++ {
		if count%1024 == 0 && ctx.Err() != nil {
			return logEnd{}, ctx.Err()
		}
		for i+1 < len(files) && pos >= files[i+1].start {
			i++
		}
		r.open(&files[i])
		if pos >= r.file.start+r.d.logSize { // behind the last file, or in a gap
			if i+1 == len(files) {
				return r.tail(i, pos)
			}
			pos = files[i+1].start
			continue
		}
		k, n, why := r.look(pos)
		s := step{kind: k, from: pos, to: pos + n, path: r.file.path, fileOffset: pos - r.file.start, why: why}
		if k == isDamaged {
			next, err := r.seek(ctx, i, pos+1)
			if err != nil {
				return logEnd{}, err
			}
			if next < 0 {
				return r.tail(i, pos)
			}
			if err := r.damaged(&s, next, fn); err != nil {
				return logEnd{}, err
			}
			pos = next
			continue
		}
		if k != isBlank {
			s.rec, s.raw = &r.rec, r.at(pos, n)
		}
		if k == isRecord {
			r.last = max(r.last, r.rec.StoreTimestamp)
		}
		if err := fn(&s); err != nil {
			return logEnd{}, err
		}
		pos += n
	}
}

// seek returns the first record at or behind pos, in file i or a later one; -1
// when there is none.
func (r *logReader) seek(ctx context.Context, i int, pos int64) (int64, error) {
	for ; i < len(r.d.log); i++ {
		r.open(&r.d.log[i])
		next, err := r.find(ctx, max(pos, r.file.start))
		if err != nil || next >= 0 {
			return next, err
		}
	}
	return -1, nil
}

// damaged calls fn for each file's part of the bytes from s.from to next.
func (r *logReader) damaged(s *step, next int64, fn func(*step) error) error {
	for i := range r.d.log {
		f := &r.d.log[i]
		from, to := max(s.from, f.start), min(next, f.start+r.d.logSize)
		if from >= to {
			continue
		}
		part := step{kind: isDamaged, from: from, to: to, path: f.path, fileOffset: from - f.start, why: s.why}
		if from != s.from {
			part.why = "no record of this file follows what is damaged before it"
		}
		if err := fn(&part); err != nil {
			return err
		}
	}
	return nil
}

// tail looks at what stands behind the end of the log, which is in file i, or at
// its end.
func (r *logReader) tail(i int, pos int64) (logEnd, error) {
	e := logEnd{pos: pos, path: r.d.log[i].path, rest: -1}
	for ; i < len(r.d.log); i++ {
		r.open(&r.d.log[i])
		for at := max(pos, r.file.start); at < r.end(); {
			next, err := r.d.files.nextData(r.file.path, at-r.file.start)
			if err != nil {
				return e, err
			}
			if at = r.file.start + next; at >= r.end() {
				break
			}
			b := r.at(at, window)
			if j, k := nonZero(b); j >= 0 {
				if e.rest < 0 {
					e.rest = at + int64(j)
				}
				e.restSize = at + int64(k) - e.rest
			}
			at += int64(len(b))
		}
	}
	return e, nil
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
