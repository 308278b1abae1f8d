// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"

	"github.com/twostage/twostage/test/bank/teller"
)

func main() {
	work, err := teller.Flags(os.Args[1:])
	if err == nil {
		err = run(work)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "producer: %v\n", err)
		os.Exit(1)
	}
}

func run(work teller.Work) error {
	l, err := teller.Open(work.Ledger)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	p := &producer{Work: work, ledger: l, doom: teller.NewDoom(work.Plan, l), unsure: make(map[string]int)}
	p.link = newLink(work, l, p.asked)
	p.link.start(ctx)
	err = work.Run(l, os.Stdin, p.play)
	cancel()
	p.link.wait()
	p.checks.Wait()
	if closed := l.Close(); err == nil {
		err = closed
	}
	return err
}

// producer plays the transactions and answers check-backs.
type producer struct {
	teller.Work
	ledger *teller.Ledger
	doom   *teller.Doom
	link   *link
	checks sync.WaitGroup // that are being answered

	mu     sync.Mutex
	unsure map[string]int // how often Unsure is still to be said, by key
}

// die ends the process when something is wrong with itself, or the broker does
// not answer: the bank fails then.
func die(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "producer: "+format+"\n", args...)
	os.Exit(1)
}

// decide is Ledger.Decide for a process that cannot go on without its ledger.
func (p *producer) decide(key string, want teller.Outcome) teller.Outcome {
	o, err := p.ledger.Decide(key, want)
	if err != nil {
		die("the ledger: %v", err)
	}
	return o
}

// dice are those of a transaction's order of events, apart from its plan: which
// connection it uses.
func (p *producer) dice(t teller.Transaction) *rand.Rand {
	return rand.New(rand.NewPCG(p.Seed+1, uint64(p.Producer)<<40|uint64(t.Number)))
}
