// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"fmt"
	"testing"
	"time"
)

// TestCountingDoesNotAllocate once a name is known.
func TestCountingDoesNotAllocate(t *testing.T) {
	s := New(Config{Cluster: "c", Now: time.Now})
	count := func() {
		s.Sent("T", 2, 3, 100, time.Microsecond)
		s.Out("g", "T", 3, 100, time.Microsecond)
		s.Missed(time.Microsecond)
		s.SentBack("g", "T")
		s.Popped("g", "T", 1)
		s.Acked("g", "T", 1)
	}
	count()
	if n := testing.AllocsPerRun(1000, count); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkCount is the cost of counting one request, with so many topics.
func BenchmarkCount(b *testing.B) {
	for _, topics := range []int{1, 10_000} {
		s := New(Config{Cluster: "c", Now: time.Now})
		names := make([]string, topics)
		for i := range names {
			names[i] = fmt.Sprint("a topic of the usual length ", i)
			s.Sent(names[i], 1, 1, 1, 1)
			s.Out("a consumer group", names[i], 1, 1, 1)
		}
		s.Sample()
		b.Run(fmt.Sprint("sent/", topics), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				s.Sent(names[i%topics], 1, 1, 1024, time.Microsecond)
			}
		})
		b.Run(fmt.Sprint("out/", topics), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				s.Out("a consumer group", names[i%topics], 1, 1024, time.Microsecond)
			}
		})
		b.Run(fmt.Sprint("sample/", topics), func(b *testing.B) {
			now := time.Now()
			for i := 0; b.Loop(); i++ {
				s.Sent(names[i%topics], 1, 1, 1024, time.Microsecond)
				now = now.Add(10 * time.Second)
				s.sample(now, s.source)
			}
		})
	}
}
