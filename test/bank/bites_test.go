// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package bank

import (
	"sync"
	"testing"
	"time"

	"github.com/twostage/twostage/test/rig"
)

// TestCheckerBites holds that the bank finds each way to break a rule. The
// broker's binary breaks the one that BROKENTXN names.
func TestCheckerBites(t *testing.T) {
	t.Parallel()
	bin, err := brokenBinary()
	if err != nil {
		t.Fatal(err)
	}
	first := firstSeed(t)
	cases := []bite{
		{"double-commit", []violation{duplicateCommit}},
		{"commit-after-rollback", []violation{commitAfterRollback}},
		{"early-answer", []violation{lostCommit, unexpectedCheck}},
		{"check-after-outcome", []violation{unexpectedCheck}},
		{"lose-half", []violation{lostCommit}},
		{"split-chain", []violation{duplicateCommit}},
		{"lost-op", []violation{duplicateCommit, unexpectedCheck}},
		{"phantom", []violation{phantom, commitAfterRollback}},
	}
	// Two at a time, whatever -parallel says: each mostly waits.
	next := make(chan bite, len(cases))
	for _, c := range cases {
		next <- c
	}
	close(next)
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			for c := range next {
				t.Run(c.name, func(t *testing.T) { c.run(t, bin, first) })
			}
		})
	}
	all.Wait()
}

// bite is a way to break a rule, and what that leads to.
type bite struct {
	name string
	want []violation // any of them
}

// run has a bank find it.
func (c bite) run(t *testing.T, bin string, seed uint64) {
	w := newWorld(t, options{
		bin: bin, env: []string{"BROKENTXN=" + c.name}, keys: []string{"flushDiskType=ASYNC_FLUSH"},
		seed: seed, kills: 1, duration: 3 * time.Second, transactions: 500, abandoned: 20, checks: 10, raw: 2, rate: 200,
	})
	if err := w.run(); err != nil {
		t.Fatal(err)
	}
	if err := w.finish(); err != nil {
		t.Fatal(err)
	}
	// A commit is lost when nothing is open; the abandoned ones stay so for longer
	// than this test. A broker that is broken may never get there.
	drained := w.drainWithin(rig.Patience/3, topic)
	v, err := w.judge()
	if err != nil {
		t.Fatal(err)
	}
	bitten := false
	for _, kind := range c.want {
		if v.found[kind] > 0 && (kind != lostCommit || drained == nil) {
			bitten = true
		}
	}
	v.print(t)
	if !bitten {
		t.Errorf("seed %d: none of %v was found (%v)", seed, c.want, drained)
	}
}
