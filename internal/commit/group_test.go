// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package commit

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
)

// shelf is something that is stored: each write waits until it is let go.
type shelf struct {
	stored []int
	writes int
	hold   chan error
}

func (s *shelf) group() *Group[*[]int] {
	return New(
		func() *[]int { return new(slices.Clone(s.stored)) },
		func(next *[]int) error {
			if err := <-s.hold; err != nil {
				return err
			}
			s.writes++
			s.stored = *next
			return nil
		})
}

var errPanicked = errors.New("panicked")

func add(n int) func(*[]int) error {
	return func(next *[]int) error { *next = append(*next, n); return nil }
}

// begin calls Do in goroutines, one after the other, and gives where their errors
// will be.
func begin(wg *sync.WaitGroup, g *Group[*[]int], changes ...func(*[]int) error) []error {
	errs := make([]error, len(changes))
	for i, c := range changes {
		wg.Go(func() {
			defer func() {
				if p := recover(); p != nil {
					errs[i] = errPanicked
				}
			}()
			errs[i] = g.Do(c)
		})
		synctest.Wait()
	}
	return errs
}

func TestOneWriteForAllThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{hold: make(chan error)}
		g := s.group()
		var wg sync.WaitGroup
		begin(&wg, g, add(0))
		var changes []func(*[]int) error
		want := []int{0}
		for i := 1; i <= 100; i++ {
			changes, want = append(changes, add(i)), append(want, i)
		}
		begin(&wg, g, changes...)
		s.hold <- nil
		s.hold <- nil
		wg.Wait()
		if s.writes != 2 || !slices.Equal(s.stored, want) {
			t.Errorf("%d writes, stored %v", s.writes, s.stored)
		}
	})
}

// The error of a write is for all whose change was in it, and for no one else.
func TestErrorOfAWriteReachesAllInIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{hold: make(chan error)}
		g := s.group()
		var wg sync.WaitGroup
		errDisk, errRefused := errors.New("disk"), errors.New("refused")
		refuse := func(*[]int) error { return errRefused }
		first := begin(&wg, g, add(1))
		second := begin(&wg, g, add(2), refuse, add(3))
		s.hold <- nil
		synctest.Wait()
		third := begin(&wg, g, add(4), refuse)
		s.hold <- errDisk
		s.hold <- nil
		wg.Wait()
		got := slices.Concat(first, second, third)
		if want := []error{nil, errDisk, errRefused, errDisk, nil, errRefused}; !slices.Equal(got, want) {
			t.Errorf("errors %v, want %v", got, want)
		}
		if want := []int{1, 4}; !slices.Equal(s.stored, want) {
			t.Errorf("stored %v, want %v", s.stored, want)
		}
	})
}

// A change that panics is not taken for stored, nor are those that were to be
// stored with it; the next one is.
func TestPanicOfAChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{hold: make(chan error)}
		g := s.group()
		var wg sync.WaitGroup
		first := begin(&wg, g, add(0))
		errs := begin(&wg, g, add(1), func(*[]int) error { panic("bad") }, add(2))
		s.hold <- nil
		wg.Wait()
		panicked := 0 // on the goroutine of whoever did the work for all
		for _, err := range errs {
			if errors.Is(err, errPanicked) {
				panicked++
			} else if !errors.Is(err, errAborted) {
				t.Errorf("error %v", err)
			}
		}
		if panicked != 1 || first[0] != nil {
			t.Errorf("%d panicked, the first: %v", panicked, first[0])
		}
		last := begin(&wg, g, add(3))
		s.hold <- nil
		wg.Wait()
		if want := []int{0, 3}; last[0] != nil || !slices.Equal(s.stored, want) {
			t.Errorf("%v, stored %v, want %v", last[0], s.stored, want)
		}
	})
}

// Nothing is stored while a function runs alone.
func TestAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{hold: make(chan error)}
		g := s.group()
		var wg sync.WaitGroup
		errs := begin(&wg, g, add(1))
		ran := false
		wg.Go(func() { g.Alone(func() { ran = len(s.stored) == 1 }) })
		synctest.Wait()
		if ran {
			t.Error("beside a write")
		}
		s.hold <- nil
		wg.Wait()
		if !ran || errs[0] != nil {
			t.Errorf("ran after the write: %v, %v", ran, errs[0])
		}
	})
}
