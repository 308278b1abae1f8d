// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package commitlog

import (
	"bytes"
	"encoding/binary"

	"github.com/twostage/twostage/message"
)

var be = binary.BigEndian

const (
	scanChunk   = 1 << 20 // bytes per read while scanning
	peekChunk   = 4 << 10 // bytes per read for a single record
	headerCheck = 36      // size, magic and physicalOffset lie below it
)

// what stands at a position of the log
type kind uint8

const (
	isBad    kind = iota
	isRecord      // all of it is right, its body's CRC too
	isBlank       // the marker at the end of a file
	isOdd         // was written in whole, but its fixed part cannot be right
)

// scanner reads one file after the other through a window of memory.
type scanner struct {
	log   *Log
	chunk int // least number of bytes per read
	file  *file
	buf   []byte // bytes of file from off on
	off   int64  // log offset of buf[0]
	rec   message.Record
}

func newScanner(l *Log, chunk int) *scanner { return &scanner{log: l, chunk: chunk, off: -1} }

func (s *scanner) open(f *file) { s.file, s.buf, s.off = f, s.buf[:0], f.start }

func (s *scanner) fileEnd() int64 { return s.file.start + s.log.opt.FileSize }

// at returns n bytes at log offset pos of the present file, fewer at its end.
// They are valid until the next call.
func (s *scanner) at(pos int64, n int) ([]byte, error) {
	n = int(min(int64(n), s.fileEnd()-pos))
	if pos >= s.off && pos+int64(n) <= s.off+int64(len(s.buf)) {
		i := pos - s.off
		return s.buf[i : i+int64(n)], nil
	}
	want := int(min(int64(max(n, s.chunk)), s.fileEnd()-pos))
	if cap(s.buf) < want {
		s.buf = make([]byte, want)
	}
	s.buf, s.off = s.buf[:want], pos
	if err := s.file.readAt(s.buf, pos); err != nil {
		s.buf = s.buf[:0]
		return nil, err
	}
	return s.buf[:n], nil
}

// look tells what stands at pos of the present file. For a record, s.rec is it
// (valid until the next call) and n its size, an odd one too; for a blank, n reaches to the end
// of the file.
func (s *scanner) look(pos int64) (k kind, n int64, err error) {
	rest := s.fileEnd() - pos
	if rest < message.BlankSize {
		return isBad, 0, nil
	}
	head, err := s.at(pos, headerCheck)
	if err != nil {
		return isBad, 0, err
	}
	size := int64(int32(be.Uint32(head)))
	switch be.Uint32(head[4:]) {
	case message.MagicBlank:
		if size == rest {
			return isBlank, rest, nil
		}
		return isBad, 0, nil
	case message.MagicV1, message.MagicV2:
	default:
		return isBad, 0, nil
	}
	if len(head) < headerCheck || size < message.MinRecordSize || size > min(rest, MaxRecordSize) || int64(be.Uint64(head[28:])) != pos {
		return isBad, 0, nil
	}
	b, err := s.at(pos, int(size))
	if err != nil {
		return isBad, 0, err
	}
	if _, err := message.DecodeRecord(b, &s.rec, true); err != nil {
		return isBad, 0, nil
	}
	if !s.rec.HasCRC() && torn(&s.rec, pos-s.file.start) {
		return isBad, 0, nil
	}
	if !s.log.plausible(&s.rec) {
		return isOdd, size, nil
	}
	return isRecord, size, nil
}

// plausible tells whether the fields of the fixed part that nothing else covers
// can be what was written. There is no CRC for them.
func (l *Log) plausible(r *message.Record) bool {
	return r.QueueID >= 0 && r.QueueOffset >= 0 && r.StoreTimestamp >= 0 &&
		r.StoreTimestamp <= max(l.opt.Newest, l.lastTS.Load())
}

// sectorSize is the least that a disk writes at once.
const sectorSize = 512

// torn tells whether a part of a record, which stands at offset at of its file,
// was never written although all sizes and the body's CRC are right. A power cut
// leaves zeros in the place of whole sectors. In the fixed part and the lengths
// that makes a size wrong, in the body the CRC; the topic and the properties
// have nothing that covers them, so here zeros where they share a sector are
// taken as lost. (A property with a zero byte in just that place would be taken
// for damage too. Topics have none.)
func torn(r *message.Record, at int64) bool {
	if bytes.IndexByte(r.Topic, 0) >= 0 {
		return true
	}
	if bytes.IndexByte(r.Properties, 0) < 0 {
		return false
	}
	end := at + int64(r.Size)
	for from := end - int64(len(r.Properties)); from < end; {
		to := min(end, from-from%sectorSize+sectorSize)
		part := r.Properties[int64(len(r.Properties))-(end-from) : int64(len(r.Properties))-(end-to)]
		if i, _ := nonZero(part); i < 0 {
			return true
		}
		from = to
	}
	return false
}

