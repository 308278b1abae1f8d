// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"slices"
	"sync/atomic"
	"time"
)

// PutBounds are the upper bounds of Puts.Latency, exclusive. Among them are those of
// RocketMQ's putMessageDistributeTime.
var PutBounds = [...]time.Duration{
	50 * time.Microsecond, 100 * time.Microsecond, 200 * time.Microsecond, 500 * time.Microsecond,
	1 * time.Millisecond, 2 * time.Millisecond, 3 * time.Millisecond, 5 * time.Millisecond, 7 * time.Millisecond,
	10 * time.Millisecond, 20 * time.Millisecond, 30 * time.Millisecond, 50 * time.Millisecond, 70 * time.Millisecond,
	100 * time.Millisecond, 150 * time.Millisecond, 200 * time.Millisecond, 300 * time.Millisecond, 500 * time.Millisecond, 700 * time.Millisecond,
	1 * time.Second, 2 * time.Second, 3 * time.Second, 4 * time.Second, 5 * time.Second, 10 * time.Second,
}

// Puts is what Append has done since Open: all records, those of the broker's own
// included.
type Puts struct {
	Records, Bytes int64 // stored
	Failed         int64 // records that were not stored
	Slowest        time.Duration
	// Latency counts the stored records by how long their Append took, with its wait
	// for the log: those below PutBounds[i], and not below the bound before, are in
	// Latency[i], those above all bounds in the last.
	Latency [len(PutBounds) + 1]int64
}

// puts is Puts as it is counted, for a whole batch at once.
type puts struct {
	records, bytes, failed, slowest atomic.Int64
	latency                         [len(PutBounds) + 1]atomic.Int64
}

// count counts an Append of b that has ended.
func (p *puts) count(b *Batch, took time.Duration) {
	b.took = took
	if n := len(b.items) - b.written; n > 0 {
		p.failed.Add(int64(n))
	}
	if b.written == 0 {
		return
	}
	size := len(b.buf)
	if b.written < len(b.items) {
		size = b.items[b.written].off
	}
	p.records.Add(int64(b.written))
	p.bytes.Add(int64(size))
	p.latency[putBucket(took)].Add(int64(b.written))
	for {
		slowest := p.slowest.Load()
		if int64(took) <= slowest || p.slowest.CompareAndSwap(slowest, int64(took)) {
			return
		}
	}
}

func putBucket(took time.Duration) int {
	i, found := slices.BinarySearch(PutBounds[:], took)
	if found {
		i++
	}
	return i
}

// Puts returns what Append has done until now. Any goroutine may call it.
func (s *Store) Puts() Puts {
	p := Puts{Records: s.puts.records.Load(), Bytes: s.puts.bytes.Load(), Failed: s.puts.failed.Load(), Slowest: time.Duration(s.puts.slowest.Load())}
	for i := range p.Latency {
		p.Latency[i] = s.puts.latency[i].Load()
	}
	return p
}
