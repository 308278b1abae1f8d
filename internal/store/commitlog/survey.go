// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package commitlog

import (
	"errors"
	"fmt"

	"github.com/twostage/twostage/message"
)

// Survey walks the records as Recover does, and changes not a byte of the log:
// what is damaged is told, but neither copied nor marked, and what stands behind
// the last record stays (Recovered.Cut counts it, from its first to its last byte
// that is not zero). The log must not be written to afterwards.
func (l *Log) Survey(from int64, visit func(*message.Record) error) (Recovered, error) {
	r := Recovered{Start: from, End: from}
	files := *l.files.Load()
	if len(files) == 0 {
		return r, nil
	}
	if limit := files[len(files)-1].start + l.opt.FileSize; from < files[0].start || from > limit {
		return r, fmt.Errorf("commitlog: cannot read from %d, the files hold %d to %d", from, files[0].start, limit)
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
		switch {
		case k == isRecord:
			ts := s.rec.StoreTimestamp
			if err := visit(&s.rec); errors.Is(err, ErrImplausible) {
				r.Damage = append(r.Damage, Damage{File: s.file.path, Offset: pos, Length: n})
			} else if err != nil {
				return r, err
			} else {
				l.lastTS.Store(max(l.lastTS.Load(), ts))
				r.Records++
			}
			pos += n
		case k == isOdd:
			r.Damage = append(r.Damage, Damage{File: s.file.path, Offset: pos, Length: n})
			pos += n
		case k == isBlank || pos == s.fileEnd():
			pos = s.fileEnd()
			i++
		default:
			next, err := l.findFrom(s, files[i:], pos)
			if err != nil {
				return r, err
			}
			if next < 0 {
				return r, l.surveyed(&r, pos)
			}
			for pos < next {
				f := l.fileAt(pos)
				end := min(next, f.start+l.opt.FileSize)
				r.Damage = append(r.Damage, Damage{File: f.path, Offset: pos, Length: end - pos})
				pos = end
			}
			i = int((next - files[0].start) / l.opt.FileSize)
		}
	}
	return r, l.surveyed(&r, pos)
}

// surveyed ends a survey at pos and counts what stands behind.
func (l *Log) surveyed(r *Recovered, pos int64) error {
	r.End = pos
	l.end.Store(pos)
	first, last := int64(-1), int64(-1)
	buf := make([]byte, 64<<10)
	for _, f := range *l.files.Load() {
		end := f.start + l.opt.FileSize
		s := newScanner(l, len(buf))
		s.open(f)
		for at := max(pos, f.start); at < end; {
			var err error
			if at, err = s.nextData(at); err != nil {
				return err
			}
			b := buf[:max(0, min(int64(len(buf)), end-at))]
			if err := f.readAt(b, at); err != nil {
				return err
			}
			if i, j := nonZero(b); i >= 0 {
				if first < 0 {
					first = at + int64(i)
				}
				last = at + int64(j)
			}
			at += int64(len(b))
		}
	}
	r.Cut = last - first
	return nil
}
