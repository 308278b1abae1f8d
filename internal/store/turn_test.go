// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/vfs"
)

// TestTurn holds that one goroutine at a time has the turn, that nobody is
// forgotten, and that those who have a limit give up at it, not before.
func TestTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tu turn
		var inside, got, refused atomic.Int32
		var all sync.WaitGroup
		for i := range 40 {
			r := rand.New(rand.NewPCG(1, uint64(i)))
			all.Go(func() {
				for range 50 {
					limit := time.Duration(r.IntN(3)) * 20 * time.Millisecond
					began := time.Now()
					if !tu.lock(limit) {
						if waited := time.Since(began); limit == 0 || waited != limit {
							t.Errorf("gave up after %v, limit %v", waited, limit)
						}
						refused.Add(1)
						continue
					}
					if waited := time.Since(began); limit > 0 && waited > limit {
						t.Errorf("waited %v, limit %v", waited, limit)
					}
					if n := inside.Add(1); n != 1 {
						t.Errorf("%d have the turn", n)
					}
					time.Sleep(time.Duration(r.IntN(5)) * time.Millisecond / 4)
					inside.Add(-1)
					tu.unlock()
					got.Add(1)
				}
			})
		}
		all.Wait()
		if got.Load() < 500 || refused.Load() == 0 || tu.held.Load() || tu.waiting.Load() != 0 || tu.first != nil || tu.last != nil || tu.awake.Load() {
			t.Errorf("%d got the turn, %d gave up; left: %v %d %v", got.Load(), refused.Load(), tu.held.Load(), tu.waiting.Load(), tu.first)
		}
	})
}

// TestTurnContended is TestTurn on real cores.
func TestTurnContended(t *testing.T) {
	var tu turn
	n := 0
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 20_000 {
				if !tu.lock(time.Duration(i%2) * time.Minute) {
					t.Error("gave up after a minute")
					return
				}
				n++
				tu.unlock()
			}
		})
	}
	all.Wait()
	if n != 8*20_000 {
		t.Errorf("%d", n)
	}
}

// TestAppendBusy holds that a batch with a limit is refused while another one is
// stuck in the disk, with that as the cause, and that nothing of it is stored.
func TestAppendBusy(t *testing.T) {
	m := vfs.NewMem()
	s := openMem(t, m)
	defer s.Close()
	q := s.Queue("Busy", 0)
	first, second := new(Batch), new(Batch)
	for name, b := range map[string]*Batch{"first": first, "second": second} {
		if err := b.Add(q, rec(name, 100)); err != nil {
			t.Fatal(err)
		}
	}
	stuck, free := make(chan struct{}), make(chan struct{})
	var once sync.Once
	m.Fail(func(op vfs.Op, name string) error {
		if op == vfs.OpWrite && strings.Contains(name, "commitlog") {
			once.Do(func() { close(stuck); <-free })
		}
		return nil
	})
	done := make(chan error)
	go func() { done <- s.Append(first) }()
	<-stuck
	second.Wait = 20 * time.Millisecond
	err := s.Append(second)
	if !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), "waited 20ms for the commit log, to which another send has been writing") || second.Written() != 0 {
		t.Errorf("%v, written %d", err, second.Written())
	}
	close(free)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := s.Append(second); err != nil || second.Result(0).QueueOffset != 1 {
		t.Errorf("%v, queue offset %d", err, second.Result(0).QueueOffset)
	}
}

// TestAppendWaitsOnce holds that Batch.Wait bounds all of the waiting together:
// that for the views, and then that for the log.
func TestAppendWaitsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openMem(t, vfs.NewMem())
		defer s.Close()
		b := &Batch{Wait: 5 * time.Second}
		if err := b.Add(s.Queue("T", 0), rec("name", 100)); err != nil {
			t.Fatal(err)
		}
		behind := s.cfg.MaxBacklog + 1
		backlog := func(bytes int) {
			s.dispatch.mu.Lock()
			s.dispatch.backlog += bytes
			s.dispatch.cond.Broadcast()
			s.dispatch.mu.Unlock()
		}
		s.mu.lock(0)
		backlog(behind)
		time.AfterFunc(3*time.Second, func() { backlog(-behind) })
		began := time.Now()
		err := s.Append(b)
		if waited := time.Since(began); !errors.Is(err, ErrBusy) || waited != b.Wait {
			t.Errorf("%v after %v, at most %v is to be waited", err, waited, b.Wait)
		}
		s.mu.unlock()
		if err := s.Append(b); err != nil {
			t.Error(err)
		}
	})
}
