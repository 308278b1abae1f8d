// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/twostage/twostage/internal/store/segment"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

// putMany appends records whose tag is "odd" or "even" by their number.
func putMany(t testing.TB, s *Store, q *Queue, n, size int) {
	t.Helper()
	var b Batch
	for i := range n {
		if err := b.Add(q, rec(fmt.Sprintf("n%d", i), size, message.PropertyTags, []string{"even", "odd"}[i%2])); err != nil {
			t.Fatal(err)
		}
		if i%100 == 99 || i == n-1 {
			if err := s.Append(&b); err != nil {
				t.Fatal(err)
			}
			b.Reset()
		}
	}
	dispatched(t, s)
}

// has takes the records with that name.
func has(names ...string) func([]byte) bool {
	return func(b []byte) bool {
		var r message.Record
		if _, err := message.DecodeRecord(b, &r, true); err != nil {
			panic(err)
		}
		key, _ := r.Property(message.PropertyUniqueKey)
		return slices.Contains(names, string(key))
	}
}

func TestFilter(t *testing.T) {
	s := open(t, memConfig(vfs.NewMem()))
	q := s.Queue("T", 0)
	putMany(t, s, q, 100, 100)
	odd := message.TagsCode("odd")
	isOdd := func(code int64) bool { return code == odd }
	for _, c := range []struct {
		name         string
		from         int64
		count, bytes int
		f            Filter
		status       Status
		next         int64
		offsets      []int64
	}{
		{"all", 97, 32, 1 << 20, Filter{}, Found, 100, []int64{97, 98, 99}},
		{"tags", 95, 32, 1 << 20, Filter{Tags: isOdd}, Found, 100, []int64{95, 97, 99}},
		{"records", 0, 32, 1 << 20, Filter{Record: has("n3", "n90", "n4")}, Found, 100, []int64{3, 4, 90}},
		{"both", 0, 32, 1 << 20, Filter{Tags: isOdd, Record: has("n3", "n90", "n4")}, Found, 100, []int64{3}},
		{"few", 0, 2, 1 << 20, Filter{Record: has("n3", "n4", "n90")}, Found, 5, []int64{3, 4}},
		{"one always", 0, 32, 1, Filter{Record: has("n3", "n4")}, Found, 4, []int64{3}},
		{"none", 0, 32, 1 << 20, Filter{Record: has()}, NoMatched, 100, nil},
		{"none, behind", 100, 32, 1 << 20, Filter{Record: has()}, OffsetOverflowOne, 100, nil},
	} {
		r, err := s.Get(q, c.from, c.count, c.bytes, c.f)
		if err != nil || r.Status != c.status || r.NextOffset != c.next || !slices.Equal(r.QueueOffsets, c.offsets) || len(r.Records) != len(c.offsets) {
			t.Errorf("%s: %+v, %v", c.name, r, err)
			continue
		}
		sum := 0
		for i, b := range r.Records {
			if name, rec := nameOf(t, b); name != fmt.Sprintf("n%d", c.offsets[i]) || rec.QueueOffset != c.offsets[i] {
				t.Errorf("%s: record %d is %s", c.name, i, name)
			}
			sum += len(b)
		}
		if sum != r.Bytes {
			t.Errorf("%s: %d bytes, they have %d", c.name, r.Bytes, sum)
		}
		r.Release()
	}
}

// TestFilterSeesWhatItMust: the record only where the tags have matched.
func TestFilterSeesWhatItMust(t *testing.T) {
	s := open(t, memConfig(vfs.NewMem()))
	q := s.Queue("T", 0)
	putMany(t, s, q, 20, 100)
	odd := message.TagsCode("odd")
	tags, records := 0, 0
	r, err := s.Get(q, 0, 32, 1<<20, Filter{Tags: func(c int64) bool { tags++; return c == odd }, Record: func([]byte) bool { records++; return false }})
	if err != nil || r.Status != NoMatched || tags != 20 || records != 10 {
		t.Errorf("%+v, %v: %d tags and %d records seen", r, err, tags, records)
	}
}

// TestFilterBounds: a Get that finds nothing ends after so many entries, or after
// so many bytes of records that it turns down, and the next goes on behind them.
func TestFilterBounds(t *testing.T) {
	cfg := memConfig(vfs.NewMem())
	cfg.CommitLogFileSize, cfg.ConsumeQueueFileSize = 64<<20, 400_000
	s := open(t, cfg)
	small, large := s.Queue("T", 0), s.Queue("T", 1)
	putMany(t, s, small, filteredScan+10, 10)
	const size = 100_000
	putMany(t, s, large, 60, size)
	for _, c := range []struct {
		q    *Queue
		f    Filter
		next int64
	}{
		{small, Filter{Record: has()}, filteredScan},
		{small, Filter{Tags: func(int64) bool { return false }}, filteredScan},
		{large, Filter{Record: has()}, filteredBytes/size + 1},
		{large, Filter{Record: has(), Weight: 4}, filteredBytes/4/size + 1},
		{large, Filter{Record: has(), Weight: 1000}, 1},
		{large, Filter{Tags: func(int64) bool { return false }}, 60},
	} {
		r, err := s.Get(c.q, 0, 32, 1<<20, c.f)
		if err != nil || r.Status != NoMatched || r.NextOffset < max(c.next-1, 1) || r.NextOffset > c.next {
			t.Errorf("%+v, %v, want next %d", r, err, c.next)
		}
		r, err = s.Get(c.q, r.NextOffset, 32, 1<<20, Filter{Record: has("n59", fmt.Sprintf("n%d", filteredScan+3))})
		if err == nil && c.next < 60 && c.next > filteredBytes/2/size && (r.Status != Found || r.QueueOffsets[0] != 59) {
			t.Errorf("behind the bound: %+v", r)
		}
		r.Release()
	}
}

