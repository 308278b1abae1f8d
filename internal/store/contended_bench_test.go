// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twostage/twostage/message"
)

// BenchmarkAppendContended appends small records one by one, with as many
// goroutines as the name says, which wait for their turn for as long as it takes or
// for at most three seconds. cpu-ns/op is what the process takes of the cores, which
// says more than ns/op where others use them.
func BenchmarkAppendContended(b *testing.B) {
	for _, wait := range []time.Duration{0, 3 * time.Second} {
		for _, goroutines := range []int{1, 2, 32} {
			b.Run(fmt.Sprintf("wait=%v/%d", wait, goroutines), func(b *testing.B) {
				s, err := Open(Config{Dir: b.TempDir(), CommitLogFileSize: 1 << 30, IndexSlots: 500_000, IndexEntries: 2_000_000})
				if err != nil {
					b.Fatal(err)
				}
				q := s.Queue("T", 0)
				var wg sync.WaitGroup
				before := processorTime(b)
				b.ResetTimer()
				for i := range goroutines {
					n := b.N / goroutines
					if i < b.N%goroutines {
						n++
					}
					wg.Go(func() {
						r := rec("7F00000131BD4E0E2F2A6F7996560000", 100, message.PropertyTags, "TagA")
						batch := Batch{Wait: wait}
						for range n {
							batch.Reset()
							if err := batch.Add(q, r); err != nil {
								b.Error(err)
								return
							}
							if err := s.Append(&batch); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
				b.StopTimer()
				b.ReportMetric(float64(processorTime(b)-before)/float64(b.N), "cpu-ns/op")
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
			})
		}
	}
}

// processorTime is what the process has used.
func processorTime(b *testing.B) int64 {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return r.Utime.Nano() + r.Stime.Nano()
}
