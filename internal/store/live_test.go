// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"math"
	"testing"

	"github.com/twostage/twostage/internal/store/retention"
)

// Another policy counts from the next round on, also for whether the disk is full.
func TestSetRetention(t *testing.T) {
	c := newScene(t)
	defer c.close()
	c.send(20)
	p := *c.cfg.Retention
	p.MaxUsed, p.CleanForcibly, p.Warning, p.Forcibly = 10, 20, 30, false
	if err := c.s.SetRetention(p); err != nil {
		t.Fatal(err)
	}
	c.used.Store(math.Float64bits(0.25))
	if c.retain(false); !errors.Is(c.s.DiskFull(), ErrDiskFull) {
		t.Error("the disk does not count as full by the new policy")
	}
	p.CleanForcibly, p.Warning = 50, 60
	if err := c.s.SetRetention(p); err != nil {
		t.Fatal(err)
	}
	if c.retain(false); c.s.DiskFull() != nil {
		t.Errorf("it still does: %v", c.s.DiskFull())
	}
	p.Warning = 101
	if err := c.s.SetRetention(p); err == nil {
		t.Error("a policy that can't be is taken")
	}
	none := newScene(t, func(cfg *Config) { cfg.Retention = nil })
	defer none.close()
	if err := none.s.SetRetention(retention.Policy{MaxUsed: 1, CleanForcibly: 2, Warning: 3, Batch: 1}); err == nil {
		t.Error("a store without retention gets a policy")
	}
}

// Another limit counts for the next record.
func TestSetMaxMessageSize(t *testing.T) {
	c := newScene(t)
	defer c.close()
	size := func(n int) error { return c.s.checkSize(n, n+100) }
	if size(1000) != nil || !errors.Is(size(1001), ErrTooLarge) {
		t.Errorf("%v, %v", size(1000), size(1001))
	}
	if err := c.s.SetMaxMessageSize(2000); err != nil {
		t.Fatal(err)
	}
	if size(2000) != nil || !errors.Is(size(2001), ErrTooLarge) {
		t.Errorf("%v, %v", size(2000), size(2001))
	}
	for _, n := range []int{0, -1, math.MaxInt32} {
		if err := c.s.SetMaxMessageSize(n); err == nil {
			t.Errorf("a limit of %d is taken", n)
		}
	}
}
