// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package txn

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/twostage/twostage/internal/broker/txn/state"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
)

// ledger is what the producers of a run know, over all the lives of the broker.
type ledger struct {
	mu    sync.Mutex
	deals []*deal
	there map[string]bool // groups with a producer online
	eager bool            // each check is answered
	lossy bool            // what was answered may be lost
	wrong []string

	rig  *rig        // of this life
	dead func() bool // the machine's file system is gone

	halves, again, answers, refusals, checks, parked, resumed int // that there were
	lostHalves, lostOutcomes                                  int // in power cuts that may lose them
}

// deal is one transaction as its producer sees it.
type deal struct {
	group, key string
	want       Outcome          // said whenever the producer is asked
	at         []store.Appended // its half messages whose storing was answered
	asked      [4]bool          // outcomes that were asked for
	answered   Outcome          // with success, so it is the one
	patience   int              // checks before it answers one
	parked     bool             // seen as discarded, and nobody has tried to resume it since
	physical   int64            // of the half message that was discarded
	resumes    int              // that were tried
	old        bool             // its outcome was answered, and another half message came after
}

func newLedger() *ledger { return &ledger{there: map[string]bool{}} }

func (d *deal) name() string { return d.group + "/" + d.key }

func contrary(o Outcome) Outcome {
	if o == Commit {
		return Rollback
	}
	return Commit
}

// note takes down what must not be.
func (l *ledger) note(format string, args ...any) {
	l.wrong = append(l.wrong, fmt.Sprintf(format, args...))
}

// find is the deal of a half message; of one whose storing was not answered, the
// youngest with its key.
func (l *ledger) find(group, key string, queueOffset int64) (found *deal) {
	for _, d := range l.deals {
		if d.group == group && d.key == key {
			found = d
			if slices.ContainsFunc(d.at, func(at store.Appended) bool { return at.QueueOffset == queueOffset }) {
				return d
			}
		}
	}
	return found
}

// end asks for an outcome; its code is there after synctest.Wait, -1 before.
func (l *ledger) end(d *deal, queueOffset, physical int64, o Outcome, check bool) (code *int32) {
	code = new(int32)
	*code = -1
	l.mu.Lock()
	d.asked[o] = true
	r := l.rig
	l.mu.Unlock()
	r.svc.End(End{Group: d.group, QueueOffset: queueOffset, Physical: physical, Outcome: o, FromCheck: check}, func(c int32, remark string) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if *code != -1 {
			l.note("%s was answered twice, %d and %d", d.name(), *code, c)
		}
		*code = c
		l.answer(d, o, c, remark)
	})
	return code
}

// answer takes down the broker's answer; l.mu is held.
func (l *ledger) answer(d *deal, o Outcome, code int32, remark string) {
	if l.lossy && l.dead() {
		return // the next start tells what of it is there
	}
	switch code {
	case wire.Success:
		l.answers++
		if d.answered != 0 && d.answered != o {
			l.note("%s was answered as %v, and as %v later", d.name(), d.answered, o)
		}
		if d.parked {
			l.note("%s was discarded and is %v, and nobody resumed it", d.name(), o)
		}
		d.answered = o
	case wire.IllegalOperation:
		l.refusals++
		if d.answered == o {
			l.note("%s was answered as %v, and refused that later: %s", d.name(), o, remark)
		}
		if d.answered == 0 && !d.asked[contrary(o)] && !strings.Contains(remark, "discarded") {
			l.note("%s was refused %v, nobody asked for anything else: %s", d.name(), o, remark)
		}
	default:
		if !l.dead() {
			l.note("%s: %v was answered with %d, %s", d.name(), o, code, remark)
		}
	}
}

// pick is Config.Producers.
func (l *ledger) pick(group string) (Producer, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return teller{l, group}, l.there[group]
}

func (l *ledger) online(groups ...string) {
	for _, g := range groups {
		l.mu.Lock()
		l.there[g] = true
		l.mu.Unlock()
		l.rig.svc.Online(g)
	}
}

// teller is a connection of a group's producer.
type teller struct {
	l     *ledger
	group string
}

func (p teller) RemoteAddr() netip.AddrPort { return testHost }

// PushIf is asked about a transaction. No check may be valid once an outcome was
// answered.
func (p teller) PushIf(req *wire.Request, valid func() bool) error {
	h := req.Header.(*header.CheckTransactionRequest)
	p.l.mu.Lock()
	d := p.l.find(p.group, h.MsgID, h.TranStateTableOffset)
	if d == nil {
		p.l.note("%s/%s is checked, nobody stored it", p.group, h.MsgID)
		p.l.mu.Unlock()
		return nil
	}
	before := d.answered
	p.l.mu.Unlock()
	if !valid() {
		return nil
	}
	p.l.mu.Lock()
	p.l.checks++
	if before != 0 {
		p.l.note("%s was answered as %v and is checked", d.name(), before)
		p.l.mu.Unlock()
		return nil
	}
	d.patience--
	tell := d.patience < 0 || p.l.eager
	o := d.want
	p.l.mu.Unlock()
	if tell {
		p.l.end(d, h.TranStateTableOffset, h.CommitLogOffset, o, true)
	}
	return nil
}

// fate is what the broker says of a half message, or of the one that stands for
// it now: open, or how it ended.
func (r *rig) fate(at store.Appended) (kind state.Kind, open bool, off int64, err error) {
	for off = at.QueueOffset; ; {
		r.svc.mu.Lock()
		_, open = r.svc.table.Get(off)
		r.svc.mu.Unlock()
		if open {
			return 0, true, off, nil
		}
		h, err := r.svc.halfAt(off)
		if err != nil {
			return 0, false, off, err
		}
		f, err := r.svc.fateOf(&h)
		if err != nil || f.kind != state.Resumed {
			return f.kind, false, off, err
		}
		off = f.next
	}
}
