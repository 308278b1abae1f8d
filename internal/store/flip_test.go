// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/twostage/twostage/internal/store/commitlog"
	"github.com/twostage/twostage/internal/vfs"
)

// flip changes a byte of the log.
func flip(t testing.TB, m *vfs.Mem, cfg Config, at int64, mask byte) {
	t.Helper()
	f, err := m.OpenFile(fmt.Sprintf("%s/commitlog/%020d", cfg.Dir, at-at%cfg.CommitLogFileSize), 2)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], at%cfg.CommitLogFileSize); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{b[0] ^ mask}, at%cfg.CommitLogFileSize); err != nil {
		t.Fatal(err)
	}
}

// TestFlippedHeader: a byte of the fixed part, which has no CRC, costs the
// record that it is in and no other, wherever that stands.
func TestFlippedHeader(t *testing.T) {
	const n = 60 // several files
	for _, c := range []struct {
		name string
		at   int64
		mask byte
	}{
		{"queue id, sign", 12, 0x80},
		{"queue offset, sign", 20, 0x80},
		{"queue offset, high byte", 20, 0x10},
		{"queue offset, second byte", 21, 0x01},
		{"queue offset, sixth byte", 25, 0x04},
		{"store timestamp, sign", 56, 0x80},
		{"store timestamp, high byte", 56, 0x01},
		{"store timestamp, second byte", 57, 0x01},
	} {
		for _, scratch := range []bool{true, false} {
			for _, bad := range []int{0, 1, 30, n - 1} {
				if bad == 0 && c.at == 25 {
					continue // a queue may begin at a small offset: see foreignGap
				}
				t.Run(fmt.Sprintf("%s/scratch=%v/%d", c.name, scratch, bad), func(t *testing.T) {
					m := vfs.NewMem()
					s := open(t, memConfig(m))
					at := put(t, s, s.Queue("T", 3), numbered("n", n)...)
					dispatched(t, s)
					m = m.Kill()
					cfg := memConfig(m)
					if scratch {
						for _, dir := range []string{"/consumequeue", "/index", "/checkpoint"} {
							if err := m.RemoveAll(cfg.Dir + dir); err != nil {
								t.Fatal(err)
							}
						}
					}
					flip(t, m, cfg, at[bad].PhysicalOffset+c.at, c.mask)
					var reported []commitlog.Damage
					cfg.OnDamage = func(d commitlog.Damage) { reported = append(reported, d) }
					s = open(t, cfg)
					if len(reported) != 1 || reported[0].Offset != at[bad].PhysicalOffset || reported[0].Length != int64(at[bad].Size) || reported[0].Copy == "" {
						t.Fatalf("reported %+v, the record was at %+v", reported, at[bad])
					}
					if st := s.Stats(); st.DamagedRanges != 1 || st.End != at[n-1].PhysicalOffset+int64(at[n-1].Size) || st.LastTime > at[n-1].StoreTimestamp {
						t.Errorf("%+v", st)
					}
					want := slices.Delete(numbered("n", n), bad, bad+1)
					if got := names(t, s, s.Queue("T", 3), 0); !slices.Equal(got, want) {
						t.Fatalf("got %v", got)
					}
					if after := put(t, s, s.Queue("T", 3), "after")[0]; after.StoreTimestamp > at[n-1].StoreTimestamp+1e6 {
						t.Errorf("the next record is stored at %d, those before at %d", after.StoreTimestamp, at[n-1].StoreTimestamp)
					}
					dispatched(t, s)
					if got := names(t, s, s.Queue("T", 3), 0); !slices.Equal(got, append(want, "after")) {
						t.Fatalf("got %v", got)
					}
					closeStore(t, s)
				})
			}
		}
	}
}

// TestUnsetClock: a machine that starts in 1970 keeps what it has.
func TestUnsetClock(t *testing.T) {
	m := vfs.NewMem()
	s := open(t, memConfig(m))
	put(t, s, s.Queue("T", 0), numbered("n", 30)...)
	dispatched(t, s)
	m = m.Kill()
	cfg := memConfig(m)
	cfg.NowMillis = func() int64 { return 5 }
	s = open(t, cfg)
	if got := names(t, s, s.Queue("T", 0), 0); len(got) != 30 || s.Stats().DamagedRanges != 0 {
		t.Fatalf("%d records, %+v", len(got), s.Stats().Recovery)
	}
}

// keyless puts records without keys, a second apart.
func keyless(t testing.TB, s *Store, now *atomic.Int64, n int) {
	t.Helper()
	for range n {
		r := rec("", 300)
		r.Properties = nil
		now.Add(1000)
		var b Batch
		if err := b.Add(s.Queue("K", 0), r); err != nil {
			t.Fatal(err)
		}
		if err := s.Append(&b); err != nil {
			t.Fatal(err)
		}
	}
	dispatched(t, s)
}

// TestKeylessRecordsAreNotReadAgain: an index that has nothing to say about the
// last records, or about any, is complete all the same.
func TestKeylessRecordsAreNotReadAgain(t *testing.T) {
	for _, keys := range []int{0, 3} {
		m := vfs.NewMem()
		var now atomic.Int64 // the store's goroutines read it too
		now.Store(1_700_000_000_000)
		config := func(m *vfs.Mem) Config {
			cfg := memConfig(m)
			cfg.NowMillis = now.Load
			return cfg
		}
		s := open(t, config(m))
		put(t, s, s.Queue("T", 0), numbered("n", keys)...)
		keyless(t, s, &now, 100)
		closeStore(t, s)
		s = open(t, config(m))
		if r := s.Stats().Recovery; r.Records != 1 {
			t.Errorf("%d with keys, clean stop: %+v", keys, r)
		}
		if err := s.flushViews(); err != nil {
			t.Fatal(err)
		}
		m = m.Kill()
		s = open(t, config(m))
		if r := s.Stats().Recovery; r.Clean || r.Records > 60 { // 20 a file
			t.Errorf("%d with keys, kill: %+v", keys, r)
		}
		// An index that was taken away is built again, even if the first try fails.
		closeStore(t, s)
		if err := m.RemoveAll("/data/store/index"); err != nil {
			t.Fatal(err)
		}
		broken := errors.New("broken")
		m.Fail(func(op vfs.Op, name string) error {
			if op.Changes() && name == "/data/store/abort" {
				return broken
			}
			return nil
		})
		if _, err := Open(config(m)); !errors.Is(err, broken) {
			t.Fatalf("Open = %v", err)
		}
		m.Fail(nil)
		s = open(t, config(m))
		if r := s.Stats().Recovery; r.Records != 100+keys {
			t.Errorf("%d with keys, index removed: %+v", keys, r)
		}
		for _, name := range numbered("n", keys) {
			r, err := s.Query("T", name, 10, 0, 1<<50)
			if err != nil || len(r.Offsets) != 1 {
				t.Errorf("query for %s: %v, %v", name, r.Offsets, err)
			}
			r.Release()
		}
		closeStore(t, s)
	}
}
