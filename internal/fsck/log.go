// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package fsck

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/twostage/twostage/internal/store/commitlog"
	"github.com/twostage/twostage/internal/store/segment"
	"github.com/twostage/twostage/message"
)

var be = binary.BigEndian

const (
	window    = 1 << 20 // bytes per read
	block     = 4096    // what is read when a window cannot be
	headBytes = 36      // size, magic and position lie below it
)

// what stands at a position of the log
type kind uint8

const (
	isDamaged kind = iota
	isRecord
	isBlank
	isOdd // a record whose fixed part cannot be right
)

// logReader reads the log through a window of memory.
type logReader struct {
	d    *Dir
	file *logFile
	buf  []byte
	off  int64 // log offset of buf[0]
	rec  message.Record
	last int64 // greatest store time so far, ms

	unread error // why a part of the window could not be read
}

func (d *Dir) newLogReader() *logReader { return &logReader{d: d} }

func (r *logReader) open(f *logFile) {
	if r.file != f {
		r.file, r.buf, r.off = f, r.buf[:0], f.start
	}
}

// end is where the file ends; it may be shorter than it should be.
func (r *logReader) end() int64 { return r.file.start + min(r.file.size, r.d.logSize) }

// at returns n bytes at log offset pos of the file, fewer at its end. They are
// valid until the next call.
func (r *logReader) at(pos, n int64) []byte {
	n = max(0, min(n, r.end()-pos))
	if i := pos - r.off; i >= 0 && i+n <= int64(len(r.buf)) {
		return r.buf[i : i+n]
	}
	want := min(max(n, window), r.end()-pos)
	if int64(cap(r.buf)) < want || cap(r.buf) > 4*window && want <= window {
		r.buf = make([]byte, want)
	}
	r.buf, r.off = r.buf[:want], pos
	got, err := r.d.files.readAt(r.file.path, r.buf, pos-r.file.start)
	clear(r.buf[got:])
	if r.unread = err; err != nil {
		for at := int64(got); at < want; at += block { // what can be read of it
			b := r.buf[at:min(at+block, want)]
			if _, err := r.d.files.readAt(r.file.path, b, pos-r.file.start+at); err != nil {
				clear(b)
			}
		}
	}
	return r.buf[:n]
}

// look tells what stands at pos of the file; n is its size.
func (r *logReader) look(pos int64) (k kind, n int64, why string) {
	rest := r.file.start + r.d.logSize - pos
	head := r.at(pos, headBytes)
	if len(head) < message.BlankSize {
		return isDamaged, 0, "no room for a record"
	}
	size := int64(int32(be.Uint32(head)))
	switch magic := be.Uint32(head[4:]); magic {
	case message.MagicBlank:
		if size == rest {
			return isBlank, rest, ""
		}
		return isDamaged, 0, fmt.Sprintf("a blank marker says %d bytes are left of the file, %d are", size, rest)
	case message.MagicV1, message.MagicV2:
	default:
		if size == 0 && magic == 0 {
			return isDamaged, 0, r.reason("zeros")
		}
		return isDamaged, 0, r.reason(fmt.Sprintf("magic %08x is no record's", magic))
	}
	if size < message.MinRecordSize || size > min(rest, commitlog.MaxRecordSize) || len(head) < headBytes {
		return isDamaged, 0, r.reason(fmt.Sprintf("a record cannot have size %d here", size))
	}
	if at := int64(be.Uint64(head[28:])); at != pos {
		return isDamaged, 0, r.reason(fmt.Sprintf("the record says it stands at %d", at))
	}
	b := r.at(pos, size)
	if int64(len(b)) < size {
		return isDamaged, 0, "the file ends in the record"
	}
	if _, err := message.DecodeRecord(b, &r.rec, true); err != nil {
		return isDamaged, 0, r.reason(err.Error())
	}
	if !r.rec.HasCRC() && commitlog.Torn(&r.rec, pos-r.file.start) {
		return isDamaged, 0, r.reason("a sector of its topic or properties is zeros")
	}
	if why := r.odd(); why != "" {
		return isOdd, size, why
	}
	return isRecord, size, ""
}

func (r *logReader) reason(why string) string {
	if r.unread != nil {
		return why + " (" + r.unread.Error() + ")"
	}
	return why
}

// odd says what of the fixed part, which no CRC covers, cannot be.
func (r *logReader) odd() string {
	rec := &r.rec
	newest := max(r.last, r.d.check.Physic, r.d.check.Logics, unsetClock, r.d.o.Now)
	switch {
	case rec.QueueID < 0:
		return fmt.Sprintf("queue %d", rec.QueueID)
	case rec.QueueOffset < 0:
		return fmt.Sprintf("queue offset %d", rec.QueueOffset)
	case rec.StoreTimestamp < 0:
		return fmt.Sprintf("store time %d", rec.StoreTimestamp)
	case r.d.o.Now > 0 && newest < 1<<60 && rec.StoreTimestamp > newest+tooNew:
		return fmt.Sprintf("store time %d is in the far future", rec.StoreTimestamp)
	}
	return ""
}

var magicPrefix = []byte{0xDA, 0xA3, 0x20} // of both record magics

// find returns the first record at or behind pos in the file, or -1.
func (r *logReader) find(ctx context.Context, pos int64) (int64, error) {
	for pos+message.MinRecordSize <= r.end() {
		if err := ctx.Err(); err != nil {
			return -1, err
		}
		at, err := r.d.files.nextData(r.file.path, pos-r.file.start)
		if err != nil {
			return -1, err
		}
		if at += r.file.start; at > pos {
			pos = max(pos, at-message.BlankSize)
		}
		b := r.at(pos, window)
		if len(b) < message.MinRecordSize {
			return -1, nil
		}
		last := len(b) - headBytes
		for i := 0; i <= last; i++ {
			j := bytes.Index(b[i+4:], magicPrefix)
			if j < 0 || i+j > last {
				break
			}
			i += j
			candidate := pos + int64(i)
			if int64(be.Uint64(b[i+28:])) != candidate {
				continue
			}
			if k, _, _ := r.look(candidate); k == isRecord || k == isOdd {
				return candidate, nil
			}
			b = r.at(pos, window) // look may have moved it
		}
		if pos+int64(len(b)) >= r.end() {
			return -1, nil
		}
		pos += int64(last) + 1
	}
	return -1, nil
}

// record reads the record at a log offset, if one stands there. It is valid until
// the reader is used again.
func (r *logReader) record(offset int64) (*message.Record, bool) {
	f := r.d.logFileAt(offset)
	if f == nil {
		return nil, false
	}
	r.open(f)
	k, _, _ := r.look(offset)
	return &r.rec, k == isRecord
}

func (d *Dir) logFileAt(offset int64) *logFile {
	i, ok := slices.BinarySearchFunc(d.log, offset, func(f logFile, at int64) int { return cmp.Compare(f.start, at) })
	if !ok {
		i--
	}
	if i < 0 || offset-d.log[i].start >= d.logSize {
		return nil
	}
	return &d.log[i]
}

// min is the log offset of the first byte that is kept.
func (d *Dir) min() int64 {
	if len(d.log) == 0 {
		return 0
	}
	return d.log[0].start
}

// place is the file and the offset in it of a log offset.
func (d *Dir) place(offset int64) (path string, at int64) {
	if f := d.logFileAt(offset); f != nil {
		return f.path, offset - f.start
	}
	if d.logSize <= 0 || offset < 0 {
		return d.o.CommitLog, -1
	}
	start := segment.Start(offset, d.logSize)
	return segment.Join(d.o.CommitLog, start), offset - start
}
