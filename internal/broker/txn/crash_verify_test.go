// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package txn

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/broker/txn/state"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/test/javacheck"
)

// verify compares what a start has found with what was answered before.
func (l *ledger) verify(rng *rand.Rand) {
	l.look()
	l.count()
	for _, d := range l.deals {
		switch {
		case len(d.at) == 0:
		case d.answered != 0:
			l.confirm(rng, d)
		case d.parked:
			at := d.at[rng.IntN(len(d.at))]
			l.end(d, at.QueueOffset, at.PhysicalOffset, d.want, false) // refused: see answer
		}
		for _, at := range d.at {
			h, err := l.rig.svc.halfAt(at.QueueOffset)
			if (err != nil || h.physical != at.PhysicalOffset || h.group != d.group || h.key != d.key) && !l.dead() {
				l.note("%s was answered as stored at %+v and is not there: %+v, %v", d.name(), at, h, err)
			}
			kind, open, _, err := l.rig.fate(at)
			if d.answered != 0 && (err != nil || open || kind != kindOf(d.answered)) && !l.dead() {
				l.note("%s was answered as %v; the one at %+v is open: %v, or %v, %v", d.name(), d.answered, at, open, kind, err)
			}
		}
	}
	synctest.Wait()
}

// rebase forgets what a power cut has lost that nothing was promised for. What is
// there counts from now on as if it had been answered.
func (l *ledger) rebase() {
	synctest.Wait()
	type left struct {
		at       []store.Appended
		answered Outcome
	}
	list := make([]left, len(l.deals))
	for i, d := range l.deals {
		x := &list[i]
		for _, at := range d.at {
			h, err := l.rig.svc.halfAt(at.QueueOffset)
			if err == nil && h.physical == at.PhysicalOffset && h.group == d.group && h.key == d.key {
				x.at = append(x.at, at)
			} else if err != nil && !errors.Is(err, ErrNoHalf) && !errors.Is(err, ErrGone) && !l.dead() {
				l.note("%s: its half message can't be read: %v", d.name(), err)
			}
		}
		if len(x.at) == 0 {
			continue
		}
		kind, open, _, err := l.rig.fate(x.at[0])
		switch {
		case open:
		case kind == state.Committed && d.asked[Commit]:
			x.answered = Commit
		case kind == state.RolledBack && d.asked[Rollback]:
			x.answered = Rollback
		case kind == state.Discarded:
		case !l.dead():
			l.note("%s is %v, %v; asked for was %v", d.name(), kind, err, d.asked)
		}
		if d.answered != 0 && x.answered != 0 && x.answered != d.answered && !l.dead() {
			l.note("%s was answered as %v and is %v", d.name(), d.answered, x.answered)
		}
	}
	if l.dead() {
		return // and what was read says nothing
	}
	for i, d := range l.deals {
		x := &list[i]
		l.lostHalves += len(d.at) - len(x.at)
		if d.answered != 0 && x.answered == 0 {
			l.lostOutcomes++
		}
		d.at, d.answered, d.parked = x.at, x.answered, false // see look
	}
}

// count counts the records of outcomes: at most one of a half message, and as many
// of a key as were answered, or asked for.
func (l *ledger) count() {
	var committed []message.Record
	for _, topic := range []string{"Tg", "Th", "Ti", message.TopicSchedule} {
		queue := int32(2)
		if topic == message.TopicSchedule {
			queue = 0
		}
		list, err := l.rig.all(topic, queue)
		if err != nil {
			if !l.dead() {
				l.note("%s: %v", topic, err)
			}
			return
		}
		committed = append(committed, list...)
	}
	parked, err := l.rig.all(message.TopicCheckMax, 0)
	if err != nil && !l.dead() {
		l.note("the parked ones: %v", err)
	}
	if l.dead() {
		return
	}
	commits, copies := l.perKey("committed", committed), l.perKey("parked", parked)
	least, most, parks := map[string]int{}, map[string]int{}, map[string]int{}
	for _, d := range l.deals {
		switch {
		case d.answered == Commit:
			least[d.name()]++
			most[d.name()]++
		case d.answered == 0 && d.asked[Commit]:
			most[d.name()]++
		}
		parks[d.name()] += 1 + d.resumes
	}
	for name := range parks {
		if n := commits[name]; n < least[name] || n > most[name] {
			l.note("%s was committed %d times, want %d to %d", name, n, least[name], most[name])
		}
		if n := copies[name]; n > parks[name] {
			l.note("%s was parked %d times, and resumed %d times at most", name, n, parks[name]-1)
		}
		delete(commits, name)
		delete(copies, name)
	}
	if len(commits)+len(copies) > 0 {
		l.note("nobody knows %v %v", commits, copies)
	}
}

