// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"github.com/twostage/twostage/internal/store/segment"
	"github.com/twostage/twostage/internal/vfs"
)

// bruise changes bytes of the log below its readers.
func bruise(t rapid.TB, cfg Config, offset int64, b []byte) {
	t.Helper()
	start := segment.Start(offset, cfg.CommitLogFileSize)
	f, err := cfg.FS.OpenFile(segment.Join(cfg.Dir+"/commitlog", start), os.O_RDWR)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(b, offset-start); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestDamagedReads: a damaged record costs itself, whatever is damaged, where
// the policy has it checked.
func TestDamagedReads(t *testing.T) {
	const bad, n = 3, 30
	all := numbered("n", n)
	rest := slices.Delete(slices.Clone(all), bad, bad+1)
	for what, at := range map[string]int64{"size": 1, "magic": 7, "body CRC": 9, "position": 35, "port": 53, "body": 100, "body length": 87} {
		for _, c := range []struct {
			policy   ReadCheck
			reopen   bool
			distance int64
			told     bool // CheckAllReads
			found    bool
		}{
			{policy: CheckNone, reopen: true},
			{policy: CheckNone, reopen: true, told: true, found: true},
			{policy: CheckCold},
			{policy: CheckCold, distance: 100, found: true},
			{policy: CheckCold, reopen: true, found: true},
			{policy: CheckCold, told: true, found: true},
			{policy: CheckAll, found: true},
		} {
			t.Run(fmt.Sprintf("%s/%+v", what, c), func(t *testing.T) {
				cfg := memConfig(vfs.NewMem())
				cfg.CheckReads, cfg.ColdDistance, cfg.ColdCount, cfg.ColdBytes = c.policy, c.distance, 1<<10, 1<<20
				var told []DamagedRead
				cfg.OnDamagedRead = func(d DamagedRead) { told = append(told, d) }
				s := open(t, cfg)
				q := s.Queue("T", 0)
				put := put(t, s, q, all...)
				dispatched(t, s)
				if c.reopen {
					closeStore(t, s)
					s = open(t, cfg)
					q = s.Queue("T", 0)
				}
				bruise(t, cfg, put[bad].PhysicalOffset+at, []byte{0x5A})
				if c.told {
					s.CheckAllReads()
				}
				if !c.found {
					r, err := s.Get(q, 0, n, 1<<20, Filter{})
					if err != nil || len(r.Records) != n || len(told) > 0 || s.Stats().DamagedReads != 0 {
						t.Fatalf("%d records, %v, told %v", len(r.Records), err, told)
					}
					r.Release()
					closeStore(t, s)
					return
				}
				for range 2 {
					if got := names(t, s, q, 0); !slices.Equal(got, rest) {
						t.Fatalf("got %v", got)
					}
				}
				// From the damaged one on, and only it.
				r, err := s.Get(q, bad, 1, 1<<20, Filter{})
				if err != nil || len(r.Records) != 1 || r.NextOffset != bad+2 || r.Status != Found {
					t.Fatalf("%+v, %v", r, err)
				}
				r.Release()
				for i, a := range put {
					_, release, err := s.Record(a.PhysicalOffset)
					release()
					if i == bad && !errors.Is(err, ErrNotFound) || i != bad && err != nil {
						t.Errorf("record %d: %v", i, err)
					}
					// What no longer looks like a record is just not there for Record.
					if i == bad && (what == "body" || what == "body CRC" || what == "port" || what == "body length") && !errors.Is(err, ErrDamaged) {
						t.Errorf("the damaged record: %v", err)
					}
					res, err := s.Query("T", all[i], 8, 0, 1<<50)
					if err != nil || slices.Contains(res.Offsets, a.PhysicalOffset) != (i != bad) {
						t.Errorf("query for %s: %v, %v", all[i], res.Offsets, err)
					}
					res.Release()
				}
				if len(told) != 1 || told[0].Offset != put[bad].PhysicalOffset || !errors.Is(told[0].Err, ErrDamaged) ||
					told[0].File != segment.Join("/data/store/commitlog", segment.Start(put[bad].PhysicalOffset, 8192)) {
					t.Errorf("told %+v", told)
				}
				if st := s.Stats(); st.DamagedReads < 3 {
					t.Errorf("counted %d", st.DamagedReads)
				}
				closeStore(t, s)
			})
		}
	}
}

// TestAllDamaged: a reader comes to the end of a queue of which nothing is left.
func TestAllDamaged(t *testing.T) {
	cfg := memConfig(vfs.NewMem())
	cfg.CheckReads = CheckAll
	s := open(t, cfg)
	q := s.Queue("T", 0)
	for _, a := range put(t, s, q, numbered("n", 1000)...) {
		bruise(t, cfg, a.PhysicalOffset+100, []byte{0x5A})
	}
	dispatched(t, s)
	for from, gets := int64(0), 0; from < q.Max(); gets++ {
		r, err := s.Get(q, from, 32, 1<<20, Filter{})
		if err != nil || r.Status != MessageWasRemoving || len(r.Records) != 0 || r.NextOffset <= from || gets > 2 {
			t.Fatalf("Get %d at %d: %+v, %v", gets, from, r, err)
		}
		from = r.NextOffset
		r.Release()
	}
	if st := s.Stats(); st.DamagedReads != 1000 {
		t.Errorf("counted %d", st.DamagedReads)
	}
	closeStore(t, s)
}

// scratched is a file system with a place in the log that cannot be read.
type scratched struct {
	vfs.FS
	from, to atomic.Int64 // log offsets
}

type scratchedFile struct {
	vfs.File
	fs    *scratched
	start int64
}

func (s *scratched) OpenFile(name string, flag int) (vfs.File, error) {
	f, err := s.FS.OpenFile(name, flag)
	var start int64
	if i := strings.Index(name, "/commitlog/"); err != nil || i < 0 {
		return f, err
	} else if _, err := fmt.Sscan(strings.TrimLeft(name[i+len("/commitlog/"):len(name)-1], "0")+name[len(name)-1:], &start); err != nil {
		return f, err
	}
	return &scratchedFile{f, s, start}, nil
}

func (f *scratchedFile) ReadAt(p []byte, off int64) (int, error) {
	if at := f.start + off; at < f.fs.to.Load() && at+int64(len(p)) > f.fs.from.Load() {
		return 0, syscall.EIO
	}
	return f.File.ReadAt(p, off)
}

func (s *scratched) scratch(a Appended) {
	s.from.Store(a.PhysicalOffset + 20)
	s.to.Store(a.PhysicalOffset + 21)
}

// TestUnreadable: what the disk does not give is waited for, and then costs only
// itself.
func TestUnreadable(t *testing.T) {
	fs := &scratched{FS: vfs.NewMem()}
	cfg := memConfig(fs)
	var now atomic.Int64
	now.Store(1_700_000_000_000)
	cfg.NowMillis, cfg.CheckReads = now.Load, CheckAll
	s := open(t, cfg)
	q := s.Queue("T", 0)
	const bad = 7
	at := put(t, s, q, numbered("n", 20)...)
	dispatched(t, s)
	record := func() error {
		_, release, err := s.Record(at[bad].PhysicalOffset)
		release()
		return err
	}
	wait := func(where string) {
		t.Helper()
		// Those before it come.
		r, err := s.Get(q, 0, 32, 1<<20, Filter{})
		if err != nil || len(r.Records) != bad || r.NextOffset != bad {
			t.Fatalf("%s: %d records, next %d, %v", where, len(r.Records), r.NextOffset, err)
		}
		r.Release()
		for i, a := range at {
			_, release, err := s.Record(a.PhysicalOffset)
			release()
			if i != bad && err != nil {
				t.Fatalf("%s: record %d: %v", where, i, err)
			}
		}
		if r, err := s.Get(q, bad, 32, 1<<20, Filter{}); !errors.Is(err, ErrUnreadable) || !errors.Is(err, syscall.EIO) || errors.Is(err, ErrNotFound) || r.NextOffset != bad {
			t.Fatalf("%s: Get = %+v, %v", where, r, err)
		}
		if err := record(); !errors.Is(err, ErrUnreadable) || errors.Is(err, ErrNotFound) {
			t.Fatalf("%s: Record = %v", where, err)
		}
		if res, err := s.Query("T", "n7", 8, 0, 1<<50); err != nil || len(res.Offsets) != 0 {
			t.Fatalf("%s: Query = %v, %v", where, res.Offsets, err)
		}
	}
	fs.scratch(at[bad])
	wait("first")
	now.Add(60_000)
	wait("after a minute")
	fs.to.Store(0) // it was the cable
	if got := names(t, s, q, 0); len(got) != 20 {
		t.Fatalf("got %v", got)
	}
	now.Add(3600_000)
	fs.scratch(at[bad])
	wait("an hour later")
	now.Add(119_999)
	wait("two minutes later")
	now.Add(1)
	for range 2 {
		if got := names(t, s, q, 0); !slices.Equal(got, slices.Delete(numbered("n", 20), bad, bad+1)) {
			t.Fatalf("got %v", got)
		}
		if err := record(); !errors.Is(err, ErrDamaged) || !errors.Is(err, syscall.EIO) {
			t.Fatalf("Record = %v", err)
		}
		now.Add(3600_000) // it has had its time
	}
	closeStore(t, s)
}

// TestLogFileCutShort: somebody has shortened a file that is mapped. Reading the
// mapping would be the end of the process.
func TestLogFileCutShort(t *testing.T) {
	cfg := memConfig(vfs.OS())
	cfg.Dir, cfg.CheckReads = t.TempDir(), CheckAll
	var now atomic.Int64
	now.Store(1_700_000_000_000)
	cfg.NowMillis = now.Load
	s := open(t, cfg)
	q := s.Queue("T", 0)
	at := put(t, s, q, numbered("n", 60)...)
	dispatched(t, s)
	end := at[20].PhysicalOffset + 10
	if err := os.Truncate(segment.Join(cfg.Dir+"/commitlog", 0), end); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(q, 20, 32, 1<<20, Filter{}); !errors.Is(err, ErrUnreadable) {
		t.Fatalf("Get = %v", err)
	}
	now.Add(unreadableFor)
	want := numbered("n", 60)
	for i := len(at) - 1; i >= 20; i-- {
		if at[i].PhysicalOffset < cfg.CommitLogFileSize {
			want = slices.Delete(want, i, i+1)
		}
	}
	if got := names(t, s, q, 0); !slices.Equal(got, want) {
		t.Fatalf("got %v", got)
	}
	closeStore(t, s)
}
