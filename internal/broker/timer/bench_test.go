// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package timer

import (
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

// disk is a rig on the real file system, with files of the usual sizes.
func disk(b *testing.B) *rig { return diskAt(b, b.TempDir()) }

func diskAt(b *testing.B, dir string) *rig {
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
		q, props, ok, err := r.svc.Rewrite("B", int32(i%8), rec.Properties, nil)
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

// BenchmarkPending is what b.N timers cost that wait for hours, spread over eight of
// them: of memory while they wait and after a restart, and of time to start. For ten
// million, in about 5 GB of disk:
//
//	go test -run '^$' -bench Pending -benchtime 10000000x -timeout 1h ./internal/broker/timer
func BenchmarkPending(b *testing.B) {
	dir := b.TempDir()
	memory := func(when string) {
		runtime.GC()
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		b.ReportMetric(float64(s.HeapAlloc), "heap-B-"+when)
		b.ReportMetric(resident(b, "VmRSS:"), "rss-B-"+when)
		b.ReportMetric(resident(b, "RssAnon:"), "anon-B-"+when)
	}
	open := func(when string) *rig {
		begin := time.Now()
		r := diskAt(b, dir)
		b.ReportMetric(float64(time.Since(begin).Milliseconds()), "open-ms-"+when)
		return r
	}
	r := open("empty")
	memory("empty")
	begin, filling := r.wall(), time.Now()
	r.fill(b, b.N, func(i int) int64 { return begin + 3600_000 + int64(i*7919%(8*3600*1000)) })
	until(b, "not put in", func() bool { return r.svc.Behind() == 0 })
	b.ReportMetric(float64(b.N)/time.Since(filling).Seconds(), "timers/s")
	memory("full")
	closing := time.Now()
	r.close()
	b.ReportMetric(float64(time.Since(closing).Milliseconds()), "close-ms")
	r = open("full")
	memory("reopened")
	if n, err := r.svc.WaitingBelow(r.st.MaxPhysical(), math.MaxInt64); err != nil || n != int64(b.N) {
		b.Fatalf("%d of %d wait, %v", n, b.N, err)
	}
}

// BenchmarkCrowd is b.N timers due in one second: how fast they are delivered once
// it has come, and the most heap that the process has meanwhile.
func BenchmarkCrowd(b *testing.B) {
	r := disk(b)
	slot := r.wall()/1000*1000 + 5000 + int64(b.N)/20
	r.fill(b, b.N, func(i int) int64 { return slot + 1 + int64(i*7919%1000) })
	until(b, "not put in", func() bool { return r.svc.Behind() == 0 })
	if r.wall() > slot-1000 {
		b.Fatal("the timers were due before all were in the wheel")
	}
	runtime.GC()
	most, looked := uint64(0), time.Time{}
	until(b, "not delivered", func() bool {
		if time.Since(looked) > 20*time.Millisecond {
			var s runtime.MemStats
			runtime.ReadMemStats(&s)
			most, looked = max(most, s.HeapAlloc), time.Now()
		}
		return r.svc.Delivered() == int64(b.N)
	})
	b.ReportMetric(float64(b.N)/(float64(r.wall()-slot)/1000), "timers/s")
	b.ReportMetric(float64(most), "most-heap-B")
}

// resident is the memory of the process, of the kind that /proc names so, bytes: all
// of it, or that which is no page of a file; 0 where the system does not say.
func resident(b *testing.B, kind string) float64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == kind {
			kb, err := strconv.ParseFloat(f[1], 64)
			if err != nil {
				b.Fatal(err)
			}
			return kb * 1024
		}
	}
	return 0
}