func (l *ledger) perKey(what string, list []message.Record) map[string]int {
	keys, halves := map[string]int{}, map[int64]int{}
	for _, rec := range list {
		keys[text(&rec, message.PropertyProducerGroup)+"/"+text(&rec, message.PropertyUniqueKey)]++
		if halves[rec.PreparedOffset]++; halves[rec.PreparedOffset] > 1 {
			l.note("%s of the half message at %d: %d records", what, rec.PreparedOffset, halves[rec.PreparedOffset])
		}
	}
	return keys
}

// finish has each producer answer what it is asked and resumes what was
// discarded, until everything has the outcome that its producer wants.
func (l *ledger) finish(rng *rand.Rand) {
	l.mu.Lock()
	l.eager = true
	l.mu.Unlock()
	l.online(sceneGroups...)
	for range 5 {
		after(8 * time.Second)
		l.look()
		if !slices.ContainsFunc(l.deals, func(d *deal) bool { return d.parked }) {
			break
		}
		for _, d := range l.deals {
			if d.parked {
				l.resume(rng, d)
			}
		}
	}
	for _, d := range l.deals {
		for _, o := range []Outcome{d.want, contrary(d.want)} { // the contrary only where it may have won
			if len(d.at) > 0 && d.answered == 0 && (o == d.want || d.asked[o]) {
				at := d.at[rng.IntN(len(d.at))]
				l.end(d, at.QueueOffset, at.PhysicalOffset, o, false)
				synctest.Wait()
			}
		}
		if len(d.at) > 0 && (d.answered == 0 || d.answered != d.want && !d.asked[contrary(d.want)]) {
			l.note("%s ends as %v, its producer wants %v", d.name(), d.answered, d.want)
		}
	}
	l.verify(rng)
	if n := l.rig.pending(); n != 0 {
		l.note("%d undecided at the end: %v", n, l.rig.open())
	}
}

// javaFindings is what a Java broker that took the directory over would do wrong.
func javaFindings(t *testing.T, m *vfs.Mem, marks *marks, over bool) (list []javacheck.Conflict) {
	t.Helper()
	if _, err := m.ReadDir("/data/commitlog"); errors.Is(err, fs.ErrNotExist) {
		return nil // it died before it had one
	}
	w := body.ConsumerOffsetSerializeWrapper{OffsetTable: map[string]map[int32]int64{}}
	for name, v := range marks.m {
		w.OffsetTable[name] = map[int32]int64{0: v}
	}
	if err := vfs.MkdirAllSync(m, "/data/config"); err != nil {
		t.Fatal(err)
	}
	if err := vfs.WriteFile(m, "/data/config/consumerOffset.json", body.MarshalConfig(&w)); err != nil {
		t.Fatal(err)
	}
	rep, err := javacheck.Run(m, "/data", javacheck.Options{})
	if err != nil {
		t.Fatal(err)
	}
	list = slices.Concat(rep.CommitTwice, rep.DiscardCommitted)
	for _, c := range rep.CommitAfter {
		// One that was resumed, and so stored again after its copy, may be asked about.
		resumed := len(c.Committed) == 0 && len(c.Parked) > 0 && !over
		for _, h := range c.Half {
			resumed = resumed && h.Physical > slices.Max(c.Parked)
		}
		if !resumed {
			list = append(list, c)
		}
	}
	if over {
		list = append(list, rep.AskedTwice...)
	}
	return list
}
