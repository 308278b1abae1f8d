// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package bank

import (
	"fmt"
	"iter"
	"slices"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/test/bank/teller"
)

// violation is a way to break the rules.
type violation string

const (
	// A commit that was decided, and is neither there nor parked.
	lostCommit violation = "lostCommit"
	// A commit that is there more than once.
	duplicateCommit violation = "duplicateCommit"
	// A rollback that was decided, and the message is there.
	commitAfterRollback violation = "commitAfterRollback"
	// A message that nobody decided to commit, or nobody sent like that.
	phantom violation = "phantom"
	// A check-back after an outcome was acknowledged.
	unexpectedCheck violation = "unexpectedCheck"
	// An outcome that was acknowledged, though it was not the decided one or
	// named the half message wrongly.
	overturned violation = "overturned"
	// An abandoned transaction that is not listed as discarded.
	unlistedDiscard violation = "unlistedDiscard"
	// A transaction that is listed as discarded twice, or is committed too, or
	// whose producer was there all the time.
	strayDiscard violation = "strayDiscard"
)

var violations = []violation{
	lostCommit, duplicateCommit, commitAfterRollback, phantom, unexpectedCheck, overturned, unlistedDiscard, strayDiscard,
}

// book is a producer's ledger.
type book struct {
	name   string
	client teller.Client
	events iter.Seq[teller.Event]
}

// record is a stored message, committed or parked.
type record struct {
	key string
	crc uint32
	at  string // where, for people
}

// verdict is what the comparison says.
type verdict struct {
	found  map[violation]int
	told   []string             // some of them, for people
	faults map[teller.Fault]int // transactions that had it
	codes  map[string]int       // of answers to END_TRANSACTION, by what was asked

	transactions, commits, rollbacks, checks, discarded int
}

const maxTold = 10 // of each violation

func (v *verdict) add(kind violation, format string, args ...any) {
	if v.found[kind]++; v.found[kind] <= maxTold {
		v.told = append(v.told, string(kind)+": "+fmt.Sprintf(format, args...))
	}
}

// account is what the ledgers say about a transaction.
type account struct {
	client  teller.Client
	crc     uint32
	outcome teller.Outcome // 0: not decided
	stored  bool           // some half message of it is acknowledged
	halves  []place        // acknowledged ones
	ends    []end          // acknowledged outcomes, the first of each half message
	faults  []teller.Fault
	records int
	parked  int
}

// place is where a half message is, and the line of the ledger that says so.
type place struct {
	offset int64
	line   int
}

// end is an acknowledged outcome: line has its answer, sent is the last line
// before its request.
type end struct {
	offset           int64
	conn, line, sent int
}

// judge compares ledgers with what is committed and what is parked. It is called
// when no transaction is open any more, and has no other input: the same books
// and records give the same verdict.
func judge(books []book, committed, parked []record) *verdict {
	v := &verdict{found: make(map[violation]int), faults: make(map[teller.Fault]int), codes: make(map[string]int)}
	accounts := make(map[string]*account)
	for _, b := range books {
		v.read(b, accounts)
	}
	for _, r := range committed {
		switch a := accounts[r.key]; {
		case a == nil:
			v.add(phantom, "%s holds %q, which nobody began", r.at, r.key)
		case a.outcome == 0:
			v.add(phantom, "%s holds %s, which nobody decided", r.at, r.key)
			a.records++
		case a.crc != r.crc:
			v.add(phantom, "%s holds %s with another body", r.at, r.key)
			a.records++
		default:
			if a.outcome == teller.Rollback {
				v.add(commitAfterRollback, "%s holds %s, which was rolled back", r.at, r.key)
			} else if a.records > 0 {
				v.add(duplicateCommit, "%s holds %s again", r.at, r.key)
			}
			a.records++
		}
	}
	for _, r := range parked {
		a := accounts[r.key]
		if a == nil {
			v.add(phantom, "%s holds %q, which nobody began", r.at, r.key)
			continue
		}
		a.parked++
		switch {
		case a.client != teller.Abandoned:
			v.add(strayDiscard, "%s holds %s, whose producer was there", r.at, r.key)
		case a.parked > 1:
			v.add(strayDiscard, "%s holds %s again", r.at, r.key)
		case a.records > 0:
			v.add(strayDiscard, "%s holds %s, which is committed", r.at, r.key)
		default:
			v.discarded++
		}
	}
	for key, a := range accounts {
		switch a.outcome {
		case teller.Commit:
			v.commits++
		case teller.Rollback:
			v.rollbacks++
		}
		switch {
		case a.outcome == teller.Commit && a.records == 0 && a.parked == 0:
			v.add(lostCommit, "%s", key)
		case a.client == teller.Abandoned && a.stored && a.parked == 0 && a.records == 0:
			v.add(unlistedDiscard, "%s", key)
		}
	}
	return v
}

