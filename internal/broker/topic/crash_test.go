// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package topic

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire/body"
)

var errFault = errors.New("fault")

// changes counts the operations that fn makes on m and that change something.
func changes(m *vfs.Mem, fn func()) (n int) {
	m.Fail(func(op vfs.Op, _ string) error {
		if op.Changes() {
			n++
		}
		return nil
	})
	fn()
	m.Fail(nil)
	return n
}

// base is a table with A, 1 queue, and B.
func base(t *testing.T) (*vfs.Mem, *Table) {
	m := vfs.NewMem()
	tb := open(t, config(m))
	put(t, tb, "B")
	if err := tb.Put(sized("A", 1), ""); err != nil {
		t.Fatal(err)
	}
	return m, tb
}

func sized(name string, queues int32) body.TopicConfig {
	c := body.NewTopicConfig(name)
	c.ReadQueueNums, c.WriteQueueNums = queues, queues
	return c
}

// A cut at any operation of Put leaves the state before or after it, and what was
// answered before is there.
func TestPowerCutAtEachOperationOfPut(t *testing.T) {
	m, tb := base(t)
	total := changes(m, func() { put(t, tb, "C") })
	if total < 5 {
		t.Fatalf("Put is only %d operations", total)
	}
	options := []vfs.CrashOptions{{}, {Data: vfs.KeepAll}, {Names: vfs.KeepAll}, {Data: vfs.KeepAll, Names: vfs.KeepAll}}
	for seed := range uint64(8) {
		options = append(options, vfs.CrashOptions{Data: vfs.KeepSome, Names: vfs.KeepSome, Rand: rand.New(rand.NewPCG(seed, 2))})
	}
	before, after := 0, 0
	for cut := range total {
		for _, o := range options {
			m, tb := base(t)
			var left *vfs.Mem
			n := 0
			m.Fail(func(op vfs.Op, _ string) error {
				if left == nil && op.Changes() {
					if n == cut {
						left = m.Crash(o)
					}
					n++
				}
				return nil
			})
			if err := tb.Put(sized("A", 9), ""); err == nil {
				t.Fatalf("cut %d: Put was answered after the power was gone", cut)
			}
			if c, _ := tb.Get("A"); c.ReadQueueNums != 1 {
				t.Fatalf("cut %d: a change that was not written is seen", cut)
			}
			after9, err := Open(config(left))
			if err != nil {
				t.Fatalf("cut %d, %+v: %v", cut, o, err)
			}
			if _, ok := after9.Get("B"); !ok {
				t.Fatalf("cut %d, %+v: B is lost", cut, o)
			}
			c, ok := after9.Get("A")
			switch {
			case !ok:
				// base wrote A last: without it, the backup of that is read.
				t.Fatalf("cut %d, %+v: A is lost", cut, o)
			case c.ReadQueueNums == 1 && after9.Version().Counter == 2:
				before++
			case c.ReadQueueNums == 9 && after9.Version().Counter == 3:
				after++
			default:
				t.Fatalf("cut %d, %+v: A is %+v, version %+v", cut, o, c, after9.Version())
			}
			put(t, after9, "D") // it goes on
		}
	}
	if before == 0 || after == 0 {
		t.Errorf("%d cuts left the old table, %d the new one: the test does not see both", before, after)
	}
}

func TestAnsweredPutSurvivesAPowerCut(t *testing.T) {
	m, tb := base(t)
	for i := range int32(5) {
		if err := tb.Put(sized("A", 10+i), ""); err != nil {
			t.Fatal(err)
		}
		m = m.Crash(vfs.CrashOptions{})
		tb = open(t, config(m))
		if c, ok := tb.Get("A"); !ok || c.ReadQueueNums != 10+i {
			t.Fatalf("after %d: %+v", i, c)
		}
	}
}

// A fault at any operation is returned, changes nothing, and the next Put works.
func TestWriteErrorLeavesTheTable(t *testing.T) {
	for failing := 0; ; failing++ {
		m, tb := base(t)
		told := false
		tb.cfg.OnChange = func([]string) { told = true }
		n, hit := 0, false
		m.Fail(func(op vfs.Op, name string) error {
			if !op.Changes() {
				return nil
			}
			n++
			if hit = n == failing+1; hit {
				m.Fail(nil)
				return fmt.Errorf("%s %s: %w", op, name, errFault)
			}
			return nil
		})
		version := tb.Version()
		err := tb.Put(sized("A", 9), "")
		if err == nil && !hit {
			if failing < 5 {
				t.Fatalf("Put is only %d operations", failing)
			}
			return
		}
		c, _ := tb.Get("A")
		switch {
		case err == nil: // an operation whose failure does not matter
			if c.ReadQueueNums != 9 || !told {
				t.Fatalf("fault %d: answered, but A is %+v", failing, c)
			}
		case !errors.Is(err, errFault) || c.ReadQueueNums != 1 || tb.Version() != version || told:
			t.Fatalf("fault %d: %v, A is %+v, version %+v, told %v", failing, err, c, tb.Version(), told)
		}
		if err := tb.Put(sized("A", 11), ""); err != nil {
			t.Fatalf("after fault %d: %v", failing, err)
		}
		left := open(t, config(m.Crash(vfs.CrashOptions{})))
		if c, ok := left.Get("A"); !ok || c.ReadQueueNums != 11 {
			t.Fatalf("after fault %d and a cut: %+v", failing, c)
		}
	}
}

func TestFullDisk(t *testing.T) {
	m, tb := base(t)
	u, err := m.Usage("/")
	if err != nil {
		t.Fatal(err)
	}
	m.SetCapacity(u.Used + 1)
	if err := tb.Put(sized("C", 1), ""); err == nil {
		t.Fatal("Put on a full disk was answered")
	}
	if _, _, err := tb.AutoCreate("C", "TBW102", 1, 0); err == nil {
		t.Fatal("AutoCreate on a full disk was answered")
	}
	if _, ok := tb.Get("C"); ok {
		t.Error("C is there")
	}
	m.SetCapacity(0)
	put(t, tb, "C")
}
