// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package sqltx

import (
	"context"
	"database/sql"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/twostage/twostage/sqltx"
	"github.com/twostage/twostage/test/rig"
)

// consume gets the message at two consumers at a time, and again until each is
// done with it, and tells how often the work was begun.
func (c *cell) consume(t *testing.T) int {
	t.Helper()
	var begun atomic.Int32
	var consumers sync.WaitGroup
	ctx, m := rig.Context(t), c.received()
	for range 2 {
		consumers.Go(func() {
			for { // it is given again after an error
				err := sqltx.Once(ctx, c.d, m, func(ctx context.Context, tx *sql.Tx) error {
					begun.Add(1)
					return buy(ctx, tx, c.Prefix, c.Order)
				})
				if err == nil {
					return
				}
				if ctx.Err() != nil {
					t.Errorf("consuming: %v", err)
					return
				}
			}
		})
	}
	consumers.Wait()
	return int(begun.Load())
}

// worked: what the message is for was done once.
func (c *cell) worked(t *testing.T) {
	t.Helper()
	orders, paid, err := c.orders(rig.Context(t))
	if err != nil || !slices.Equal(orders, []string{c.Order}) || paid != price {
		t.Errorf("orders %q, paid %d, %v", orders, paid, err)
	}
}

// A consumer that dies at any point of Once, also after its commit and before the
// message counts as consumed, leaves all of the work or nothing.
func consumerKilled(t *testing.T, c *cell) {
	dies(t, c.plan)
	begun := c.consume(t)
	if (begun == 0) != (c.At == commitAfter) {
		t.Errorf("the work was begun %d times", begun)
	}
	c.worked(t)
}

// Consumers of other processes wait for one that is at work, or are faster.
func consumedTwiceAtATime(t *testing.T, c *cell) {
	child := waits(t, c.plan)
	others := make(chan int)
	go func() { others <- c.consume(t) }()
	var begun int
	if c.At == markerBefore { // it has recorded nothing
		begun = <-others
		finishes(t, child, committed)
	} else {
		finishes(t, child, committed)
		begun = <-others
	}
	if (begun != 0) != (c.At == markerBefore) {
		t.Errorf("others began the work %d times", begun)
	}
	c.worked(t)
}
