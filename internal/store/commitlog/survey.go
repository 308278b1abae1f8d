// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package commitlog

import "github.com/twostage/twostage/message"

// Survey walks the records as Recover does, and changes not a byte of the log:
// what is damaged is told, but neither copied nor marked, and what stands behind
// the last record stays (Recovered.Cut counts it, from its first to its last byte
// that is not zero). The log must not be written to afterwards.
func (l *Log) Survey(from int64, visit func(*message.Record) error) (Recovered, error) {
	r, err := l.walkOver(from, visit, l.tell)
	if err != nil || len(*l.files.Load()) == 0 {
		return r, err
	}
	return r, l.surveyed(&r, r.End)
}

// tell notes the damaged range [pos, next), which may reach over file ends.
func (l *Log) tell(r *Recovered, pos, next int64) error {
	for pos < next {
		f := l.fileAt(pos)
		end := min(next, f.start+l.opt.FileSize)
		r.Damage = append(r.Damage, Damage{File: f.path, Offset: pos, Length: end - pos})
		pos = end
	}
	return nil
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
