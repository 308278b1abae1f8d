// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package javacheck

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Report is what the loop does with a directory. Half messages are those of the
// log, in the order of their queue offsets; what becomes of a copy that the loop
// made counts for its original. One that was put back and then discarded is in
// both lists.
type Report struct {
	HalfOffset, OpOffset int64 // consumer offsets, where the loop begins
	HalfEnd, OpEnd       int64 // and ends, in queues that have grown meanwhile
	LogEnd               int64 // log offset behind the last record
	Rounds               int   // the last one, which does nothing, not counted

	Resolved     []Half // passed by for their op record, or their original's
	WouldCheck   []Half // put back and asked about
	WouldDiscard []Half // given up
	Immune       []Half // put back unasked, within CHECK_IMMUNITY_TIME_IN_SECONDS

	// CommitTwice: the log has a committed record already, and a producer that
	// answers COMMIT gets another one.
	CommitTwice []Conflict
	// CommitAfter: the log says that the transaction was rolled back or discarded,
	// and a producer that answers COMMIT gets it committed.
	CommitAfter []Conflict
	// AskedTwice: no outcome yet, but several half messages of the transaction are
	// asked about, and each answer COMMIT stores a record.
	AskedTwice []Conflict
	// DiscardCommitted: the log has a committed record, and the message is given up
	// as one without an answer, to be listed for resuming.
	DiscardCommitted []Conflict
}

// Half is a half message.
type Half struct {
	QueueOffset, Physical int64
	Group, Key, Topic     string // PGROUP, UNIQ_KEY, REAL_TOPIC
	Checks                int    // how often the loop asks about it
}

// Conflict is a transaction that gets two outcomes.
type Conflict struct {
	Half      []Half  // its half messages that the loop asks about, or gives up
	Chain     []int64 // queue offsets of all its half messages
	Committed []int64 // log offsets of its committed records,
	Ops       []int64 // op records,
	Parked    []int64 // and copies in TRANS_CHECK_MAX_TIME_TOPIC
}

// fate is what became of a half message of the log and its copies.
type fate struct {
	resolved, discarded bool
	checks, immune      int
}

type fates struct{ byHalf map[*record]*fate }

func (f *fates) of(half *record) *fate {
	half = half.original()
	x := f.byHalf[half]
	if x == nil {
		x = &fate{}
		f.byHalf[half] = x
	}
	return x
}

// fill makes the lists.
func (r *Report) fill(ts *transactions, f *fates) {
	var all []*record
	for half := range f.byHalf {
		all = append(all, half)
	}
	slices.SortFunc(all, func(a, b *record) int { return cmp.Compare(a.queueOffset, b.queueOffset) })
	for _, half := range all {
		x := f.byHalf[half]
		h := describe(half, x)
		if x.checks > 0 {
			r.WouldCheck = append(r.WouldCheck, h)
		} else if x.resolved {
			r.Resolved = append(r.Resolved, h)
		}
		if x.discarded {
			r.WouldDiscard = append(r.WouldDiscard, h)
		}
		if x.immune > 0 {
			r.Immune = append(r.Immune, h)
		}
	}
	for _, t := range ts.all {
		r.judge(t, f)
	}
}

func describe(half *record, x *fate) Half {
	return Half{
		QueueOffset: half.queueOffset, Physical: half.physical,
		Group: half.group, Key: half.key, Topic: half.realTopic, Checks: x.checks,
	}
}

// judge looks for a second outcome of t. Which of the answers come does not
// matter: to be asked is enough.
func (r *Report) judge(t *transaction, f *fates) {
	var asked, discarded []Half
	var chain []int64
	for _, half := range t.halves {
		chain = append(chain, half.queueOffset)
		x := f.byHalf[half]
		if x == nil {
			continue
		}
		if x.checks > 0 {
			asked = append(asked, describe(half, x))
		}
		if x.discarded {
			discarded = append(discarded, describe(half, x))
		}
	}
	c := Conflict{Half: asked, Chain: chain, Committed: t.committed, Ops: t.ops, Parked: t.parked}
	switch {
	case len(asked) == 0:
	case len(t.committed) > 0:
		r.CommitTwice = append(r.CommitTwice, c)
	case t.decided():
		r.CommitAfter = append(r.CommitAfter, c)
	case len(asked) > 1:
		r.AskedTwice = append(r.AskedTwice, c)
	}
	if len(discarded) > 0 && len(t.committed) > 0 {
		c.Half = discarded
		r.DiscardCommitted = append(r.DiscardCommitted, c)
	}
}

// String is the report for a test's log: counts, and each conflict in a line.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "half queue %d to %d, op queue %d to %d, log end %d, %d rounds: %d resolved, %d checked, %d discarded, %d immune\n",
		r.HalfOffset, r.HalfEnd, r.OpOffset, r.OpEnd, r.LogEnd, r.Rounds,
		len(r.Resolved), len(r.WouldCheck), len(r.WouldDiscard), len(r.Immune))
	for _, list := range []struct {
		name      string
		conflicts []Conflict
	}{
		{"commits twice", r.CommitTwice}, {"commits after another outcome", r.CommitAfter},
		{"asks about two halves", r.AskedTwice}, {"discards a committed one", r.DiscardCommitted},
	} {
		for _, c := range list.conflicts {
			fmt.Fprintf(&b, "%s: %s\n", list.name, c)
		}
	}
	return b.String()
}

// String is one line.
func (c Conflict) String() string {
	h := c.Half[0]
	var at []int64
	for _, h := range c.Half {
		at = append(at, h.QueueOffset)
	}
	return fmt.Sprintf("group %q key %q topic %q half offsets %d of %d, committed at %d, op records at %d, parked at %d",
		h.Group, h.Key, h.Topic, at, c.Chain, c.Committed, c.Ops, c.Parked)
}
