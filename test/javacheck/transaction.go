// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package javacheck

// transaction is the half messages that must have one outcome, and the outcomes
// that the log has of it.
type transaction struct {
	halves    []*record
	committed []int64 // physical offsets of committed records
	ops       []int64 // physical offsets of op records
	parked    []int64 // physical offsets of copies in TRANS_CHECK_MAX_TIME_TOPIC

	born []bornAs // of its messages: what a copy has from its original
}

type bornAs struct {
	at   int64
	host string
}

type groupKey struct{ group, key string }

func (t *transaction) decided() bool { return len(t.committed)+len(t.ops)+len(t.parked) > 0 }

func (t *transaction) has(b bornAs) bool {
	for _, x := range t.born {
		if x == b {
			return true
		}
	}
	return false
}

// transactions gathers them in log order.
type transactions struct {
	all      []*transaction
	byKey    map[groupKey][]*transaction // in the order of their first records
	byQueue  map[int64]*record           // half messages by queue offset
	byOffset map[int64]*record           // half messages by physical offset
}

func gather(records []*record) *transactions {
	ts := &transactions{
		byKey: map[groupKey][]*transaction{}, byQueue: map[int64]*record{}, byOffset: map[int64]*record{},
	}
	for _, r := range records {
		switch {
		case r.committed:
			t := ts.ofOutcome(r, ts.byOffset[r.prepared])
			t.committed = append(t.committed, r.physical)
		case r.topic == halfTopic:
			ts.addHalf(r)
		case r.topic == parkedTopic:
			t := ts.ofOutcome(r, nil)
			t.parked = append(t.parked, r.physical)
		case r.topic == opTopic && r.tags == opTag:
			if half := ts.byQueue[parseLong(r.body)]; half != nil {
				half.tx.ops = append(half.tx.ops, r.physical)
			}
		}
	}
	return ts
}

func (ts *transactions) addHalf(r *record) {
	r.tx = ts.ofHalf(r)
	r.tx.halves = append(r.tx.halves, r)
	r.tx.born = append(r.tx.born, bornAs{r.born, r.bornHost})
	ts.byQueue[r.queueOffset], ts.byOffset[r.physical] = r, r
}

// ofHalf finds or makes the transaction of a new half message.
func (ts *transactions) ofHalf(r *record) *transaction {
	if r.prepareFrom != nil {
		if o := ts.byQueue[parseLong(*r.prepareFrom)]; o != nil && o.group == r.group && o.key == r.key {
			return o.tx
		}
	}
	if t := ts.bornLike(r); t != nil && r.checkTimes != nil {
		return t
	}
	if known := ts.byKey[groupKey{r.group, r.key}]; r.key != "" && len(known) > 0 && !known[len(known)-1].decided() {
		return known[len(known)-1]
	}
	return ts.make(r)
}

// ofOutcome finds the transaction of a committed or parked record, or makes one
// whose half messages are gone. half may be nil.
func (ts *transactions) ofOutcome(r, half *record) *transaction {
	if half != nil {
		return half.tx
	}
	if t := ts.bornLike(r); t != nil {
		return t
	}
	t := ts.make(r)
	t.born = append(t.born, bornAs{r.born, r.bornHost})
	return t
}

// bornLike is the latest transaction with the group and key of r and a message
// that was born with it, nil when there is none.
func (ts *transactions) bornLike(r *record) *transaction {
	known := ts.byKey[groupKey{r.group, r.key}]
	for i := len(known) - 1; i >= 0; i-- {
		if known[i].has(bornAs{r.born, r.bornHost}) {
			return known[i]
		}
	}
	return nil
}

func (ts *transactions) make(r *record) *transaction {
	t := &transaction{}
	ts.all = append(ts.all, t)
	k := groupKey{r.group, r.key}
	ts.byKey[k] = append(ts.byKey[k], t)
	return t
}