// read takes a ledger in.
func (v *verdict) read(b book, accounts map[string]*account) {
	lines := 0
	// known has, by connection, a line: what the ledger says up to it happened
	// before anything that the broker sends on the connection from now on. It is
	// the line before the dial, or before the last request that was answered.
	known := make(map[int]int)
	of := func(key string) *account {
		a := accounts[key]
		if a == nil {
			a = &account{client: b.client}
			accounts[key] = a
		}
		return a
	}
	for e := range b.events {
		lines++
		switch e.Kind {
		case teller.Stored, teller.Answered, teller.Forged, teller.Heartbeat:
			known[e.Conn] = max(known[e.Conn], e.Sent)
		}
		switch e.Kind {
		case teller.Dialled:
			known[e.Conn] = lines
		case teller.Begun:
			of(e.Key).crc = e.CRC
			v.transactions++
		case teller.Stored:
			a := of(e.Key)
			a.stored = true
			a.halves = append(a.halves, place{e.Offset, lines})
		case teller.Decided:
			of(e.Key).outcome = e.Outcome
		case teller.Faulted:
			if a := of(e.Key); !slices.Contains(a.faults, e.Fault) {
				a.faults = append(a.faults, e.Fault)
				v.faults[e.Fault]++
			}
		case teller.Answered:
			v.answered(b.name, of(e.Key), e, lines)
		case teller.Forged:
			v.codes["wrong "+wire.ResponseName(e.Code)]++
			if e.Code == wire.Success {
				v.add(overturned, "%s: an end of %s that names it wrongly was accepted (line %d)", b.name, e.Key, lines)
			}
		case teller.Checked:
			v.checks++
			v.checked(b.name, of(e.Key), e, lines, known[e.Conn])
		}
	}
}

// answered takes the answer to an outcome.
func (v *verdict) answered(name string, a *account, e teller.Event, line int) {
	what := "decided "
	if e.Outcome != a.outcome {
		what = "opposite "
	}
	v.codes[what+wire.ResponseName(e.Code)]++
	if e.Code != wire.Success {
		return
	}
	if e.Outcome != a.outcome {
		v.add(overturned, "%s: %s was decided %c, and %c was accepted too (line %d)", name, e.Key, a.outcome, e.Outcome, line)
	}
	for _, was := range a.ends {
		if was.offset == e.Offset {
			return
		}
	}
	a.ends = append(a.ends, end{e.Offset, e.Conn, line, e.Sent})
}

// checked takes a check-back. It is unexpected when an outcome had been
// acknowledged before the broker sent it, and that outcome was this half
// message's too.
//
// The first is sure when the acknowledgement came on the same connection, which
// keeps the order, or is within known. The second is sure when the half message
// is the one that was named, or an older one of the key, or one that was
// acknowledged before the outcome was told: equal keys of undecided half
// messages are one transaction, but what is sent after the outcome is a new one.
func (v *verdict) checked(name string, a *account, e teller.Event, line, known int) {
	for _, was := range a.ends {
		if was.conn != e.Conn && was.line > known {
			continue
		}
		one := e.Offset <= was.offset
		for _, h := range a.halves {
			one = one || h.offset == e.Offset && h.line <= was.sent
		}
		if one {
			v.add(unexpectedCheck, "%s: asked about %s, half %d (line %d), whose end was acknowledged (line %d)", name, e.Key, e.Offset, line, was.line)
			return
		}
	}
}
