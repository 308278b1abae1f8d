// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/store/segment"
	"github.com/twostage/twostage/message"
)

// BenchmarkManyLogFiles opens a log of as many files of 1 GiB as LOG_FILES says
// (100 by default; 10000 are 10 TB), each with one record and the blank marker.
// They are sparse, and take 4 KiB each. It reports
//
//	scratch-s, open-s, killed-open-s  Open without queues and index, after Close, after an abort
//	read-us                           Get of a record of a random file
//	fds, mappings, mapped-GiB         files open and mapped after 20,000 of those
//	heap-MB
//
// Run it with -benchtime=1x.
func BenchmarkManyLogFiles(b *testing.B) {
	n := 100
	if v := os.Getenv("LOG_FILES"); v != "" {
		var err error
		if n, err = strconv.Atoi(v); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		manyLogFiles(b, n)
	}
}

func manyLogFiles(b *testing.B, n int) {
	dir, err := os.MkdirTemp(os.Getenv("QUEUES_DIR"), "log")
	if err != nil {
		b.Fatal(err)
	}
	defer os.RemoveAll(dir)
	makeLogFiles(b, dir+"/commitlog", n)
	var s *Store
	before := heap()
	open := func(unit string) {
		start := time.Now()
		s = openScale(b, dir)
		b.ReportMetric(time.Since(start).Seconds(), unit)
	}
	open("scratch-s")
	closeScale(b, s)
	open("open-s")
	closeScale(b, s)
	if err := os.WriteFile(dir+"/abort", nil, 0o644); err != nil {
		b.Fatal(err)
	}
	open("killed-open-s")
	defer closeScale(b, s)
	q := s.Queue("T", 0)
	if q.Max() != int64(n) {
		b.Fatalf("%d records, want %d", q.Max(), n)
	}
	const reads = 20_000
	start := time.Now()
	for range reads {
		at := rand.Int64N(int64(n))
		r, err := s.Get(q, at, 1, 1<<20, Filter{})
		if err != nil || len(r.Records) != 1 {
			b.Fatalf("record %d: %d records, %v", at, len(r.Records), err)
		}
		r.Release()
	}
	b.ReportMetric(float64(time.Since(start).Microseconds())/reads, "read-us")
	b.ReportMetric(float64(heap()-before)/1e6, "heap-MB")
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(len(fds)), "fds")
	maps, bytes := mappings(b, dir)
	b.ReportMetric(float64(maps), "mappings")
	b.ReportMetric(float64(bytes>>30), "mapped-GiB")
}

// makeLogFiles writes record i of queue 0 of topic T to the start of file i.
func makeLogFiles(b *testing.B, dir string, n int) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		b.Fatal(err)
	}
	const size = 1 << 30
	begin := time.Now().Add(-time.Duration(n) * time.Minute)
	for i := range int64(n) {
		r := rec(fmt.Sprint("m", i), 100)
		r.Topic = []byte("T")
		data := message.AppendRecord(nil, r)
		message.PatchPosition(data, i, i*size, begin.Add(time.Duration(i)*time.Minute).UnixMilli())
		data = message.AppendBlank(data, int32(size-len(data)))
		name := segment.Join(dir, i*size)
		if err := os.WriteFile(name, data, 0o644); err != nil {
			b.Fatal(err)
		}
		if err := os.Truncate(name, size); err != nil {
			b.Fatal(err)
		}
	}
}

// mappings counts the parts of files below dir that are mapped, and their bytes.
func mappings(b *testing.B, dir string) (n int, bytes uint64) {
	list, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(list)) {
		var from, to uint64
		if !strings.Contains(line, dir) {
			continue
		}
		if _, err := fmt.Sscanf(line, "%x-%x", &from, &to); err != nil {
			b.Fatal(err)
		}
		n++
		bytes += to - from
	}
	return n, bytes
}
