// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package javacheck

import (
	"slices"
	"strconv"
	"time"
)

const (
	opPull   = 32 // op records a pull
	halfNull = 1  // MAX_RETRY_COUNT_WHEN_HALF_NULL
)

// loop is the check service and its broker.
type loop struct {
	Options
	half, op             *queue
	halfOffset, opOffset int64 // the consumer offsets
	physical             int64 // of the next record

	now     int64     // of the present round
	acted   bool      // the present round put back or discarded something
	copies  []*record // half messages put back in the present round
	answers []*record // those of them that the producer commits
	fates   *fates
}

// ops is the state of one round: what is known of the op queue.
type ops struct {
	remove map[int64]int64 // half queue offset -> op queue offset
	done   []int64         // op queue offsets that were used
	last   pulled
}

// round is one run of check over the half queue.
func (l *loop) round() {
	l.acted = false
	o := &ops{remove: map[int64]int64{}}
	startOp := l.opOffset
	l.fill(o, startOp)
	missing := 1
	next, i := l.halfOffset, l.halfOffset
	for {
		if at, ok := o.remove[i]; ok {
			delete(o.remove, i)
			o.done = append(o.done, at)
			if half := l.half.at(i); half != nil {
				l.fates.of(half).resolved = true
			}
		} else {
			p := l.half.pull(i, 1)
			if p.found == nil {
				if missing++; missing-1 > halfNull || p.status == nothing {
					break
				}
				i, next = p.next, p.next
				continue
			}
			verdict := l.look(p.found[0], o)
			if verdict == moreOps {
				l.fill(o, o.last.next)
				continue
			}
			if verdict == endRound {
				break
			}
		}
		i++
		next = i
	}
	l.halfOffset = next
	slices.Sort(o.done)
	end := startOp
	for _, at := range o.done {
		if at != end {
			break
		}
		end++
	}
	if end != startOp {
		l.opOffset = end
	}
	for _, half := range l.copies {
		l.store(l.half, half)
	}
	for _, half := range l.answers {
		l.store(l.op, &record{topic: opTopic, tags: opTag, body: strconv.FormatInt(half.queueOffset, 10), born: l.now})
	}
	l.copies, l.answers = nil, nil
}

func (l *loop) store(q *queue, r *record) {
	r.stored, r.physical, r.queueOffset = l.now, l.physical, q.max()
	l.physical++
	q.records = append(q.records, r)
}

// fill is fillOpRemoveMap.
func (l *loop) fill(o *ops, from int64) {
	o.last = l.op.pull(from, opPull)
	if o.last.status == illegal {
		l.opOffset = o.last.next
	}
	for _, r := range o.last.found {
		if r.tags != opTag {
			continue
		}
		if half := parseLong(r.body); half < l.halfOffset {
			o.done = append(o.done, r.queueOffset)
		} else {
			o.remove[half] = r.queueOffset
		}
	}
}

type verdict uint8

const (
	goOn verdict = iota
	endRound
	moreOps
)

// look decides on a half message without an op record so far.
func (l *loop) look(half *record, o *ops) verdict {
	msg := *half // Java changes the decoded message
	if msg.checkTimes == nil {
		msg.checkTimes = format(1)
	} else if n := parseInt(*msg.checkTimes); n >= int64(l.CheckMax) {
		l.discard(half)
		return goOn
	} else {
		msg.checkTimes = format(n + 1)
	}
	age := l.now - msg.born
	if age > l.ReservedTime.Milliseconds() {
		l.discard(half)
		return goOn
	}
	if msg.stored >= l.now {
		return endRound
	}
	timeout := l.TransactionTimeout.Milliseconds()
	immunity := timeout
	if msg.immunity != nil {
		if n := parseLong(*msg.immunity); n != -1 {
			immunity = n * time.Second.Milliseconds()
		}
		if age < immunity {
			if !l.immune(half, msg, o) {
				return endRound // Java asks the op queue again and again until its 60 s are over
			}
			return goOn
		}
	} else if age >= 0 && age < immunity {
		return endRound
	}
	if last := o.last.found; last != nil && age >= 0 && last[len(last)-1].born-l.now <= timeout {
		return moreOps
	}
	// At an age of exactly the immunity Java asks for op records until a
	// millisecond has gone, and then checks.
	l.putBack(half, &msg)
	l.fates.of(half).checks++
	if l.Answer == Commit {
		l.answers = append(l.answers, &msg) // the producer was told the copy's offsets
	}
	return goOn
}

// immune is checkPrepareQueueOffset: a half message within the immunity it asked
// for is resolved by its original's op record, or put back.
func (l *loop) immune(half *record, msg record, o *ops) (ok bool) {
	if msg.prepareFrom == nil {
		msg.prepareFrom = format(half.queueOffset)
	} else {
		from := parseLong(*msg.prepareFrom)
		if from == -1 {
			return false
		}
		if at, ok := o.remove[from]; ok {
			delete(o.remove, from)
			o.done = append(o.done, at)
			l.fates.of(half).resolved = true
			return true
		}
	}
	l.putBack(half, &msg)
	l.fates.of(half).immune++
	return true
}

func (l *loop) putBack(half, msg *record) {
	msg.root = half.original()
	l.copies = append(l.copies, msg)
	l.acted = true
}

func (l *loop) discard(half *record) {
	l.fates.of(half).discarded = true
	l.acted = true
}

// parseLong is getLong: -1 for what is no number.
func parseLong(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// parseInt is getInt.
func parseInt(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil {
		return -1
	}
	return n
}

func format(n int64) *string {
	s := strconv.FormatInt(n, 10)
	return &s
}
