// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package timer

import (
	"runtime"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

// disk is a rig on the real file system, with files of the usual sizes.
func disk(b *testing.B) *rig {
	dir := b.TempDir()
	return start(b, vfs.OS(), func(sc *store.Config, c *Config) {
		sc.Dir, c.Dir = dir, dir
		sc.CommitLogFileSize, sc.ConsumeQueueFileSize, sc.IndexSlots, sc.IndexEntries = 1<<30, 6_000_000, 5_000_000, 20_000_000
		sc.FlushInterval, sc.FlushThoroughInterval, sc.ViewFlushInterval = 500*time.Millisecond, 10*time.Second, time.Second
		c.FileSize, c.RollWindow = 100<<20, 48*time.Hour
	})
}

func (r *rig) fill(b *testing.B, n int, due func(i int) int64) {
	var batch store.Batch
	for i := range n {
		rec := timed("", message.PropertyTimerDeliver, due(i))
		rec.Body = make([]byte, 100)
		q, props, ok, err := r.svc.Rewrite("A", int32(i%8), rec.Properties, nil)
		if err != nil || !ok {
			b.Fatal(ok, err)
		}
		rec.Properties = props
		if err := batch.Add(q, rec); err != nil {
			b.Fatal(err)
		}
		if batch.Len() == 512 || i == n-1 {
			if err := r.st.Append(&batch); err != nil {
				b.Fatal(err)
			}
			batch.Reset()
		}
	}
	if err := r.st.WaitDispatched(r.st.MaxPhysical()); err != nil {
		b.Fatal(err)
	}
}

func until(b *testing.B, what string, ok func() bool) {
	for end := time.Now().Add(10 * time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			b.Fatal(what)
		}
	}
}

// BenchmarkPutIn is from the queue into the wheel, hours away. heap-B is what the
// process holds more than before, for all of them.
func BenchmarkPutIn(b *testing.B) {
	r := disk(b)
	begin := r.wall()
	var before, behind runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	b.ResetTimer()
	r.fill(b, b.N, func(i int) int64 { return begin + 3600_000 + int64(i*7919%(8*3600*1000)) })
	until(b, "not put in", func() bool { return r.svc.Behind() == 0 })
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "timers/s")
	runtime.GC()
	runtime.ReadMemStats(&behind)
	b.ReportMetric(float64(behind.HeapAlloc)-float64(before.HeapAlloc), "heap-B")
}

// BenchmarkInAndOut is all of it: sent for the next moments, put in, delivered.
func BenchmarkInAndOut(b *testing.B) {
	r := disk(b)
	begin := r.wall()
	b.ResetTimer()
	r.fill(b, b.N, func(i int) int64 { return max(begin+int64(i%3000), r.wall()+50) })
	until(b, "not delivered", func() bool { return r.svc.Delivered() == int64(b.N) })
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "timers/s")
}
