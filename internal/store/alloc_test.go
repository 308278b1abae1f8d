// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !race

package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

// TestAllocs pins the send and the pull path: nothing per batch, nothing per
// pull.
func TestAllocs(t *testing.T) {
	cfg := memConfig(vfs.OS())
	cfg.Dir, cfg.CommitLogFileSize, cfg.ConsumeQueueFileSize = t.TempDir(), 64<<20, 6_000_000
	cfg.IndexSlots, cfg.IndexEntries = 10_000, 400_000
	s := open(t, cfg)
	q := s.Queue("T", 0)
	r := rec("name", 1024, message.PropertyTags, "tag")
	var b Batch
	send := func() {
		b.Reset()
		for range 16 {
			if err := b.Add(q, r); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Append(&b); err != nil {
			t.Fatal(err)
		}
		dispatched(t, s) // so that the views are in the count
	}
	for range 200 {
		send()
	}
	if n := testing.AllocsPerRun(300, send); n >= 1 {
		t.Errorf("a batch of 16 allocates %v times", n)
	}
	get := func() {
		res, err := s.Get(q, 5, 32, 1<<20, Filter{})
		if err != nil || len(res.Records) != 32 {
			t.Fatal(err)
		}
		res.Release()
	}
	get()
	if n := testing.AllocsPerRun(300, get); n >= 1 {
		t.Errorf("a pull allocates %v times", n)
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{1, 16, 64} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			dir := b.TempDir()
			s, err := Open(Config{Dir: dir, CommitLogFileSize: 1 << 30, IndexSlots: 500_000, IndexEntries: 2_000_000})
			if err != nil {
				b.Fatal(err)
			}
			q := s.Queue("T", 0)
			r := rec("7F00000131BD4E0E2F2A6F7996560000", 1024, message.PropertyTags, "TagA", message.PropertyCluster, "DefaultCluster")
			var batch Batch
			b.SetBytes(1024)
			b.ReportAllocs()
			start := time.Now()
			for n := 0; b.Loop(); n++ {
				if n%size == 0 && n > 0 {
					if err := s.Append(&batch); err != nil {
						b.Fatal(err)
					}
					batch.Reset()
				}
				if err := batch.Add(q, r); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "msg/s")
			b.StopTimer()
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

func BenchmarkGet(b *testing.B) {
	s, err := Open(Config{Dir: b.TempDir(), CommitLogFileSize: 256 << 20, IndexSlots: 500_000, IndexEntries: 2_000_000})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	q := s.Queue("T", 0)
	var batch Batch
	for range 64 {
		if err := batch.Add(q, rec("n", 1024)); err != nil {
			b.Fatal(err)
		}
	}
	for range 1000 {
		if err := s.Append(&batch); err != nil {
			b.Fatal(err)
		}
	}
	dispatched(b, s)
	b.ReportAllocs()
	next := int64(0)
	for b.Loop() {
		r, err := s.Get(q, next, 32, 256<<10, Filter{})
		if err != nil {
			b.Fatal(err)
		}
		if next = r.NextOffset; next == r.Max {
			next = 0
		}
		r.Release()
	}
}
