// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package group

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/twostage/twostage/internal/vfs"
)

// begin calls functions in goroutines, one after the other, and gives where their
// errors will be.
func begin(wg *sync.WaitGroup, calls ...func() error) []error {
	errs := make([]error, len(calls))
	for i, fn := range calls {
		wg.Go(func() { errs[i] = fn() })
		synctest.Wait()
	}
	return errs
}

// slow has each write of the table on m wait for the error that it is to end with,
// and counts them.
func slow(m *vfs.Mem) (goOn chan error, writes *int) {
	goOn, writes = make(chan error), new(int)
	m.Fail(func(op vfs.Op, name string) error {
		if op != vfs.OpOpen || !strings.HasSuffix(name, ".tmp") {
			return nil
		}
		*writes++
		return <-goOn
	})
	return goOn, writes
}

func TestOneWriteForAllThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := vfs.NewMem()
		goOn, writes := slow(m)
		cfg := config(m)
		var told []string
		cfg.OnChange = func(name string) { told = append(told, name) }
		tb := open(t, cfg)
		var calls []func() error
		for i := range 30 {
			name := strconv.Itoa(i)
			ensure := func() error { _, err := tb.Ensure(name); return err }
			calls = append(calls, ensure, ensure, func() error { return tb.Put(tries("put"+name, 5)) })
		}
		var wg sync.WaitGroup
		first := begin(&wg, func() error { return tb.Put(tries("first", 1)) })
		later := begin(&wg, calls...)
		goOn <- nil
		synctest.Wait()
		if _, ok := tb.Get("first"); !ok || tb.Len() != len(own)+1 {
			t.Errorf("%d groups are seen, the first write stored one", tb.Len()-len(own))
		}
		goOn <- nil
		wg.Wait()
		for _, err := range slices.Concat(first, later) {
			if err != nil {
				t.Error(err)
			}
		}
		if *writes != 2 || len(told) != 61 || tb.Version().Counter != 61 {
			t.Errorf("%d writes, told %v, version %+v", *writes, told, tb.Version())
		}
		if left := open(t, config(m.Crash(vfs.CrashOptions{}))); left.Len() != len(own)+61 {
			t.Errorf("%d groups after a cut", left.Len())
		}
	})
}

// An error reaches all whose change was in the write, and leaves the table as it
// was.
func TestErrorOfAWriteReachesAllInIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		errDisk := errors.New("disk")
		m, tb := base(t)
		goOn, _ := slow(m)
		version := tb.Version().Counter
		var wg sync.WaitGroup
		gone := true
		first := begin(&wg, func() error { return tb.Put(tries("first", 1)) })
		errs := begin(&wg,
			func() error { _, err := tb.Ensure("new"); return err },
			func() error { _, err := tb.Ensure("new"); return err },
			func() error { return tb.Put(tries("g", 9)) },
			func() (err error) { gone, err = tb.Delete("h"); return err },
		)
		goOn <- nil
		goOn <- errDisk
		wg.Wait()
		for i, err := range errs {
			if !errors.Is(err, errDisk) {
				t.Errorf("change %d: %v", i, err)
			}
		}
		g, _ := tb.Get("g")
		_, h := tb.Get("h")
		_, made := tb.Get("new")
		if first[0] != nil || gone || g.RetryMaxTimes != 1 || !h || made || tb.Version().Counter != version+1 {
			t.Errorf("the first: %v; g is %+v, h there: %v, new there: %v, version %+v", first[0], g, h, made, tb.Version())
		}
		m.Fail(nil)
		put(t, tb, tries("new", 2))
	})
}