var magicPrefix = []byte{0xDA, 0xA3, 0x20} // of both record magics

// find returns the position of the first record at or after pos in the present
// file, or -1. Records count, odd ones too, not blanks. Holes are skipped unread.
func (s *scanner) find(pos int64) (int64, error) {
	for pos+message.MinRecordSize <= s.fileEnd() {
		at, err := s.nextData(pos)
		if err != nil {
			return -1, err
		}
		if at > pos { // a record whose first bytes are zero is none: 8 before is enough
			pos = max(pos, at-message.BlankSize)
		}
		b, err := s.at(pos, scanChunk)
		if err != nil {
			return -1, err
		}
		if len(b) < message.MinRecordSize {
			return -1, nil
		}
		// Candidates whose first headerCheck bytes are in b.
		last := len(b) - headerCheck
		for i := 0; i <= last; {
			j := bytes.Index(b[i+4:], magicPrefix)
			if j < 0 || i+j > last {
				break
			}
			i += j
			candidate := pos + int64(i)
			if int64(be.Uint64(b[i+28:])) == candidate {
				k, _, err := s.look(candidate)
				if err != nil {
					return -1, err
				}
				if k == isRecord || k == isOdd {
					return candidate, nil
				}
				if b, err = s.at(pos, scanChunk); err != nil { // look may have moved the window
					return -1, err
				}
			}
			i++
		}
		if pos+int64(len(b)) >= s.fileEnd() {
			return -1, nil
		}
		pos += int64(last) + 1
	}
	return -1, nil
}

// nextData is NextData of the present file in log offsets; the end of the file
// when it holds no more data.
func (s *scanner) nextData(pos int64) (int64, error) {
	if err := s.file.acquire(); err != nil {
		return 0, err
	}
	defer s.file.release()
	at, err := s.file.f.NextData(pos - s.file.start)
	if err != nil {
		return 0, err
	}
	return min(s.file.start+at, s.fileEnd()), nil
}

// valid tells whether a record stands at offset, all of it right.
func (l *Log) valid(offset int64) (bool, error) {
	f := l.fileAt(offset)
	if f == nil {
		return false, nil
	}
	s := newScanner(l, peekChunk)
	s.open(f)
	k, _, err := s.look(offset)
	return k == isRecord, err
}

// ValidRecord tells whether a record with the right size, position and body and
// a plausible fixed part stands at offset. It may be called before Recover. An error is a read error.
func (l *Log) ValidRecord(offset int64) (bool, error) { return l.valid(offset) }

// FirstTimestamp returns the store timestamp (ms) of the record at the start of
// the file that starts at start, and whether there is one. It may be called
// before Recover.
func (l *Log) FirstTimestamp(start int64) (ts int64, ok bool, err error) {
	if start%l.opt.FileSize != 0 {
		return 0, false, nil
	}
	return l.TimestampAt(start)
}

// TimestampAt returns the store timestamp (ms) of the record at offset, and
// whether ValidRecord holds for it. It may be called before Recover.
func (l *Log) TimestampAt(offset int64) (ts int64, ok bool, err error) {
	f := l.fileAt(offset)
	if f == nil {
		return 0, false, nil
	}
	s := newScanner(l, peekChunk)
	s.open(f)
	k, _, err := s.look(offset)
	if err != nil || k != isRecord {
		return 0, false, err
	}
	return s.rec.StoreTimestamp, true, nil
}

// Walk calls visit for each record from offset from (where one starts) up to
// End, skipping damaged ranges silently. The record is valid during the call.
// It may run beside the writer.
func (l *Log) Walk(from int64, visit func(*message.Record) error) error {
	end := l.end.Load()
	s := newScanner(l, scanChunk)
	for pos := max(from, l.Min()); pos < end; {
		f := l.fileAt(pos)
		if f == nil {
			return ErrNotFound
		}
		if s.file != f {
			s.open(f)
		}
		k, n, err := s.look(pos)
		if err != nil {
			return err
		}
		switch k {
		case isRecord:
			if pos+n > end {
				return nil
			}
			if err := visit(&s.rec); err != nil {
				return err
			}
			pos += n
		case isOdd:
			pos += n
		case isBlank:
			pos = s.fileEnd()
		default:
			next, err := s.find(pos + 1)
			if err != nil {
				return err
			}
			if pos = next; next < 0 {
				pos = s.fileEnd()
			}
		}
	}
	return nil
}
