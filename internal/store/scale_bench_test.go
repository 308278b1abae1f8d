// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// scaleRun is how long records are appended: two flushes of the views fall in.
const scaleRun = 25 * time.Second

// BenchmarkQueues appends records of 128 bytes round robin to as many queues, 8
// to a topic, as each number in QUEUES says (8 and 800 by default; 80000 is
// what the store is made for), in directories under QUEUES_DIR (the temporary
// one). It reports for each number
//
//	msgs/s, p99-us, p999-us, max-ms  of Append of 32 records by two goroutines
//	cpu-us/msg                       processor time for a record, its making, Append, dispatch and two flushes
//	fill-s                           the first record of each queue, with its flush
//	flush-s                          a flush of the views with every queue dirty
//	busy-MB, idle-MB                 heap before that, and after Close and Open
//	fds                              open files
//	first-open-s, open-s             Open after Close, and once more after that
//	killed-open-s, killed-records    Open after SIGKILL, and the records that it read
//	*-cpu-s                          the processor time of that
//
// Run it with -benchtime=1x.
func BenchmarkQueues(b *testing.B) {
	if dir := os.Getenv("QUEUES_KILL"); dir != "" {
		n, err := strconv.Atoi(os.Getenv("QUEUES"))
		if err != nil {
			b.Fatal(err)
		}
		killedRun(b, dir, n)
		return
	}
	list := os.Getenv("QUEUES")
	if list == "" {
		list = "8,800"
	}
	for _, s := range strings.Split(list, ",") {
		n, err := strconv.Atoi(s)
		if err != nil {
			b.Fatal(err)
		}
		b.Run("queues="+s, func(b *testing.B) {
			for b.Loop() {
				benchmarkQueues(b, n)
			}
		})
	}
}

func benchmarkQueues(b *testing.B, n int) {
	dir, err := os.MkdirTemp(os.Getenv("QUEUES_DIR"), "queues")
	if err != nil {
		b.Fatal(err)
	}
	defer os.RemoveAll(dir)
	seconds := func(unit string, do func()) {
		start, cpu := time.Now(), cpuTime(b)
		do()
		b.ReportMetric(time.Since(start).Seconds(), unit)
		b.ReportMetric((cpuTime(b) - cpu).Seconds(), strings.TrimSuffix(unit, "-s")+"-cpu-s")
	}
	before := heap()
	s := openScale(b, dir)
	all := scaleQueues(s, n)
	seconds("fill-s", func() {
		oneEach(b, s, all)
		flushScale(b, s)
	})
	cpu := cpuTime(b)
	lat := appendFor(b, s, all, scaleRun)
	b.ReportMetric(float64((cpuTime(b)-cpu).Nanoseconds())/1e3/float64(len(lat)*scaleBatch), "cpu-us/msg")
	b.ReportMetric(float64(len(lat)*scaleBatch)/scaleRun.Seconds(), "msgs/s")
	slices.Sort(lat)
	at := func(q float64) time.Duration { return lat[int(q*float64(len(lat)-1))] }
	b.ReportMetric(float64(at(.99).Microseconds()), "p99-us")
	b.ReportMetric(float64(at(.999).Microseconds()), "p999-us")
	b.ReportMetric(float64(at(1).Milliseconds()), "max-ms")
	lat = nil
	oneEach(b, s, all)
	if err := s.WaitDispatched(s.MaxPhysical()); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(heap()-before)/1e6, "busy-MB")
	seconds("flush-s", func() { flushScale(b, s) })
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(len(fds)), "fds")
	closeScale(b, s)
	seconds("first-open-s", func() { s = openScale(b, dir) })
	closeScale(b, s)
	seconds("open-s", func() { s = openScale(b, dir) }) // everything is in the page cache
	if got := len(scaleQueues(s, n)); got != n || s.Queue("topic-0", 0).Max() < 2 {
		b.Fatal("records are gone")
	}
	b.ReportMetric(float64(heap()-before)/1e6, "idle-MB")
	closeScale(b, s)

	c := exec.Command(os.Args[0], "-test.run=^$", "-test.bench=^BenchmarkQueues$", "-test.benchtime=1x")
	c.Env = append(os.Environ(), "QUEUES_KILL="+dir, "QUEUES="+strconv.Itoa(n))
	out, err := c.CombinedOutput()
	if status, ok := c.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		b.Fatalf("%v: %s", err, out)
	}
	seconds("killed-open-s", func() { s = openScale(b, dir) })
	b.ReportMetric(float64(s.Stats().Recovery.Records), "killed-records")
	closeScale(b, s)
}

// killedRun appends ten records to each queue, or a million in all, and dies
// before the views are flushed.
func killedRun(b *testing.B, dir string, n int) {
	s := openScale(b, dir)
	all := scaleQueues(s, n)
	for range max(10, 1_000_000/n) {
		oneEach(b, s, all)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
		b.Fatal(err)
	}
	select {}
}

func openScale(b *testing.B, dir string) *Store {
	b.Helper()
	s, err := Open(Config{Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	return s
}

func closeScale(b *testing.B, s *Store) {
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}

func scaleQueues(s *Store, n int) []*Queue {
	all := make([]*Queue, n)
	for i := range all {
		all[i] = s.Queue("topic-"+strconv.Itoa(i/8), int32(i%8))
	}
	return all
}

// scaleBatch is how many records one Append has.
const scaleBatch = 32

func addScale(b *testing.B, batch *Batch, q *Queue, i int) {
	r := rec(fmt.Sprintf("%032d", i), 128)
	if err := batch.Add(q, r); err != nil {
		b.Fatal(err)
	}
}

func oneEach(b *testing.B, s *Store, all []*Queue) {
	var batch Batch
	for i, q := range all {
		addScale(b, &batch, q, i)
		if batch.Len() == scaleBatch || i == len(all)-1 {
			if err := s.Append(&batch); err != nil {
				b.Fatal(err)
			}
			batch.Reset()
		}
	}
}

func flushScale(b *testing.B, s *Store) {
	if err := s.WaitDispatched(s.MaxPhysical()); err != nil {
		b.Fatal(err)
	}
	if err := s.flushViews(); err != nil {
		b.Fatal(err)
	}
}

// appendFor appends round robin with two goroutines and returns how long each
// Append took.
func appendFor(b *testing.B, s *Store, all []*Queue, d time.Duration) []time.Duration {
	var wg sync.WaitGroup
	var lat [2][]time.Duration
	begin := time.Now()
	for g := range lat {
		wg.Go(func() {
			var batch Batch
			for i := g * len(all) / 2; time.Since(begin) < d; {
				batch.Reset()
				for range scaleBatch {
					addScale(b, &batch, all[i%len(all)], i)
					i++
				}
				start := time.Now()
				if err := s.Append(&batch); err != nil {
					b.Error(err)
					return
				}
				lat[g] = append(lat[g], time.Since(start))
			}
		})
	}
	wg.Wait()
	return append(lat[0], lat[1]...)
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
