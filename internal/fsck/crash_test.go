// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package fsck

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/vfs"
)

// stops are the ways in which a process or a machine ends.
var stops = map[string]func(m *vfs.Mem, rng *rand.Rand) *vfs.Mem{
	"kill":  func(m *vfs.Mem, _ *rand.Rand) *vfs.Mem { return m.Kill() },
	"power": func(m *vfs.Mem, _ *rand.Rand) *vfs.Mem { return m.Crash(vfs.CrashOptions{}) },
	"torn": func(m *vfs.Mem, rng *rand.Rand) *vfs.Mem {
		return m.Crash(vfs.CrashOptions{Data: vfs.KeepSome, Names: vfs.KeepSome, Rand: rng})
	},
}

// TestRebuildCrash stops a rebuild at each of its operations, in all ways, and
// sometimes what follows as well. The store opens, or is rebuilt, and is right.
func TestRebuildCrash(t *testing.T) {
	for name, stop := range stops {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			whole, harmed := trimmed(t), trimmed(t)
			want := openEnds(t, whole)
			change(t, harmed, queueFileName("T0", 0, 400), 7, 0x55)
			for at := 1; ; at += stride {
				rng := rand.New(rand.NewPCG(uint64(at), 5))
				base := whole
				if at%2 == 0 {
					base = harmed // only a rebuild mends that
				}
				m, over := stopAt(base, at, stop, rng, func(m *vfs.Mem) { _, _ = Rebuild(t.Context(), config(m)) })
				if over {
					if at < 30 {
						t.Fatalf("a rebuild has only %d operations", at)
					}
					return
				}
				where := fmt.Sprintf("operation %d", at)
				for rng.IntN(2) == 0 { // what comes next is stopped too
					next := 1 + rng.IntN(60)
					again := rng.IntN(2) == 0
					left, over := stopAt(m, next, stop, rng, func(m *vfs.Mem) {
						if again {
							_, _ = Rebuild(t.Context(), config(m))
						} else if s, err := store.Open(config(m)); err == nil {
							_ = s.Close()
						}
					})
					m, where = left, where+fmt.Sprintf(", then %d (rebuild %v, over %v)", next, again, over)
				}
				if base == harmed || rng.IntN(3) == 0 {
					if _, err := Rebuild(t.Context(), config(m)); err != nil {
						t.Fatalf("%s: %v", where, err)
					}
					where += ", rebuilt"
				}
				works(t, m, want, where)
				for _, gone := range []string{"/consumequeue.replaced", "/index.replaced", "/replaced.removed"} {
					if _, _, err := m.Stat(dir + gone); err == nil {
						t.Errorf("%s: %s is left", where, gone)
					}
				}
				if t.Failed() {
					return
				}
			}
		})
	}
}

// stopAt runs do on a copy of m and stops it at its n-th operation; over says that
// it had fewer.
func stopAt(base *vfs.Mem, n int, stop func(*vfs.Mem, *rand.Rand) *vfs.Mem, rng *rand.Rand, do func(*vfs.Mem)) (left *vfs.Mem, over bool) {
	m := copyOf(base)
	var mu sync.Mutex
	count := 0
	m.Fail(func(op vfs.Op, _ string) error {
		if !op.Changes() {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		if count++; count == n {
			left = stop(m, rng)
		}
		return nil
	})
	do(m)
	m.Fail(nil)
	mu.Lock()
	defer mu.Unlock()
	if left == nil {
		return m, true
	}
	return left, false
}

// copyOf is another file system with the files of m, all of them durable.
func copyOf(m *vfs.Mem) *vfs.Mem {
	left := vfs.NewMem()
	var walk func(dir string)
	walk = func(dir string) {
		names, err := m.ReadDir(dir)
		if err != nil {
			panic(err)
		}
		for _, name := range names {
			path := strings.TrimSuffix(dir, "/") + "/" + name
			if _, isDir, err := m.Stat(path); err == nil && isDir {
				if err := left.MkdirAll(path); err != nil {
					panic(err)
				}
				walk(path)
				continue
			}
			data, err := vfs.ReadFile(m, path)
			if err == nil {
				err = vfs.WriteFile(left, path, data)
			}
			if err != nil {
				panic(err)
			}
		}
		if err := left.SyncDir(dir); err != nil {
			panic(err)
		}
	}
	walk("/")
	return left
}

// TestKeptOffsetsCrash stops recoveries of a store of which a queue has lost its last
// records: it never goes back.
func TestKeptOffsetsCrash(t *testing.T) {
	for name, stop := range stops {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base := stopped(t)
			want := openEnds(t, base)["T0/0"]
			records := positions(t, base)
			last := records[len(records)-1]
			change(t, base, last.File, 0, make([]byte, last.FileOffset+last.Size)...)
			if r := must(Rebuild(t.Context(), config(base)))(t); len(r.Kept) != 1 {
				t.Fatalf("%+v", r)
			}
			s := must(store.Open(config(base)))(t)
			put(t, s, "T1", 0, record("more", "UNIQ_KEY", "x"))
			base = base.Kill()
			_ = s.Close()
			for at := 1; ; at += stride {
				rng := rand.New(rand.NewPCG(uint64(at), 6))
				rebuild := at%3 == 0
				m, over := stopAt(base, at, stop, rng, func(m *vfs.Mem) {
					if rebuild {
						_, _ = Rebuild(t.Context(), config(m))
					} else if s, err := store.Open(config(m)); err == nil {
						_ = s.Close()
					}
				})
				if over {
					if at < 10 {
						t.Fatalf("a start has only %d operations", at)
					}
					return
				}
				if rng.IntN(2) == 0 {
					m, _ = stopAt(m, 1+rng.IntN(30), stop, rng, func(m *vfs.Mem) {
						if s, err := store.Open(config(m)); err == nil {
							_ = s.Close()
						}
					})
				}
				if got := openEnds(t, m)["T0/0"]; got != want {
					t.Fatalf("operation %d (rebuild %v): the queue goes on at %d, it was at %d", at, rebuild, got, want)
				}
				for _, f := range verify(t, m).Findings {
					t.Errorf("operation %d: %v", at, f)
				}
				// What is left in the note is gaps that are no longer worked on.
				var gaps []store.KeptOffset
				if data, _, err := vfs.ReadConfigFile(m, dir+"/keptOffsets.json"); err == nil {
					if err := json.Unmarshal(data, &gaps); err != nil {
						t.Fatal(err)
					}
				}
				for _, g := range gaps {
					if g.At <= 0 || g.From >= g.Next {
						t.Errorf("operation %d: the note of offsets has %+v left", at, g)
					}
				}
			}
		})
	}
}
