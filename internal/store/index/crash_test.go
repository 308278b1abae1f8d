// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package index_test

import (
	"errors"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"

	"github.com/twostage/twostage/internal/store/index"
	"github.com/twostage/twostage/internal/vfs"
)

var crashModes = map[string]func(*vfs.Mem, *rand.Rand) *vfs.Mem{
	"killed":      func(m *vfs.Mem, _ *rand.Rand) *vfs.Mem { return m.Kill() },
	"synced only": func(m *vfs.Mem, _ *rand.Rand) *vfs.Mem { return m.Crash(vfs.CrashOptions{}) },
	"torn": func(m *vfs.Mem, rng *rand.Rand) *vfs.Mem {
		return m.Crash(vfs.CrashOptions{Data: vfs.KeepSome, Names: vfs.KeepSome, Rand: rng})
	},
}

// stopAt makes m stop at one of the operations that change something.
func stopAt(m *vfs.Mem, stop int, crash func(*vfs.Mem, *rand.Rand) *vfs.Mem, rng *rand.Rand) (left func() *vfs.Mem) {
	var after *vfs.Mem
	ops := 0
	m.Fail(func(op vfs.Op, _ string) error {
		if op.Changes() && after == nil {
			if ops++; ops > stop {
				after = crash(m, rng)
			}
		}
		if after != nil {
			return vfs.ErrCrashed
		}
		return nil
	})
	return func() *vfs.Mem { return after }
}

// A stop at every operation: after putting the records from ResumeFrom on again,
// queries find what was put before and nothing else.
func TestCrashAtEveryOperation(t *testing.T) {
	for name, crash := range crashModes {
		t.Run(name, func(t *testing.T) {
			crashes := 0
			for seed := range uint64(4) {
				for stop := 0; ; stop++ {
					rng := rand.New(rand.NewPCG(seed, uint64(stop)))
					records := someRecords(rand.New(rand.NewPCG(seed, 5)), 90)
					o := options(newMem(t))
					if seed%2 == 0 {
						o.Slots, o.Entries = 2000, 70 // several pages
					}
					left := stopAt(o.FS.(*vfs.Mem), stop, crash, rng)
					trusted, n, err := int64(0), 0, error(nil)
					var x *index.Index
					if x, err = index.Open(o); err == nil {
						for ; n < len(records) && err == nil; n++ {
							if err = put(x, records[n]); err == nil && n%11 == 5 {
								if safe, flushErr := x.Flush(); flushErr == nil {
									trusted = safe
								} else {
									err = flushErr
								}
							}
						}
					}
					if err == nil {
						err = x.Close()
					}
					if left() == nil {
						must(t, err)
						break
					}
					crashes++
					o.FS, o.Trusted = left(), trusted
					x = open(t, o)
					again(t, x, records[:n])
					must(t, x.Close())
					o.Trusted = index.TrustAll
					x = open(t, o)
					answers(t, x, records[:n])
					must(t, x.Close())
				}
			}
			if crashes < 100 {
				t.Errorf("only %d crashes", crashes)
			}
		})
	}
}

func again(t *testing.T, x *index.Index, records []record) {
	t.Helper()
	from := x.ResumeFrom()
	for _, r := range records {
		if r.offset >= from {
			must(t, put(x, r))
		}
	}
	answers(t, x, records)
}

// Stop after stop, in recoveries too, and a log that loses its end.
func TestCrashAgain(t *testing.T) {
	for seed := range uint64(150) {
		rng := rand.New(rand.NewPCG(seed, 9))
		records := someRecords(rng, 120)
		o := options(newMem(t))
		o.Trusted = 0
		have := 0 // records in the log
		for range 5 {
			left := stopAt(o.FS.(*vfs.Mem), rng.IntN(70), crashModes["torn"], rng)
			x, err := index.Open(o)
			if err == nil {
				err = x.TruncatePhysical(records[have].offset)
			}
			if err == nil {
				from := x.ResumeFrom()
				for i := 0; i < len(records)-1 && err == nil; i++ {
					if records[i].offset < from {
						continue
					}
					have = max(have, i+1)
					if err = put(x, records[i]); err == nil && rng.IntN(12) == 0 {
						if safe, flushErr := x.Flush(); flushErr == nil {
							o.Trusted = safe
						} else {
							err = flushErr
						}
					}
				}
			}
			after := left()
			if after == nil {
				must(t, err)
				after = o.FS.(*vfs.Mem).Kill()
			}
			o.FS = after
			for rng.IntN(2) == 0 && have > 0 && records[have-1].time > o.Trusted {
				have-- // not durable in the log, and other records come instead
				fresh := someRecords(rng, 1)[0]
				records[have].uniq, records[have].keys, records[have].topic = fresh.uniq+"x", fresh.keys, fresh.topic
			}
		}
		x := open(t, o)
		must(t, x.TruncatePhysical(records[have].offset))
		again(t, x, records[:have])
		must(t, x.Close())
	}
}

