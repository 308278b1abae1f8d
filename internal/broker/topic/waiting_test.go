// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package topic

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

// slowDisk has each write of the table wait for the error that it is to end with.
type slowDisk struct {
	*vfs.Mem
	goOn   chan error
	writes int
}

func newSlowDisk(m *vfs.Mem) *slowDisk {
	d := &slowDisk{Mem: m, goOn: make(chan error)}
	m.Fail(func(op vfs.Op, name string) error {
		if op != vfs.OpOpen || !strings.HasSuffix(name, ".tmp") {
			return nil
		}
		d.writes++
		return <-d.goOn
	})
	return d
}

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

func TestOneWriteForAllThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newSlowDisk(vfs.NewMem())
		cfg := config(d)
		var told [][]string
		cfg.OnChange = func(names []string) { told = append(told, names) }
		tb := open(t, cfg)
		var calls []func() error
		var want []string
		for i := range 20 {
			n := strconv.Itoa(i)
			want = append(want, "put"+n, "ensured"+n, "sent"+n)
			ensure := func() error { _, err := tb.Ensure("ensured"+n, 1, PermRead, 0); return err }
			calls = append(calls,
				func() error { return tb.Put(sized("put"+n, 2), "+message.type=FIFO") }, ensure, ensure,
				func() error { _, _, err := tb.AutoCreate("sent"+n, "TBW102", 4, 0); return err },
				func() error { return tb.Put(sized("put"+n, 3), "-message.type") })
		}
		var wg sync.WaitGroup
		first := begin(&wg, func() error { return tb.Put(sized("first", 1), "") })
		later := begin(&wg, calls...)
		d.goOn <- nil
		synctest.Wait()
		if _, ok := tb.Get("first"); !ok || tb.Version().Counter != 1 || slices.ContainsFunc(want, func(name string) bool { _, ok := tb.Get(name); return ok }) {
			t.Error("what is seen is not what the first write has stored")
		}
		d.goOn <- nil
		wg.Wait()
		for _, err := range slices.Concat(first, later) {
			if err != nil {
				t.Error(err)
			}
		}
		if d.writes != 2 || len(told) != 2 || len(told[1]) != 80 || tb.Version().Counter != 81 {
			t.Errorf("%d writes, told %v, version %+v", d.writes, told, tb.Version())
		}
		left := open(t, config(d.Crash(vfs.CrashOptions{})))
		for _, name := range want {
			if c, ok := left.Get(name); !ok || c.Attributes != nil || strings.HasPrefix(name, "put") && c.ReadQueueNums != 3 {
				t.Errorf("%s is %+v after a cut", name, c)
			}
		}
	})
}

// An error reaches all whose change was in the write, and leaves the table as it
// was; what a change is refused for it is told in any case.
func TestErrorOfAWriteReachesAllInIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := vfs.NewMem()
		put(t, open(t, config(m)), "old")
		d := newSlowDisk(m)
		tb := open(t, config(d))
		var wg sync.WaitGroup
		first := begin(&wg, func() error { return tb.Put(sized("first", 1), "") })
		errs := begin(&wg,
			func() error { return tb.Put(sized("old", 9), "") },
			func() error { _, err := tb.Ensure("ensured", 1, PermRead, 0); return err },
			func() error { _, _, err := tb.AutoCreate("sent", "TBW102", 4, 0); return err },
			func() error { _, err := tb.Delete("old"); return err },
			func() error { _, _, err := tb.AutoCreate("refused", "missing", 4, 0); return err },
		)
		d.goOn <- nil
		d.goOn <- errFault
		wg.Wait()
		for i, err := range errs {
			want := errFault
			if i == 4 {
				want = ErrNoTopic
			}
			if !errors.Is(err, want) {
				t.Errorf("change %d: %v, want %v", i, err, want)
			}
		}
		if c, ok := tb.Get("old"); first[0] != nil || !ok || c.ReadQueueNums == 9 || tb.Version().Counter != 2 {
			t.Errorf("the first: %v; old is %+v, version %+v", first[0], c, tb.Version())
		}
		for _, name := range []string{"ensured", "sent", "refused"} {
			if _, ok := tb.Get(name); ok {
				t.Errorf("%s is there", name)
			}
		}
		d.Fail(nil)
		put(t, tb, "next")
	})
}

// A new version that comes while a write is under way is not lost, whether the
// write ends well or not.
func TestTouchBesideAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newSlowDisk(vfs.NewMem())
		tb := open(t, config(d))
		for _, c := range []struct {
			err  error
			want int64
		}{{nil, 2}, {errFault, 3}} {
			var wg sync.WaitGroup
			begin(&wg, func() error { return tb.Put(sized("T", 1), "") }, func() error { tb.Touch(); return nil })
			d.goOn <- c.err
			wg.Wait()
			if got := tb.Version().Counter; got != c.want {
				t.Errorf("after %v: counter %d, want %d", c.err, got, c.want)
			}
		}
	})
}