// TestFilterOnACutFile: a filter that reads what the disk does not give ends Get,
// not the process; what was found before is given, and the next Get passes over
// what can't be read as any other does.
func TestFilterOnACutFile(t *testing.T) {
	cfg := memConfig(vfs.OS())
	cfg.Dir, cfg.CheckReads, cfg.CommitLogFileSize = t.TempDir(), CheckNone, 64<<10
	var now atomic.Int64
	now.Store(1_700_000_000_000)
	cfg.NowMillis = now.Load
	s := open(t, cfg)
	q := s.Queue("T", 0)
	at := put(t, s, q, numbered("n", 60)...)
	dispatched(t, s)
	page := int64(os.Getpagesize())
	if err := os.Truncate(segment.Join(cfg.Dir+"/commitlog", 0), page); err != nil {
		t.Fatal(err)
	}
	first := slices.IndexFunc(at, func(a Appended) bool { return a.PhysicalOffset+int64(a.Size) > page })
	look := func(b []byte) bool { return bytes.Contains(b, []byte("UNIQ_KEY")) }
	r, err := s.Get(q, 0, 32, 1<<20, Filter{Record: look})
	if err != nil || len(r.Records) != first || len(r.QueueOffsets) != first || r.NextOffset != int64(first) {
		t.Fatalf("before the cut: %d records of %d, next %d, %v", len(r.Records), first, r.NextOffset, err)
	}
	r.Release()
	if _, err := s.Get(q, int64(first), 32, 1<<20, Filter{Record: look}); !errors.Is(err, ErrUnreadable) {
		t.Fatalf("at the cut: %v", err)
	}
	closeStore(t, s)
}

// TestFilterFaultAtOnce: the very first record can't be read, and no read is
// checked yet.
func TestFilterFaultAtOnce(t *testing.T) {
	cfg := memConfig(vfs.OS())
	cfg.Dir, cfg.CheckReads, cfg.CommitLogFileSize = t.TempDir(), CheckNone, 64<<10
	s := open(t, cfg)
	q := s.Queue("T", 0)
	put(t, s, q, numbered("n", 3)...)
	dispatched(t, s)
	if err := os.Truncate(segment.Join(cfg.Dir+"/commitlog", 0), 0); err != nil {
		t.Fatal(err)
	}
	r, err := s.Get(q, 0, 32, 1<<20, Filter{Record: func(b []byte) bool { return b[0] == 0 }})
	if err == nil || !bytes.Contains([]byte(err.Error()), []byte("queue 0 of \"T\" at 0: the disk gave no data")) || r.Records != nil {
		t.Fatalf("%+v, %v", r, err)
	}
	if _, err := s.Get(q, 0, 32, 1<<20, Filter{}); !errors.Is(err, ErrUnreadable) {
		t.Fatalf("reads are not checked from now on: %v", err)
	}
	closeStore(t, s)
}

// BenchmarkFilter reads a queue of 1 KB messages from one end to the other: what
// a filter that passes 1% costs for each message in the log.
func BenchmarkFilter(b *testing.B) {
	cfg := memConfig(vfs.OS())
	cfg.Dir, cfg.CommitLogFileSize, cfg.ConsumeQueueFileSize = b.TempDir(), 64<<20, 6_000_000
	cfg.IndexSlots, cfg.IndexEntries = 100_000, 400_000
	s := open(b, cfg)
	q := s.Queue("T", 0)
	const n = 20_000
	var batch Batch
	for i := range n {
		if err := batch.Add(q, rec("n", 1024, message.PropertyTags, fmt.Sprint("t", i%100))); err != nil {
			b.Fatal(err)
		}
		if i%50 == 49 {
			if err := s.Append(&batch); err != nil {
				b.Fatal(err)
			}
			batch.Reset()
		}
	}
	dispatched(b, s)
	want := message.TagsCode("t7")
	tag := func(rec []byte) bool {
		var r message.Record
		_, err := message.DecodeRecord(rec, &r, false)
		return err == nil && r.TagsCode() == want
	}
	for _, c := range []struct {
		name string
		f    Filter
	}{
		{"none", Filter{}},
		{"tags1%", Filter{Tags: func(c int64) bool { return c == want }}},
		{"record1%", Filter{Record: tag}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			got, passed, next := 0, int64(0), int64(0)
			for b.Loop() {
				r, err := s.Get(q, next, 32, 256<<10, c.f)
				if err != nil {
					b.Fatal(err)
				}
				got += len(r.Records)
				passed += r.NextOffset - next
				if next = r.NextOffset; next == r.Max {
					next = 0
				}
				r.Release()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(passed), "ns/logged")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(max(got, 1)), "ns/given")
		})
	}
}
