// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pending

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"unsafe"
)

// heapLive is the bytes that live on the heap.
func heapLive() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what the first one only let go of
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// fill adds n transactions whose strings are the parts of big buffers, as those
// of a request are.
func fill(tb *Table, n, groups int) {
	for off := range int64(n) {
		buffer := fmt.Sprintf("%032x group %06d topic %s", off*0x9E3779B9, int(off)%groups, strings.Repeat("x", 500))
		tb.Add(Half{
			QueueOffset: off, Physical: off * 700, Key: buffer[:32], Group: buffer[33:45], Topic: buffer[46:51], Stored: off, Due: off + 6000,
		})
	}
}

func TestMemoryOfAMillion(t *testing.T) {
	n := int64(1_000_000)
	if raceEnabled {
		n = 100_000
	}
	for _, groups := range []int{1, 1000} {
		t.Run(fmt.Sprint(groups, " groups"), func(t *testing.T) {
			tb := New(Config{CheckMax: 3, Interval: 1000, MaxAge: 1 << 40, Rate: 1000})
			before := heapLive()
			fill(tb, int(n), groups)
			full := heapLive() - before
			t.Logf("%d bytes each", full/n)
			if full > 120*n {
				t.Errorf("%d bytes for each of %d, want at most 120", full/n, n)
			}
			// In an order that leaves holes everywhere: each in five, four times over,
			// and then the rest.
			for round := range int64(5) {
				for off := round; off < n; off += 5 {
					d, err := tb.Decide(off, off*700, fmt.Sprintf("group %06d", int(off)%groups), Commit)
					if err != nil {
						t.Fatal(err)
					}
					tb.Settle(d, true, off)
				}
			}
			if empty := heapLive() - before; empty > 256<<10 {
				t.Errorf("%d bytes are left when all are settled", empty)
			}
			// The same again in the table that was emptied.
			fill(tb, 1000, 1)
			if tb.Len() != 0 {
				t.Errorf("%d came back", tb.Len())
			}
			runtime.KeepAlive(tb)
		})
	}
}

// What is decided in the order of its storing gives its memory back on the way,
// not only at the end.
func TestMemoryGoesBackOnTheWay(t *testing.T) {
	const n = 200_000
	tb := New(Config{CheckMax: 3, Interval: 1000, MaxAge: 1 << 40})
	before := heapLive()
	fill(tb, n, 10)
	for off := range int64(n * 9 / 10) {
		tb.Settle(mustDecide(t, tb, off, fmt.Sprintf("group %06d", off%10)), true, 0)
	}
	if rest := heapLive() - before; rest > n/10*240 {
		t.Errorf("%d bytes for the last tenth, %d each", rest, rest/(n/10))
	}
	runtime.KeepAlive(tb)
}

func mustDecide(tb testing.TB, table *Table, off int64, group string) *Decision {
	d, err := table.Decide(off, off*700, group, Commit)
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

func TestSizes(t *testing.T) {
	if size := unsafe.Sizeof(node{}); size != 80 {
		t.Errorf("a node has %d bytes, want 80", size)
	}
	if size := unsafe.Sizeof(block{}); size > 2064 {
		t.Errorf("a block has %d bytes, want 2 KiB", size)
	}
}

func TestAddDoesNotAllocate(t *testing.T) {
	tb := New(Config{CheckMax: 3, Interval: 1000, MaxAge: 1 << 40, Rate: 1000})
	tb.Add(half(0, "g", "first"))
	keys := make([]string, 20_000)
	for i := range keys {
		keys[i] = fmt.Sprintf("%032x", i)
	}
	off := int64(0)
	if n := testing.AllocsPerRun(len(keys)-2, func() {
		off++
		tb.Add(Half{QueueOffset: off, Physical: off, Group: "g", Topic: "T", Key: keys[off], Due: off})
	}); n > 0 {
		t.Errorf("%v allocations for each", n)
	}
}

// background is how many others are pending in the benchmarks.
var background = []int{0, 1_000_000}

func benchTable(n int) (*Table, []string) {
	tb := New(Config{CheckMax: 15, Interval: 60_000, MaxAge: 72 * 3600 * 1000})
	fill(tb, n, 100)
	keys := make([]string, 1<<16)
	for i := range keys {
		keys[i] = fmt.Sprintf("own %028x", i)
	}
	return tb, keys
}

// Halves that stay: the table grows with b.N.
func BenchmarkAdd(b *testing.B) {
	for _, n := range background {
		b.Run(fmt.Sprint("pending=", n), func(b *testing.B) {
			tb, _ := benchTable(n)
			keys := make([]string, b.N)
			for i := range keys {
				keys[i] = fmt.Sprintf("own %028x", i)
			}
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				off := int64(n + i)
				tb.Add(Half{QueueOffset: off, Physical: off * 700, Group: "group 000007", Topic: "topic", Key: keys[i], Stored: off, Due: off + 6000})
			}
		})
	}
}

// The life of a transaction that is decided in time, with 1000 of them at once.
func BenchmarkAddDecideSettle(b *testing.B) {
	for _, n := range background {
		b.Run(fmt.Sprint("pending=", n), func(b *testing.B) {
			tb, keys := benchTable(n)
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				off := int64(n + i)
				tb.Add(Half{QueueOffset: off, Physical: off * 700, Group: "group 000007", Topic: "topic", Key: keys[i%len(keys)], Stored: off, Due: off + 6000})
				if i >= 1000 {
					tb.Settle(mustDecide(b, tb, off-1000, "group 000007"), true, off)
				}
			}
		})
	}
}

// Those that are decided have pended longest, which is the dearest order.
func BenchmarkDecideSettle(b *testing.B) {
	tb, _ := benchTable(0)
	fill(tb, b.N, 1)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		tb.Settle(mustDecide(b, tb, int64(i), "group 000000"), true, int64(i))
	}
}

func BenchmarkNextHanded(b *testing.B) {
	for _, groups := range []int{1, 1000} {
		b.Run(fmt.Sprint("groups=", groups), func(b *testing.B) {
			tb := New(Config{CheckMax: 1 << 20, Interval: 1000, MaxAge: 1 << 40})
			fill(tb, 100_000, groups)
			b.ReportAllocs()
			b.ResetTimer()
			now := int64(0)
			for range b.N {
				a, ok := tb.Next(now)
				for !ok {
					now, _ = tb.Wake()
					a, ok = tb.Next(now)
				}
				tb.Handed(a, now)
			}
		})
	}
}
