// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package teller

import (
	"os"
	"sync"
	"syscall"
)

// Doom makes the fault Died: it collects the transactions of a run that are
// decided, and of whose outcome nobody was told, and ends the process with all of
// them as kill -9 does. That is when nothing of the run is under way any more, or
// when the broker asks about one of them. Each that dies so is noted in the
// ledger, and no other. Safe for concurrent use.
type Doom struct {
	plan   Plan
	ledger *Ledger
	first  int // number of this life's first transaction
	kill   func()

	mu      sync.Mutex      // held for good by the one who kills
	decided map[string]bool // by key: decided, and nobody is told
	told    map[string]bool // the broker asked before that
	settled map[string]bool // of the run: nothing is under way
	members int             // of the run that began in this life; 0 until its last one did
}

// NewDoom makes the one of a process, before Run.
func NewDoom(p Plan, l *Ledger) *Doom {
	return &Doom{
		plan: p, ledger: l, first: l.Begun(), kill: suicide,
		decided: make(map[string]bool), told: make(map[string]bool), settled: make(map[string]bool),
	}
}

func suicide() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // until the signal takes effect
}

// Begin says that a transaction of a run begins, before anything of it is sent.
func (d *Doom) Begin(t Transaction) {
	if !t.Last {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.members = min(d.plan.Doomed, t.Number-d.first+1)
}

// Decided says that a transaction of a run is decided. It may not return. Where it
// gives true, its outcome must not be told in this life; else the broker asked
// about it earlier, and it does not count.
func (d *Doom) Decided(t Transaction) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.told[t.Key] {
		d.decided[t.Key] = true
	}
	d.settle(t)
	return d.decided[t.Key]
}

// Missed says that nothing more will be done for a transaction of a run. It may
// not return.
func (d *Doom) Missed(t Transaction) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.settle(t)
}

func (d *Doom) settle(t Transaction) {
	d.settled[t.Key] = true
	if d.members > 0 && len(d.settled) >= d.members {
		d.die()
	}
}

// Asked says that the broker asks about any transaction, before it is answered.
// It does not return when that one is waiting for the end of the process.
func (d *Doom) Asked(t Transaction) {
	if t.Fault != Died {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.decided[t.Key] {
		d.die()
	}
	d.told[t.Key] = true
}

// die ends the process. The lock keeps the others from telling anything until it
// has.
func (d *Doom) die() {
	for key := range d.decided {
		d.ledger.Note(Event{Kind: Faulted, Key: key, Fault: Died})
	}
	d.kill()
}
