// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package state

import (
	"sync"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
)

// TestConcurrent lets several set words of their own while others write, commit,
// read, clear and drop elsewhere. A committed mark holds what was set before,
// which the setters say in a variable of theirs.
func TestConcurrent(t *testing.T) {
	const (
		setters = 3
		each    = 4000
		first   = 2 * segmentWords // below it words are dropped, meanwhile
		stride  = 7
	)
	m := vfs.NewMem()
	f := open(t, m)
	for off := range int64(2000) {
		f.Set(off, word(off+1))
	}
	must(t, f.Write())

	place := func(setter, i int64) int64 { return first + i*stride + setter }
	var mu sync.Mutex
	var done [setters]int64 // words that were set
	var setting, others sync.WaitGroup
	for s := range int64(setters) {
		setting.Go(func() {
			for i := range int64(each) {
				f.Set(place(s, i), word(s*each+i+1))
				mu.Lock()
				done[s] = i + 1
				mu.Unlock()
			}
		})
	}
	ended := make(chan struct{})
	loop := func(do func() error) {
		others.Go(func() {
			for {
				if err := do(); err != nil {
					t.Error(err)
					return
				}
				select {
				case <-ended:
					return
				default:
				}
			}
		})
	}
	var last [setters]int64
	number := int64(0)
	loop(func() error {
		mu.Lock()
		now := done
		mu.Unlock()
		number++
		err := f.Commit(Mark{Half: first, Op: number, Proof: 1})
		last = now
		return err
	})
	loop(f.Write)
	loop(func() error {
		mu.Lock()
		now := done
		mu.Unlock()
		for s, n := range now {
			if n == 0 {
				continue
			}
			w, err := f.Get(place(int64(s), n-1))
			if err != nil {
				return err
			}
			if w != word(int64(s)*each+n) {
				t.Errorf("setter %d: word %d is %+v", s, n-1, w)
			}
		}
		return nil
	})
	loop(func() error {
		mu.Lock()
		now := done
		mu.Unlock()
		return f.Range(first, first+each*stride, func(off int64, w Word) bool {
			s, i := (off-first)%stride, (off-first)/stride
			if s < setters && i < now[s] && w != word(s*each+i+1) {
				t.Errorf("setter %d: word %d is %+v", s, i, w)
				return false
			}
			return true
		})
	})
	loop(func() error { f.Set(segmentWords+5, word(1)); return f.DropBelow(first) })
	loop(func() error { f.Set(9*segmentWords, word(1)); return f.Clear(8*segmentWords, 9*segmentWords+1) })
	setting.Wait()
	close(ended)
	others.Wait()

	f = open(t, m.Crash(vfs.CrashOptions{}))
	if got, ok := f.Mark(); !ok || got.Op != number {
		t.Fatalf("mark %+v, %v, want number %d", got, ok, number)
	}
	for s, n := range last {
		for i := range n {
			want(t, f, place(int64(s), i), word(int64(s)*each+i+1))
		}
	}
}
