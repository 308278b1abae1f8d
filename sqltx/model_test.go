// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package sqltx

import (
	"fmt"
	"maps"
	"slices"
	"testing"
)

// The model is the protocol of docs/sqltx.md with one transaction, two checks at a
// time, a cleaner and a broker, explored in full. It has no clock: a check may
// refuse, and the cleaner may raise the horizon, at any moment, which is what the
// worst clocks could bring about. A process may die or stand still at any step, and
// any answer may be lost. A Run whose commit has no answer does what a check does
// then, and is one of the two.

// holder says whose row stands under the transaction's key.
type holder uint8

const (
	free holder = iota
	markerOpen
	markerCommitted
	refusalOpen0 // of check 0; that of check 1 is the next
	refusalOpen1
	refusalCommitted
)

// runner is where the Run is.
type runner uint8

const (
	working  runner = iota // the function runs
	inserted               // the marker is written
	sound                  // and the horizon looked at
	asking                 // the database is told to commit
	wasTold                // it has answered that it is committed
	gaveUp                 // rolled back, knowingly
	gone                   // dead before it asked
	unsure                 // dead, or without an answer, after it asked
)

// checker is where a check is.
type checker uint8

const (
	idle0      checker = iota
	foundNone          // no row is committed
	wrote              // the refusal is written
	wroteSound         // and the horizon looked at
	refusing           // the refusal is committed
)

type modelState struct {
	run       runner
	open      bool // the transaction of the Run
	committed bool // its work
	row       holder
	checks    [2]checker
	raised    bool // the horizon is above the transaction
	broker    string
}

// rules can be broken one by one.
type rules struct {
	noUniqueKey, answersBeforeCommit, absentIsRollback      bool
	runIgnoresHorizon, checkIgnoresHorizon, deletesAtOnce   bool
	endsBeforeCommit, unsureIsRollback, looksAtHorizonFirst bool
}

func (s modelState) tell(outcome string) modelState {
	if s.broker == "undecided" { // the first counts
		s.broker = outcome
	}
	return s
}

// next gives what can happen.
func (r rules) next(s modelState) (all []modelState) {
	add := func(change func(s *modelState)) {
		n := s
		change(&n)
		all = append(all, n)
	}
	rollback := func(s *modelState) {
		s.open = false
		if s.row == markerOpen {
			s.row = free
		}
	}
	commit := func(s *modelState) {
		s.open, s.committed = false, true
		if s.row == markerOpen {
			s.row = markerCommitted
		}
	}
	free2 := s.row == free || r.noUniqueKey

	// The Run. A step may be its last: then the database rolls back, now or later.
	switch {
	case s.run < asking:
		add(func(s *modelState) { s.run = gone })
	case s.run == asking:
		add(func(s *modelState) { s.run = unsure })
	}
	switch s.run {
	case working:
		if r.endsBeforeCommit {
			all = append(all, s.tell("commit"))
		}
		switch {
		case free2:
			add(func(s *modelState) { s.run, s.row = inserted, markerOpen })
		case s.row == refusalCommitted:
			add(func(s *modelState) { rollback(s); s.run = gaveUp })
		} // else it waits
		add(func(s *modelState) { rollback(s); s.run = gaveUp }) // fn fails
	case inserted:
		if s.raised && !r.runIgnoresHorizon {
			add(func(s *modelState) { rollback(s); s.run = gaveUp })
		} else {
			add(func(s *modelState) { s.run = sound })
		}
	case sound:
		add(func(s *modelState) { s.run = asking })
	case asking:
		if s.open {
			add(func(s *modelState) { commit(s); s.run = wasTold })
			add(func(s *modelState) { rollback(s); s.run = gaveUp })
		}
	case wasTold:
		all = append(all, s.tell("commit"))
	case gaveUp:
		all = append(all, s.tell("rollback"))
	case gone:
		if s.open {
			add(rollback)
		}
	case unsure:
		if s.open {
			add(rollback)
			add(commit)
		}
		if s.committed && s.row == markerCommitted {
			all = append(all, s.tell("commit")) // it looks for its marker
		}
		if r.unsureIsRollback {
			all = append(all, s.tell("rollback"))
		}
	}

	for i := range s.checks {
		mine := refusalOpen0 + holder(i)
		set := func(to checker) func(*modelState) { return func(s *modelState) { s.checks[i] = to } }
		give := func(s *modelState) { // dies, or its time is over
			s.checks[i] = idle0
			if s.row == mine {
				s.row = free
			}
		}
		if s.checks[i] != idle0 {
			add(give)
		}
		switch s.checks[i] {
		case idle0:
			switch s.row {
			case markerCommitted:
				all = append(all, s.tell("commit"))
			case refusalCommitted:
				all = append(all, s.tell("rollback"))
			default:
				add(set(foundNone))
			}
		case foundNone:
			if r.absentIsRollback {
				all = append(all, s.tell("rollback"))
			}
			if r.looksAtHorizonFirst && !s.raised {
				add(set(wroteSound)) // and inserts in the next step
			}
			if free2 {
				add(func(s *modelState) { s.checks[i], s.row = wrote, mine })
			}
		case wrote:
			if r.answersBeforeCommit {
				all = append(all, s.tell("rollback"))
			}
			if !s.raised || r.checkIgnoresHorizon {
				add(set(wroteSound))
			}
		case wroteSound:
			if s.row == mine || r.noUniqueKey || r.looksAtHorizonFirst && free2 {
				add(func(s *modelState) {
					s.checks[i] = refusing
					if s.row == mine || s.row == free {
						s.row = refusalCommitted
					}
				})
			}
		case refusing:
			all = append(all, s.tell("rollback"))
		}
	}

	// The cleaner.
	if !s.raised {
		add(func(s *modelState) { s.raised = true })
	}
	if (s.raised || r.deletesAtOnce) && (s.row == markerCommitted || s.row == refusalCommitted) {
		add(func(s *modelState) { s.row = free })
	}
	return all
}