// Every operation fails once, for a reason that passes. What failed is done
// again, and nothing is lost or doubled.
func TestEveryOperationFailsOnce(t *testing.T) {
	records := someRecords(rand.New(rand.NewPCG(2, 5)), 70)
	failed := 0
	for stop := 0; ; stop++ {
		m := newMem(t)
		x := open(t, options(m))
		ops, hit := 0, false
		m.Fail(func(op vfs.Op, _ string) error {
			if op == vfs.OpSync {
				return nil // see TestFailedSyncIsFinal
			}
			if ops++; ops == stop+1 {
				hit = true
				if op == vfs.OpWrite {
					return &vfs.ShortWrite{N: 33, Err: syscall.EIO}
				}
				return syscall.EIO
			}
			return nil
		})
		retry := func(fn func() error) {
			t.Helper()
			if err := fn(); err != nil {
				wantErr(t, err, syscall.EIO)
				must(t, fn())
			}
		}
		for i, r := range records {
			retry(func() error { return put(x, r) })
			if i%25 == 20 {
				retry(func() error { _, err := x.Flush(); return err })
			}
		}
		m.Fail(nil)
		answers(t, x, records)
		must(t, x.Close())
		x = open(t, options(m))
		answers(t, x, records)
		must(t, x.Close())
		if !hit {
			break
		}
		failed++
	}
	if failed < 50 {
		t.Errorf("only %d operations", failed)
	}
}

func TestFailedSyncIsFinal(t *testing.T) {
	m := newMem(t)
	x := open(t, options(m))
	r := record{"T", "u", "", 0, epoch}
	must(t, put(x, r))
	m.Fail(func(op vfs.Op, _ string) error {
		if op == vfs.OpSync {
			return syscall.EIO
		}
		return nil
	})
	_, err := x.Flush()
	wantErr(t, err, syscall.EIO)
	m.Fail(nil)
	_, err = x.Flush()
	wantErr(t, err, syscall.EIO)
	wantErr(t, put(x, record{"T", "v", "", 10, epoch}), syscall.EIO)
	answers(t, x, []record{r})
	wantErr(t, x.Close(), syscall.EIO)
}

func TestNoSpace(t *testing.T) {
	m := newMem(t)
	o := options(m)
	o.Slots, o.Entries = 100_000, 100_000
	x := open(t, o)
	records := someRecords(rand.New(rand.NewPCG(2, 5)), 400)
	m.SetCapacity(20 << 10)
	for _, r := range records {
		must(t, put(x, r)) // in memory
	}
	_, err := x.Flush()
	wantErr(t, err, syscall.ENOSPC)
	answers(t, x, records)
	m.SetCapacity(0)
	_, err = x.Flush()
	must(t, err)
	o.FS = m.Crash(vfs.CrashOptions{})
	x = open(t, o)
	answers(t, x, records)
	must(t, x.Close())
}

// Queries, flushes and puts at the same time, over many rolls.
func TestConcurrency(t *testing.T) {
	o := options(newMem(t))
	o.Slots, o.Entries = 3000, 300
	x := open(t, o)
	records := someRecords(rand.New(rand.NewPCG(8, 8)), 3000)
	done := make(chan struct{})
	var wg sync.WaitGroup
	loop := func(fn func(i int) error) {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				if err := fn(i); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	loop(func(int) error { _, err := x.Flush(); return err })
	loop(func(int) error { return x.SetMin(records[1000].offset) })
	for range 2 {
		loop(func(i int) error {
			r := records[1000+i%2000]
			if r.uniq == "" {
				return nil
			}
			have := x.ResumeFrom()
			got, _, _, err := x.Query(r.topic, r.uniq, 5, 0, 1<<60)
			if err == nil && r.offset < have && (len(got) != 1 || got[0] != r.offset) {
				return errors.New("a record that was put is not found")
			}
			return err
		})
	}
	for _, r := range records {
		must(t, put(x, r))
	}
	close(done)
	wg.Wait()
	must(t, x.Close())
	x = open(t, o)
	for _, r := range records[1100:] {
		if r.uniq != "" {
			if got, _, _, err := x.Query(r.topic, r.uniq, 5, 0, 1<<60); err != nil || len(got) != 1 || got[0] != r.offset {
				t.Fatalf("%s: got %v, %v", r.uniq, got, err)
			}
		}
	}
	must(t, x.Close())
}
