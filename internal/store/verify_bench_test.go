// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
)

// BenchmarkCheckReads is pulls of 32 messages out of the page cache. mixed: four
// other queues take turns, so that a queue's records do not follow one another.
func BenchmarkCheckReads(b *testing.B) {
	for _, size := range []int{100, 1024, 16 << 10} {
		for _, queues := range []int{1, 5} {
			cfg := Config{Dir: b.TempDir(), FS: vfs.OS(), CommitLogFileSize: 256 << 20, IndexSlots: 50_000, IndexEntries: 200_000}
			s, err := Open(cfg)
			if err != nil {
				b.Fatal(err)
			}
			q := s.Queue("T", 0)
			var batch Batch
			for i := range 5000 {
				for k := range queues {
					if err := batch.Add(s.Queue("T", int32(k)), rec(fmt.Sprint(i), size)); err != nil {
						b.Fatal(err)
					}
				}
				if batch.Size() > 512<<10 || i == 4999 {
					if err := s.Append(&batch); err != nil {
						b.Fatal(err)
					}
					batch.Reset()
				}
			}
			dispatched(b, s)
			name := map[int]string{1: "one", 5: "mixed"}[queues]
			for _, policy := range []ReadCheck{CheckNone, CheckCold, CheckAll} {
				for _, ended := range []bool{false, true} {
					if ended && policy != CheckCold {
						continue // they do not ask
					}
					kind := ""
					s.cfg.CheckReads, s.reads.coldBelow = policy, 0
					if ended {
						kind, s.reads.coldBelow = "/before-open", s.log.End()
					}
					b.Run(fmt.Sprintf("%d/%s/%v%s", size, name, policy, kind), func(b *testing.B) {
						next, n := int64(0), 0
						b.ReportAllocs()
						for b.Loop() {
							r, err := s.Get(q, next, 32, 1<<20, Filter{})
							if err != nil || len(r.Records) == 0 {
								b.Fatal(r, err)
							}
							n += len(r.Records)
							if next = r.NextOffset; next == r.Max {
								next = 0
							}
							r.Release()
						}
						b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/msg")
					})
				}
			}
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
		}
	}
}
