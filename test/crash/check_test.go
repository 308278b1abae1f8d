// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package crash

import (
	"fmt"
	"maps"
	"slices"
)

// sent is a message that was sent. begun and answered are ticks of a clock that
// all connections share: what happened before has the lower tick.
type sent struct {
	key             string
	topic           string
	queue           int32
	crc             uint32 // of the body
	begun, answered int64  // answered: 0 when no answer came
	offset          int64  // that the answer named
	busy            bool   // it was answered SYSTEM_BUSY: the disk was too slow, nothing is stored
}

// stored is a record that was read.
type stored struct {
	key                   string
	queue                 int32
	queueOffset, position int64
	crc                   uint32
}

// maxProblems is how many problems of one topic are worth reading.
const maxProblems = 20

// problems collects what is wrong.
type problems struct {
	list []string
	more int
}

func (p *problems) add(format string, args ...any) {
	if len(p.list) == maxProblems {
		p.more++
		return
	}
	p.list = append(p.list, fmt.Sprintf(format, args...))
}

func (p *problems) all() []string {
	if p.more > 0 {
		return append(p.list, fmt.Sprintf("and %d more", p.more))
	}
	return p.list
}

// checkTopic compares what was sent to a topic with what its queues hold, in
// the order of the queues' reading, and gives what is wrong.
func checkTopic(log []sent, queues map[int32][]stored) []string {
	var p problems
	byKey := make(map[string]*sent, len(log))
	for i := range log {
		byKey[log[i].key] = &log[i]
	}
	found := make(map[string]stored, len(log))
	for _, id := range slices.Sorted(maps.Keys(queues)) {
		checkQueue(&p, id, queues[id], byKey, found)
	}
	for i := range log {
		m := &log[i]
		if m.busy {
			if r, ok := found[m.key]; ok {
				p.add("refused: %s, answered SYSTEM_BUSY, is at queue %d offset %d", m.key, r.queue, r.queueOffset)
			}
		}
		if m.answered == 0 {
			continue
		}
		switch r, ok := found[m.key]; {
		case !ok:
			p.add("lost: %s, acknowledged at queue %d offset %d", m.key, m.queue, m.offset)
		case r.queue != m.queue || r.queueOffset != m.offset:
			p.add("moved: %s, acknowledged at queue %d offset %d, is at queue %d offset %d", m.key, m.queue, m.offset, r.queue, r.queueOffset)
		}
	}
	return p.all()
}

// checkQueue checks one queue and adds its records to found.
func checkQueue(p *problems, id int32, records []stored, byKey map[string]*sent, found map[string]stored) {
	for i, r := range records {
		if r.queue != id {
			p.add("foreign: queue %d holds %s of queue %d", id, r.key, r.queue)
		}
		if r.queueOffset != int64(i) {
			p.add("offsets: queue %d has offset %d where %d should be", id, r.queueOffset, i)
		}
		if i > 0 && r.position <= records[i-1].position {
			p.add("positions: queue %d offset %d lies at %d, the one before at %d", id, r.queueOffset, r.position, records[i-1].position)
		}
		m := byKey[r.key]
		switch {
		case m == nil:
			p.add("unknown: queue %d offset %d holds %q, which nobody sent", id, r.queueOffset, r.key)
		case m.crc != r.crc:
			p.add("changed: the body of %s is not the one sent", r.key)
		}
		if twin, ok := found[r.key]; ok {
			p.add("twice: %s is at queue %d offset %d and at queue %d offset %d", r.key, twin.queue, twin.queueOffset, id, r.queueOffset)
			continue
		}
		found[r.key] = r
	}
	// From the end: no message may stand before one that was acknowledged
	// before it was even sent.
	var first *sent // the acknowledgement that came earliest of those behind
	for _, r := range slices.Backward(records) {
		m := byKey[r.key]
		if m == nil {
			continue
		}
		if first != nil && first.answered < m.begun {
			p.add("order: %s stands before %s in queue %d, which was acknowledged before it was sent", m.key, first.key, id)
		}
		if m.answered > 0 && (first == nil || m.answered < first.answered) {
			first = m
		}
	}
}

// checkUnchanged compares two readings of the same queues: nothing that was read
// may change or go.
func checkUnchanged(before, after map[int32][]stored) []string {
	var p problems
	for _, id := range slices.Sorted(maps.Keys(before)) {
		was, is := before[id], after[id]
		for i, r := range was {
			if i >= len(is) {
				p.add("gone: queue %d had %d records and has %d", id, len(was), len(is))
				break
			}
			if is[i] != r {
				p.add("unstable: queue %d offset %d was %+v and is %+v", id, i, r, is[i])
			}
		}
	}
	return p.all()
}

// decision is what a producer says about its transaction.
type decision byte

const (
	commit   decision = 'C'
	rollback decision = 'R'
)

// half is a transaction that was begun.
type half struct {
	sent          // the half message; its queue is that of the real topic
	want decision // what the producer says whenever it is asked
	// tried says that the end was sent before the kill; it may have taken effect.
	tried bool
	// ended says that the end was acknowledged, before the kill or in answer to a
	// check-back after it.
	ended bool
	// settled says that it was ended before the kill: nobody may ask again.
	settled bool
}

// checkTransactions compares transactions with what the real topic holds and
// with how often the broker asked after the start. final says that everything
// open was asked about and ended.
func checkTransactions(halves []half, queues map[int32][]stored, asked map[string]int, final bool) []string {
	var p problems
	byKey := make(map[string]*half, len(halves))
	for i := range halves {
		byKey[halves[i].key] = &halves[i]
	}
	visible := make(map[string]int)
	for _, id := range slices.Sorted(maps.Keys(queues)) {
		for i, r := range queues[id] {
			if r.queueOffset != int64(i) {
				p.add("offsets: queue %d has offset %d where %d should be", id, r.queueOffset, i)
			}
			visible[r.key]++
			switch h := byKey[r.key]; {
			case h == nil:
				p.add("unknown: queue %d offset %d holds %q, which nobody sent", id, r.queueOffset, r.key)
			case h.crc != r.crc:
				p.add("changed: the body of %s is not the one sent", r.key)
			case h.queue != id:
				p.add("moved: %s was sent to queue %d and is in queue %d", r.key, h.queue, id)
			}
		}
	}
	for i := range halves {
		h := &halves[i]
		n := visible[h.key]
		switch {
		case h.want == rollback && n > 0:
			p.add("resurrected: %s was rolled back (acknowledged: %t) and is visible", h.key, h.ended)
		case n > 1:
			p.add("twice: %s was committed and is visible %d times", h.key, n)
		case h.want == commit && n == 0 && h.ended:
			p.add("lost: the commit of %s was acknowledged and it is not visible", h.key)
		case h.want == commit && n == 0 && h.answered > 0 && final:
			p.add("stuck: the half message of %s was acknowledged and it is not visible, nor was anybody asked", h.key)
		}
		if h.settled && asked[h.key] > 0 {
			p.add("asked: the end of %s was acknowledged before the kill, and the producer was asked %d times", h.key, asked[h.key])
		}
	}
	return p.all()
}
