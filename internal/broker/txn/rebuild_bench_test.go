// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package txn

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/vfs"
)

// BenchmarkRebuild starts over 100,000 undecided half messages (REBUILD_HALVES: as
// many) of half a KiB each in a real directory. It reports the time of Open and the
// memory that the transactions hold afterwards, for each half message.
func BenchmarkRebuild(b *testing.B) {
	n := 100_000
	if v := os.Getenv("REBUILD_HALVES"); v != "" {
		var err error
		if n, err = strconv.Atoi(v); err != nil {
			b.Fatal(err)
		}
	}
	marks := newMarks()
	dir := b.TempDir()
	st, err := store.Open(store.Config{Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = st.Close() }()
	open := func() *Service {
		s, err := Open(Config{Log: st, Offsets: marks, Delays: delays{&rig{st: st}}, Producers: func(string) (Producer, bool) { return nil, false },
			Topic: func(string) error { return nil }, FS: vfs.OS(), Dir: dir, NowMillis: func() int64 { return time.Now().UnixMilli() }, Now: time.Now,
			Logger: quiet, Host: testHost, Timeout: 6 * time.Second, Checks: 15, Interval: time.Minute, MaxAge: 72 * time.Hour})
		if err != nil {
			b.Fatal(err)
		}
		return s
	}
	fill(b, st, open(), n)
	before := heap()
	var held uint64
	b.ResetTimer()
	for b.Loop() {
		s := open()
		b.StopTimer()
		if got := s.table.Len(); got != n {
			b.Fatalf("%d half messages, want %d", got, n)
		}
		held = max(heap(), before) - before
		runtime.KeepAlive(s)
		_ = s.story.Close()
		_ = s.states.Close()
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/half")
	b.ReportMetric(float64(held)/float64(n), "B/half")
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// fill stores n half messages of 16 groups, and closes s.
func fill(b *testing.B, st *store.Store, s *Service, n int) {
	b.Helper()
	body := make([]byte, 512)
	for i := 0; i < n; {
		var batch store.Batch
		for range min(256, n-i) {
			rec := prepared(fmt.Sprint("producers-", i%16), fmt.Sprintf("7F000001%024d", i))
			rec.Body = body
			q := s.Prepare(rec, nil, new(Pending))
			if err := batch.Add(q, rec); err != nil {
				b.Fatal(err)
			}
			i++
		}
		if err := st.Append(&batch); err != nil {
			b.Fatal(err)
		}
	}
	if err := st.WaitDispatched(st.MaxPhysical()); err != nil {
		b.Fatal(err)
	}
	_ = s.story.Close()
	_ = s.states.Close()
}
