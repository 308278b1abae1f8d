// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

// Many appenders, some of which wait for room when the space ends: all are told,
// none waits for ever, and what each has stored is there in its order.
func TestManyAppendersWithoutSpace(t *testing.T) {
	for _, syncFlush := range []bool{false, true} {
		t.Run(fmt.Sprintf("sync=%v", syncFlush), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := vfs.NewMem()
				cfg := spaceConfig(m)
				cfg.SyncFlush, cfg.MaxBacklog, cfg.IndexEntries = syncFlush, 5000, 300
				cfg.ViewFlushInterval = 3 * time.Second
				var seen arrivals
				cfg.OnArrive = seen.arrive
				s := open(t, cfg)
				var full atomic.Bool
				m.Fail(func(op vfs.Op, name string) error {
					if full.Load() && op == vfs.OpWrite && !strings.Contains(name, "/commitlog/") {
						return syscall.ENOSPC
					}
					return nil
				})
				const writers, batches, each = 6, 150, 20
				var refused atomic.Int64
				var wg, others sync.WaitGroup
				for w := range writers {
					wg.Go(func() {
						q := s.Queue("T", int32(w))
						var b Batch
						for i := range batches {
							b.Reset()
							for _, name := range numbered(fmt.Sprintf("w%d.%d.", w, i), each) {
								if err := b.Add(q, rec(name, 20)); err != nil {
									t.Error(err)
								}
							}
							for {
								err := s.Append(&b)
								if err == nil {
									break
								}
								if !errors.Is(err, ErrNoSpace) || b.Written() != 0 {
									t.Errorf("%v, %d written", err, b.Written())
									return
								}
								refused.Add(1)
								time.Sleep(300 * time.Millisecond)
							}
							if err := s.WaitDispatched(s.MaxPhysical()); err != nil && !errors.Is(err, ErrNoSpace) {
								t.Error(err)
							}
							time.Sleep(50 * time.Millisecond)
						}
					})
				}
				stop := make(chan struct{})
				others.Go(func() {
					for tick := time.Tick(1700 * time.Millisecond); ; {
						select {
						case <-stop:
							full.Store(false)
							return
						case <-tick:
							full.Store(!full.Load())
						}
					}
				})
				wg.Wait()
				close(stop)
				others.Wait()
				time.Sleep(2 * spaceInterval)
				dispatched(t, s)
				if refused.Load() < 20 {
					t.Errorf("only %d appends were refused", refused.Load())
				}
				for w := range writers {
					var want []string
					for i := range batches {
						want = append(want, numbered(fmt.Sprintf("w%d.%d.", w, i), each)...)
					}
					q := s.Queue("T", int32(w))
					if got := names(t, s, q, 0); !slices.Equal(got, want) {
						t.Fatalf("queue %d holds %d records, want %d", w, len(got), len(want))
					}
					seen.check(t, q)
				}
				closeStore(t, s)
			})
		})
	}
}

// What is vital is taken while views wait for space, as long as there is room for
// its entries.
func TestVitalWithoutSpace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := vfs.NewMem()
		cfg := spaceConfig(m)
		cfg.MaxBacklog = 400_000
		var seen arrivals
		cfg.OnArrive = seen.arrive
		s := open(t, cfg)
		q := s.Queue("T", 0)
		stored := []string{"first"}
		put(t, s, q, stored...)
		fill(t, m)
		stored = append(stored, putUntilFull(t, s, q, "m")...)
		b := Batch{Vital: true}
		taken := 0
		for ; ; taken++ {
			b.Reset()
			name := fmt.Sprintf("vital%d", taken)
			if err := b.Add(q, rec(name, 20)); err != nil {
				t.Fatal(err)
			}
			if err := s.Append(&b); err != nil {
				wantNoSpace(t, err)
				break
			}
			stored = append(stored, name)
		}
		if backlog := s.Stats().Backlog; taken < 100 || backlog < cfg.MaxBacklog || backlog > cfg.MaxBacklog+1000 {
			t.Fatalf("%d were taken, with a backlog of %d", taken, backlog)
		}
		stuckStore(t, s, q, true)
		m.SetCapacity(0)
		time.Sleep(spaceInterval + time.Millisecond)
		dispatched(t, s)
		wantAll(t, s, "T", stored)
		seen.check(t, q)
		closeStore(t, s)
	})
}

// What a start after a crash was told is told again until it has been dealt with.
func TestReplayDone(t *testing.T) {
	m := vfs.NewMem()
	cfg := memConfig(m)
	s := open(t, cfg)
	put(t, s, s.Queue("T", 0), "a", "b", "c")
	m = m.Kill()
	_ = s.Close()
	told := 0
	cfg.FS, cfg.OnReplay = m, func(*message.Record) { told++ }
	for i, want := range []int{3, 3, 3, 1} {
		told = 0
		s = open(t, cfg)
		if clean := s.Stats().Recovery.Clean; told != want || clean != (want == 1) {
			t.Fatalf("start %d: %d records, want %d; clean: %v", i, told, want, clean)
		}
		if i == 2 {
			s.ReplayDone()
		}
		closeStore(t, s)
	}
}

// A full disk is for the log what it is for the rest, but for records that fit into
// the file that there is; once there is space nobody needs to send to find out.
func TestLogWithoutSpace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := vfs.NewMem()
		cfg := spaceConfig(m)
		cfg.CommitLogFileSize = 64 << 10
		s := open(t, cfg)
		q := s.Queue("T", 0)
		put(t, s, q, "first")
		fill(t, m)
		var b Batch
		stored := []string{"first"}
		var err error
		for i := 0; err == nil; i++ {
			b.Reset()
			name := fmt.Sprintf("m%d", i)
			if err := b.Add(q, rec(name, 5000)); err != nil {
				t.Fatal(err)
			}
			if err = s.Append(&b); err == nil {
				stored = append(stored, name)
			}
		}
		for range 3 {
			wantNoSpace(t, err)
			wantNoSpace(t, s.NoSpace())
			time.Sleep(700 * time.Millisecond)
			err = s.Append(&b)
		}
		put(t, s, q, "small") // fits
		wantNoSpace(t, s.NoSpace())
		dispatched(t, s)
		m.SetCapacity(0)
		time.Sleep(spaceInterval + time.Millisecond)
		if err := s.NoSpace(); err != nil {
			t.Fatalf("with space: %v", err)
		}
		if err := s.Append(&b); err != nil {
			t.Fatal(err)
		}
		dispatched(t, s)
		name, _ := nameOf(t, b.Encoded(0))
		if got := names(t, s, q, 0); !slices.Equal(got, append(stored, "small", name)) {
			t.Fatalf("got %v", got)
		}
	})
}