// explore walks through all states and returns the first one that is wrong, and
// how many there are. A state is wrong if topic and database disagree, or if no
// more checks could decide although nothing was forgotten.
func (r rules) explore() (wrong string, states int) {
	first := modelState{open: true, broker: "undecided"}
	before := map[modelState][]modelState{first: nil}
	queue := []modelState{first}
	for len(queue) > 0 {
		s := queue[0]
		queue = queue[1:]
		if s.broker == "commit" && !s.committed || s.broker == "rollback" && s.committed {
			return fmt.Sprintf("disagree: %+v", s), len(before)
		}
		for _, n := range r.next(s) {
			if _, known := before[n]; !known {
				queue = append(queue, n)
			}
			before[n] = append(before[n], s)
		}
	}
	ends := map[modelState]bool{} // from here an end can be reached
	for s := range maps.Keys(before) {
		if s.broker != "undecided" || s.raised {
			queue = append(queue, s)
		}
	}
	for len(queue) > 0 {
		s := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		if !ends[s] {
			ends[s] = true
			queue = append(queue, before[s]...)
		}
	}
	for s := range maps.Keys(before) {
		if !ends[s] {
			return fmt.Sprintf("stuck: %+v", s), len(before)
		}
	}
	return "", len(before)
}

func TestModel(t *testing.T) {
	wrong, states := rules{}.explore()
	if wrong != "" || states < 300 {
		t.Errorf("%d states; %s", states, wrong)
	}
	t.Logf("%d states", states)
}

// Each rule is there for a reason: without it the model finds a disagreement.
func TestModelBites(t *testing.T) {
	broken := map[string]rules{
		"two rows under one key":                            {noUniqueKey: true},
		"Rollback before the refusal is committed":          {answersBeforeCommit: true},
		"Rollback because there is no row":                  {absentIsRollback: true},
		"a Run that commits below the horizon":              {runIgnoresHorizon: true},
		"a check that refuses below the horizon":            {checkIgnoresHorizon: true},
		"a check that looks at the horizon and then writes": {looksAtHorizonFirst: true},
		"deletions before the horizon is raised":            {deletesAtOnce: true},
		"Commit before the database":                        {endsBeforeCommit: true},
		"Rollback because a commit was not answered":        {unsureIsRollback: true},
	}
	for _, name := range slices.Sorted(maps.Keys(broken)) {
		if wrong, _ := broken[name].explore(); wrong == "" {
			t.Errorf("%s: not found", name)
		}
	}
}
