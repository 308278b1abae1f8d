// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package story

import (
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
)

var endings = []struct {
	name string
	kill bool
	stop func(m *vfs.Mem, rng *rand.Rand) *vfs.Mem
}{
	{"kill", true, func(m *vfs.Mem, _ *rand.Rand) *vfs.Mem { return m.Kill() }},
	{"power", false, func(m *vfs.Mem, _ *rand.Rand) *vfs.Mem { return m.Crash(vfs.CrashOptions{}) }},
	{"torn", false, func(m *vfs.Mem, rng *rand.Rand) *vfs.Mem {
		return m.Crash(vfs.CrashOptions{Data: vfs.KeepSome, Names: vfs.KeepSome, Rand: rng})
	}},
}

// crashRun appends and writes, over several turns of the ring and some restarts.
type crashRun struct {
	m        *vfs.Mem
	left     *vfs.Mem
	ops      int
	appended int
	written  int // survive a kill
	synced   int // survive a power cut
}

func (r *crashRun) work(rounds, stopAt int, stop func(*vfs.Mem) *vfs.Mem) error {
	r.m.Fail(func(op vfs.Op, _ string) error {
		if op.Changes() {
			if r.ops++; r.ops == stopAt {
				r.left = stop(r.m)
			}
		}
		return nil
	})
	cfg := Config{FS: r.m, Dir: dir, MaxBytes: minBytes}
	l, err := Open(cfg)
	for round := 0; err == nil && round < rounds; round++ {
		for range 1 + round*7%40 {
			l.Append(ev(r.appended))
			r.appended++
		}
		if round%8 != 7 {
			if err = l.Write(); err == nil {
				r.written = r.appended
			}
			continue
		}
		if err = l.Close(); err == nil {
			r.written, r.synced = r.appended, r.appended
			l, err = Open(cfg)
		}
	}
	return err
}

// check holds a story against what must be in it: events in their order, each
// once, the latest of those that are sure, and no gap among those after a kill.
func (r *crashRun) check(t *testing.T, kill bool, stopAt int) {
	t.Helper()
	l := open(t, r.left, minBytes)
	got := all(t, l)
	sure := r.synced
	if kill {
		sure = r.written
	}
	last, missing := -1, 0
	for i, e := range got {
		n := int(e.At)
		if n <= last || n >= r.appended || e != ev(n) {
			t.Fatalf("operation %d: %+v after event %d", stopAt, e, last)
		}
		if i > 0 && kill || n < sure {
			missing += max(0, n-last-1)
		}
		if i == 0 {
			missing = 0
		}
		last = n
	}
	if last < sure-1 || missing > 0 {
		t.Fatalf("operation %d: %d events, the last is %d, %d are missing; %d are sure", stopAt, len(got), last, missing, sure)
	}
	if sure > 150 && len(got) < 60 {
		t.Fatalf("operation %d: of %d sure events only %d are there", stopAt, sure, len(got))
	}
	if names, size := onDisk(t, r.left); size > minBytes || len(names) > 2 {
		t.Fatalf("operation %d: %d bytes in %q", stopAt, size, names)
	}
	// It goes on from there.
	for n := range 5 {
		l.Append(ev(r.appended + n))
	}
	must(t, l.Write())
	l = open(t, r.left.Kill(), minBytes)
	now := all(t, l)
	if len(now) < 5 || len(now) > len(got)+5 {
		t.Fatalf("operation %d: %d events, then five more are %d", stopAt, len(got), len(now))
	}
	for i, e := range now[len(now)-5:] {
		if e != ev(r.appended+i) {
			t.Fatalf("operation %d: what was appended afterwards is %+v", stopAt, e)
		}
	}
}

func TestCrashAtEveryOperation(t *testing.T) {
	for _, e := range endings {
		t.Run(e.name, func(t *testing.T) {
			stopAt := 0
			for ended := false; !ended; {
				stopAt++
				r := &crashRun{m: vfs.NewMem()}
				must(t, vfs.MkdirAllSync(r.m, filepath.Dir(dir)))
				rng := rand.New(rand.NewPCG(uint64(stopAt), 1))
				stop := func(m *vfs.Mem) *vfs.Mem { return e.stop(m, rng) }
				err := r.work(48, stopAt, stop)
				if ended = r.left == nil; ended {
					must(t, err)
					r.left = stop(r.m)
				}
				r.check(t, e.kill, stopAt)
			}
			if stopAt < 80 {
				t.Errorf("only %d operations", stopAt)
			}
		})
	}
}

// TestKilledBeforeTheDirectoryIsDurable: the next process makes its name so.
func TestKilledBeforeTheDirectoryIsDurable(t *testing.T) {
	m := vfs.NewMem()
	must(t, vfs.MkdirAllSync(m, filepath.Dir(dir)))
	must(t, m.MkdirAll(dir))
	m = m.Kill()
	l := open(t, m, minBytes)
	l.Append(ev(0))
	must(t, l.Close())
	wantEvents(t, open(t, m.Crash(vfs.CrashOptions{}), minBytes), 0, 1)
}

// TestTornTailStaysAway: what was cut off does not come back behind what is
// written next, though it holds whole records.
func TestTornTailStaysAway(t *testing.T) {
	b := []byte(header)
	for n := range 60 {
		b = appendRecord(b, ev(n))
	}
	first := len(header) + len(appendRecord(nil, ev(0)))
	b[first+frameBytes] ^= 1 // the second record is damaged
	for seed := range uint64(40) {
		m := vfs.NewMem()
		must(t, vfs.MkdirAllSync(m, dir))
		must(t, vfs.WriteFile(m, filePath(0), b))
		must(t, m.SyncDir(dir))
		l := open(t, m, minBytes)
		wantEvents(t, l, 0, 1)
		for n := 1; n < 80; n++ { // as long as those that stood there
			e := ev(n)
			e.Count = 1000
			l.Append(e)
		}
		must(t, l.Write())
		l = open(t, m.Crash(vfs.CrashOptions{Data: vfs.KeepSome, Rand: rand.New(rand.NewPCG(seed, 1))}), minBytes)
		for i, e := range all(t, l) {
			if i > 0 && e.Count != 1000 {
				t.Fatalf("seed %d: event %d came back", seed, e.At)
			}
		}
	}
}
