// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package fsck

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strconv"

	"github.com/twostage/twostage/internal/broker/txn/state"
	"github.com/twostage/twostage/internal/store/segment"
	"github.com/twostage/twostage/message"
)

// An op record's Flag, see docs/format/transactions.md.
const (
	opKindMask      = 3
	opDistanceShift = 2
)

// opKinds are the states by the kind of an op record.
var opKinds = [...]state.Kind{state.Decided, state.Committed, state.RolledBack, state.Discarded}

// opHalves are the half queue offsets in the body of an op record: one of ours and
// of RocketMQ 4, several of RocketMQ 5.
func opHalves(body []byte) ([]int64, error) {
	var list []int64
	for part := range bytes.SplitSeq(body, []byte{','}) {
		if len(part) == 0 {
			continue
		}
		n, err := strconv.ParseInt(string(part), 10, 64)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("%.40q is no half queue offset", part)
		}
		list = append(list, n)
	}
	if len(list) == 0 {
		return nil, errors.New("its body names no half message")
	}
	return list, nil
}

// checkOp looks at an op record: what it says must be in the log before it.
func (v *verifier) checkOp(s *step) error {
	if tags, _ := s.rec.Property(message.PropertyTags); string(tags) != "d" {
		return nil
	}
	v.r.Ops++
	wrong := func(format string, args ...any) error {
		v.out.add(Finding{Level: Damage, Kind: KindOp, File: s.path, Offset: s.fileOffset, Length: s.to - s.from,
			Text: fmt.Sprintf("the op record at log offset %d: ", s.from) + fmt.Sprintf(format, args...)})
		return nil
	}
	halves, err := opHalves(s.rec.Body)
	if err != nil {
		return wrong("%v", err)
	}
	half := v.queues[message.TopicHalf][0]
	most := int64(-1)
	if half != nil && half.dir != nil {
		most = half.next
	}
	for _, h := range append(halves, s.rec.PreparedOffset) {
		if most >= 0 && h >= most {
			return wrong("is of half message %d, the half queue had %d by then", h, most)
		}
	}
	distance := int64(uint32(s.rec.Flag) >> opDistanceShift)
	if s.rec.Flag < 0 {
		return wrong("has flag %d", s.rec.Flag)
	}
	if distance == 0 || s.from-distance < v.min || v.lost.has(s.from-distance) {
		return nil
	}
	rec, ok := v.other.record(s.from - distance)
	switch kind := opKinds[s.rec.Flag&opKindMask]; {
	case !ok:
		return wrong("says that the record of its outcome stands at log offset %d; none does", s.from-distance)
	case kind == state.Committed && rec.SysFlag.Transaction() != message.TransactionCommit:
		return wrong("says that the committed record stands at log offset %d; that one is of no transaction", s.from-distance)
	case kind == state.Discarded && string(rec.Topic) != message.TopicCheckMax:
		return wrong("says that the parked copy stands at log offset %d; that record is of topic %q", s.from-distance, rec.Topic)
	case kind != state.Committed && kind != state.Discarded:
		return wrong("is of a transaction that was %s, and says that a record for consumers stands at log offset %d", kind, s.from-distance)
	}
	return nil
}

// eachWord calls fn for the words that are not zero, in order.
func (d *Dir) eachWord(fn func(half int64, w state.Word, ok bool, path string, at int64) error) error {
	dir := d.o.Dir + "/transactions"
	names, err := d.o.FS.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	buf := make([]byte, 64<<10)
	for _, name := range names {
		first, ok := segment.Parse(name)
		path := dir + "/" + name
		size, isDir, err := d.o.FS.Stat(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if !ok || isDir || err != nil || first%state.SegmentWords != 0 {
			continue
		}
		size = min(size, state.SegmentWords*state.WordSize)
		for at := int64(0); at < size; {
			next, err := d.files.nextData(path, at)
			if err != nil {
				return err
			}
			if at = next - next%state.WordSize; at >= size {
				break
			}
			n, err := d.files.readAt(path, buf[:min(int64(len(buf)), size-at)], at)
			if err != nil {
				return err
			}
			if n < state.WordSize {
				break
			}
			for b := buf[:n-n%state.WordSize]; len(b) > 0; b = b[state.WordSize:] {
				if be.Uint64(b) != 0 {
					w, ok := state.DecodeWord(b)
					if err := fn(first+at/state.WordSize, w, ok, path, at); err != nil {
						return err
					}
				}
				at += state.WordSize
			}
		}
	}
	return nil
}

// checkStates compares the states of half messages, as far as their mark goes,
// with the op records.
func (v *verifier) checkStates() error {
	dir := v.d.o.Dir + "/transactions"
	mark, found, damaged, err := state.ReadMark(v.d.o.FS, dir)
	if err != nil {
		return err
	}
	for _, e := range damaged {
		level := Damage
		if found {
			level = Note // as after a power cut
		}
		v.out.add(Finding{Level: level, Kind: KindTransaction, File: dir + "/" + state.MarkName, Offset: -1, Text: e.Error()})
	}
	return v.d.eachWord(func(half int64, w state.Word, ok bool, path string, at int64) error {
		if v.ctx.Err() != nil {
			return v.ctx.Err()
		}
		f := Finding{Level: Damage, Kind: KindTransaction, File: path, Offset: at, Length: state.WordSize}
		switch {
		case !ok:
			f.Text = fmt.Sprintf("the word of half message %d is none", half)
		case w.Kind == state.Undecided, w.Kind == state.Resumed, w.Op < v.min, v.lost.has(w.Op):
			return nil
		case !found || w.Op >= mark.Log:
			return nil // the next start looks itself
		default:
			rec, ok := v.other.record(w.Op)
			if ok && opOf(rec, half) {
				v.r.States++
				return nil
			}
			f.Text = fmt.Sprintf("half message %d is %s by the op record at log offset %d; there is none of it", half, w.Kind, w.Op)
		}
		v.out.add(f)
		return nil
	})
}

// opOf tells whether rec is an op record of a half message.
func opOf(rec *message.Record, half int64) bool {
	if string(rec.Topic) != message.TopicOpHalf {
		return false
	}
	list, err := opHalves(rec.Body)
	if err != nil {
		return false
	}
	for _, h := range list {
		if h == half {
			return true
		}
	}
	return false
}
