// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package consumequeue_test

import (
	"fmt"
	"testing"

	"github.com/twostage/twostage/internal/store/consumequeue"
	"github.com/twostage/twostage/internal/vfs"
)

func TestAllocations(t *testing.T) {
	s := openOS(t, t.TempDir()+"/consumequeue")
	defer s.Close()
	q := s.Queue("T", 0)
	next := int64(0)
	appendSome := func() {
		for range 100 {
			must(t, q.Append(next, record(next)))
			next++
		}
	}
	for range 100 {
		appendSome() // the tail has grown
	}
	if n := testing.AllocsPerRun(100, appendSome); n > 0 {
		t.Errorf("Append: %v allocations in 100", n)
	}
	must(t, s.Flush())
	dst := make([]entry, 0, 100)
	if n := testing.AllocsPerRun(100, func() {
		if got, err := q.Read(dst, 50, 100); err != nil || len(got) != 100 {
			t.Fatal(len(got), err)
		}
	}); n > 0 {
		t.Errorf("Read: %v allocations", n)
	}
}

func openOS(b testing.TB, dir string) *consumequeue.Set {
	b.Helper()
	s, err := consumequeue.Open(consumequeue.Options{FS: vfs.OS(), Dir: dir, Clean: true})
	must(b, err)
	return s
}

func BenchmarkAppend(b *testing.B) {
	for _, queues := range []int32{1, 8, 10_000} {
		b.Run(fmt.Sprintf("queues=%d", queues), func(b *testing.B) {
			s := openOS(b, b.TempDir()+"/consumequeue")
			all := make([]*consumequeue.Queue, queues)
			for i := range all {
				all[i] = s.Queue(fmt.Sprintf("topic-%d", i/8), int32(i%8))
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if err := all[i%len(all)].Append(int64(i/len(all)), record(int64(i))); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			must(b, s.Close())
		})
	}
}

func BenchmarkRead(b *testing.B) {
	s := openOS(b, b.TempDir()+"/consumequeue")
	defer s.Close()
	q := s.Queue("T", 0)
	for i := range int64(100_000) {
		must(b, q.Append(i, record(i)))
	}
	for name, from := range map[string]int64{"file": 5000, "tail": q.Max() - 32} {
		b.Run(name, func(b *testing.B) {
			dst := make([]entry, 0, 32)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := q.Read(dst, from, 32); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkOpen is the start with 10,000 topics of 8 queues of 50 records.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir() + "/consumequeue"
	s := openOS(b, dir)
	for topic := range 10_000 {
		for id := range int32(8) {
			q := s.Queue(fmt.Sprintf("topic-%d", topic), id)
			for i := range int64(50) {
				must(b, q.Append(i, record(i)))
			}
		}
	}
	must(b, s.Close())
	b.ReportAllocs()
	for b.Loop() {
		s := openOS(b, dir)
		b.StopTimer()
		must(b, s.Close())
		b.StartTimer()
	}
}
