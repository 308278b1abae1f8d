// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package commitlog

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/store/segment"
	"github.com/twostage/twostage/internal/vfs"
)

// A file system that reserves nothing may run out of space in the middle of a
// write, of records or of the blank at the end of a file. What was written is taken
// back, so a kill at that moment finds no trace of it.
func TestNoSpaceInAWrite(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 1))
		m := vfs.NewMem()
		l, _ := openLog(t, m, nil)
		full, undo := false, false
		fault := func(op vfs.Op, _ string) error {
			if op != vfs.OpWrite || !full || undo {
				return nil
			}
			undo = true // the next write takes back what this one wrote
			return &vfs.ShortWrite{N: rng.IntN(300), Err: syscall.ENOSPC}
		}
		m.Fail(fault)
		want := 0
		for i := range 100 {
			full, undo = rng.IntN(4) == 0, false
			_, err := add(l, body(i), 1)
			switch {
			case err == nil:
				want++
			case !errors.Is(err, syscall.ENOSPC) || l.Err() != nil:
				t.Fatalf("seed %d: %v (stopped: %v)", seed, err, l.Err())
			case rng.IntN(10) == 0:
				var got []string
				m = m.Kill()
				r := Recovered{}
				if l, r = openLog(t, m, bodies(&got)); len(got) != want || r.Cut != 0 || len(r.Damage) > 0 {
					t.Fatalf("seed %d: %d records, want %d; %+v", seed, len(got), want, r)
				}
				m.Fail(fault)
			}
		}
		if want < 50 || want > 99 {
			t.Fatalf("seed %d: %d of 100 stored", seed, want)
		}
	}
}

// Where what was written can't be taken back, the log stops.
func TestNoSpaceThatCannotBeUndone(t *testing.T) {
	m := vfs.NewMem()
	l, _ := openLog(t, m, nil)
	mustAdd(t, l, body(1), 1)
	m.Fail(func(op vfs.Op, _ string) error {
		if op == vfs.OpWrite {
			return &vfs.ShortWrite{N: 3, Err: syscall.ENOSPC}
		}
		return nil
	})
	if _, err := add(l, body(2), 1); !errors.Is(err, ErrFailed) || !errors.Is(l.Err(), syscall.ENOSPC) {
		t.Fatalf("%v, stopped: %v", err, l.Err())
	}
}

// A file that was reserved and never written to is given back by the next Open: on
// a full disk its space is what views are recovered in.
func TestOpenGivesBackWhatWasReserved(t *testing.T) {
	m := vfs.NewMem()
	l, _ := openLog(t, m, nil)
	for i := range 10 {
		mustAdd(t, l, body(i), 1)
	}
	end := l.End()
	last := segment.Start(end, fileSize)
	for i := int64(1); i <= 2; i++ { // as many as a broken clean-up could leave
		if err := l.reserveFile(last + i*fileSize); err != nil {
			t.Fatal(err)
		}
	}
	m = m.Kill()
	l, r := openLog(t, m, nil)
	if names, err := m.ReadDir(testDir); err != nil || len(names) != int(last/fileSize)+1 {
		t.Errorf("files %v, %v", names, err)
	}
	if r.End != end || r.Cut != 0 || l.End() != end {
		t.Errorf("%+v, want the end %d", r, end)
	}
	mustAdd(t, l, body(11), 1)
}

// A reservation that failed is not tried again with every write, only when the
// file is needed, or after a while.
func TestReservationBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := vfs.NewMem()
		l, _ := openLog(t, m, nil)
		mustAdd(t, l, body(1), 1)
		tries := 0
		m.Fail(func(op vfs.Op, _ string) error {
			if op == vfs.OpPreallocate {
				tries++
				return syscall.ENOSPC
			}
			return nil
		})
		ctx, stop := context.WithCancel(t.Context())
		var run sync.WaitGroup
		run.Go(func() { l.RunAhead(ctx) })
		for range 100 {
			l.ahead.want(fileSize)
			synctest.Wait()
		}
		if tries != 1 {
			t.Errorf("%d tries at once", tries)
		}
		if err := l.Roll(); !errors.Is(err, syscall.ENOSPC) || tries != 2 {
			t.Errorf("a write that needs it: %v, %d tries", err, tries)
		}
		time.Sleep(reserveAgain)
		l.ahead.want(fileSize)
		synctest.Wait()
		if tries != 3 {
			t.Errorf("%d tries after a while", tries)
		}
		stop()
		run.Wait()
	})
}
