// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

func TestAppendAndGet(t *testing.T) {
	cfg := memConfig(vfs.NewMem())
	var arrived []string
	cfg.OnArrive = func(q *Queue, offset, tags, _ int64, props []byte) {
		uniq, _ := message.Property(props, message.PropertyUniqueKey)
		arrived = append(arrived, fmt.Sprintf("%s-%d/%d/%d/%s", q.Topic(), q.ID(), offset, tags, uniq))
	}
	s := open(t, cfg)
	q := s.Queue("T", 3)
	if s.Queue("T", 3) != q || s.LookupQueue("T", 3) != q || s.LookupQueue("T", 4) != nil {
		t.Fatal("handles")
	}
	var b Batch
	for i := range 40 {
		tag := "even"
		if i%2 == 1 {
			tag = "odd"
		}
		if err := b.Add(q, rec(fmt.Sprintf("n%d", i), 400, message.PropertyTags, tag)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Append(&b); err != nil || b.Written() != 40 {
		t.Fatal(err, b.Written())
	}
	dispatched(t, s)
	if len(s.log.Starts()) < 2 {
		t.Fatal("no roll")
	}
	var last Appended
	for i := range 40 {
		at := b.Result(i)
		if at.QueueOffset != int64(i) || i > 0 && at.PhysicalOffset < last.PhysicalOffset+int64(last.Size) || at.StoreTimestamp < last.StoreTimestamp {
			t.Fatalf("record %d is at %+v after %+v", i, at, last)
		}
		last = at
	}
	if got, want := names(t, s, q, 0), numbered("n", 40); !slices.Equal(got, want) {
		t.Fatalf("got %v", got)
	}
	if want := fmt.Sprintf("T-3/1/%d/n1", message.TagsCode("odd")); len(arrived) != 40 || arrived[1] != want {
		t.Fatalf("arrived %v", arrived)
	}

	odd := message.TagsCode("odd")
	size := int(b.Result(0).Size)
	for _, c := range []struct {
		from         int64
		count, bytes int
		match        func(int64) bool
		status       Status
		next         int64
		records      int
		first        string
	}{
		{0, 5, 1 << 20, nil, Found, 5, 5, "n0"},
		{0, 32, 3 * size, nil, Found, 3, 3, "n0"},
		{0, 32, 1, nil, Found, 1, 1, "n0"}, // one record always
		{0, 0, 0, nil, Found, 1, 1, "n0"},
		{38, 32, 1 << 20, nil, Found, 40, 2, "n38"},
		{0, 3, 1 << 20, func(c int64) bool { return c == odd }, Found, 6, 3, "n1"},
		{0, 32, 1 << 20, func(int64) bool { return false }, NoMatched, 40, 0, ""},
		{40, 32, 1 << 20, nil, OffsetOverflowOne, 40, 0, ""},
		{41, 32, 1 << 20, nil, OffsetOverflowBadly, 40, 0, ""},
		{-1, 32, 1 << 20, nil, OffsetTooSmall, 0, 0, ""},
	} {
		r, err := s.Get(q, c.from, c.count, c.bytes, Filter{Tags: c.match})
		if err != nil || r.Status != c.status || r.NextOffset != c.next || len(r.Records) != c.records || r.Min != 0 || r.Max != 40 {
			t.Errorf("Get(%d, %d, %d) = %+v, %v, want %+v", c.from, c.count, c.bytes, r, err, c)
			continue
		}
		if c.records > 0 {
			if name, _ := nameOf(t, r.Records[0]); name != c.first {
				t.Errorf("Get(%d) begins with %s", c.from, name)
			}
		}
		r.Release()
	}
	if r, err := s.Get(s.Queue("T", 9), 5, 32, 1, Filter{}); err != nil || r.Status != NoMessageInQueue || r.NextOffset != 0 {
		t.Errorf("empty queue: %+v, %v", r, err)
	}
}

func TestViewsByTransactionFlag(t *testing.T) {
	s := open(t, memConfig(vfs.NewMem()))
	q := s.Queue("T", 0)
	var b Batch
	flags := []message.SysFlag{message.TransactionNone, message.TransactionPrepared, message.TransactionRollback, message.TransactionCommit}
	for i, f := range flags {
		r := rec(fmt.Sprintf("t%d", i), 10)
		r.SysFlag = f
		if err := b.Add(q, r); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Append(&b); err != nil {
		t.Fatal(err)
	}
	dispatched(t, s)
	if got := names(t, s, q, 0); !slices.Equal(got, []string{"t0", "t3"}) {
		t.Errorf("the queue has %v", got)
	}
	for i, want := range []int64{0, 0, 0, 1} {
		if got := b.Result(i).QueueOffset; got != want {
			t.Errorf("record %d has queue offset %d", i, got)
		}
	}
	for i, want := range []int{1, 1, 0, 1} {
		r, err := s.Query("T", fmt.Sprintf("t%d", i), 10, 0, math.MaxInt64)
		if err != nil || len(r.Records) != want {
			t.Errorf("query t%d: %d records, %v", i, len(r.Records), err)
		}
		r.Release()
	}
}

func TestScheduleTagsCode(t *testing.T) {
	m := vfs.NewMem()
	s := open(t, memConfig(m))
	check := func() {
		t.Helper()
		for level, delay := range []int64{message.TagsCode("tag"), 1000, 5000, 5000} {
			q := s.Queue(message.TopicSchedule, int32(level))
			ts, err := s.StoreTimeAt(q, 0)
			if err != nil {
				t.Fatal(err)
			}
			want := ts + delay
			if level == 0 {
				want = delay
			}
			if e, err := s.Entries(nil, q, 0, 1); err != nil || len(e) != 1 || e[0].TagsCode != want {
				t.Errorf("level %d: %+v, %v, want %d", level, e, err, want)
			}
		}
	}
	var b Batch
	for level := range 4 {
		if err := b.Add(s.Queue(message.TopicSchedule, int32(level)), rec("x", 5, message.PropertyTags, "tag", message.PropertyDelay, fmt.Sprint(level))); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Append(&b); err != nil {
		t.Fatal(err)
	}
	dispatched(t, s)
	check()
	m = m.Kill() // the entries are computed again
	if err := s.Close(); err == nil {
		t.Fatal("Close on a dead disk succeeded")
	}
	s = open(t, memConfig(m))
	check()
}

func TestAtomicBatchStaysInOneFile(t *testing.T) {
	cfg := memConfig(vfs.NewMem())
	s := open(t, cfg)
	q := s.Queue("T", 0)
	put(t, s, q, numbered("fill", 30)...)
	left := cfg.CommitLogFileSize - s.MaxPhysical()%cfg.CommitLogFileSize
	var b Batch
	b.Atomic = true
	for b.Len() == 0 || int64(b.Size()) <= left {
		if err := b.Add(q, rec("a", 900)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Append(&b); err != nil {
		t.Fatal(err)
	}
	if at := b.Result(0).PhysicalOffset; at%cfg.CommitLogFileSize != 0 {
		t.Fatalf("the batch begins at %d", at)
	}
	for int64(b.Size()) <= cfg.CommitLogFileSize {
		if err := b.Add(q, rec("a", 900)); err != nil {
			t.Fatal(err)
		}
	}
	end := s.MaxPhysical()
	if err := s.Append(&b); !errors.Is(err, ErrTooLarge) || s.MaxPhysical() != end || b.Written() != 0 {
		t.Fatalf("a batch larger than a file: %v", err)
	}
	b.Atomic = false
	if err := s.Append(&b); err != nil {
		t.Fatal(err)
	}
}

func TestBatchRefuses(t *testing.T) {
	cfg := memConfig(vfs.NewMem())
	cfg.MaxMessageSize = 5000
	s := open(t, cfg)
	q := s.Queue("T", 0)
	var b Batch
	for name, c := range map[string]struct {
		q    *Queue
		size int
		want string
	}{
		"body over the limit": {q, 5001, "maxMessageSize"},
		"topic of a path":     {s.Queue("../x", 0), 5, "no queue"},
		"hidden topic":        {s.Queue(".x", 0), 5, "no queue"},
		"negative queue":      {s.Queue("T", -1), 5, "no queue"},
		"empty topic":         {s.Queue("", 0), 5, "no queue"},
	} {
		if err := b.Add(c.q, rec("n", c.size)); err == nil || !strings.Contains(err.Error(), c.want) || b.Len() != 0 || b.Size() != 0 {
			t.Errorf("%s: %v, batch of %d", name, err, b.Len())
		}
	}
	r := rec("n", 100)
	r.Topic, r.QueueID = []byte("T"), 0
	enc := message.AppendRecord(nil, r)
	if err := b.AddEncoded(q, enc); err != nil {
		t.Fatal(err)
	}
	if err := b.AddEncoded(s.Queue("T", 1), enc); err == nil {
		t.Error("an encoded record of another queue was accepted")
	}
	if err := b.AddEncoded(q, enc[:50]); err == nil {
		t.Error("half a record was accepted")
	}
	if err := b.AddEncoded(q, append(enc, 0)); err == nil {
		t.Error("bytes behind a record were accepted")
	}
	if err := s.Append(&b); err != nil {
		t.Fatal(err)
	}
	dispatched(t, s)
	if got := names(t, s, q, 0); !slices.Equal(got, []string{"n"}) {
		t.Fatalf("queue has %v", got)
	}
	other := open(t, memConfig(vfs.NewMem()))
	if err := other.Append(&b); err == nil {
		t.Error("a batch of another store was accepted")
	}
}

func TestClockGoingBack(t *testing.T) {
	m := vfs.NewMem()
	cfg := memConfig(m)
	var now atomic.Int64
	now.Store(1_700_000_000_000)
	cfg.NowMillis = now.Load
	s := open(t, cfg)
	q := s.Queue("T", 0)
	first := put(t, s, q, "a")[0]
	now.Add(-3_600_000)
	if at := put(t, s, q, "b")[0]; at.StoreTimestamp != first.StoreTimestamp {
		t.Fatalf("store time went from %d to %d", first.StoreTimestamp, at.StoreTimestamp)
	}
	closeStore(t, s)
	s = open(t, cfg)
	if at := put(t, s, s.Queue("T", 0), "c")[0]; at.StoreTimestamp != first.StoreTimestamp {
		t.Fatalf("after reopening: from %d to %d", first.StoreTimestamp, at.StoreTimestamp)
	}
}

func TestOffsetByTime(t *testing.T) {
	cfg := memConfig(vfs.NewMem())
	var now atomic.Int64
	cfg.NowMillis = now.Load
	s := open(t, cfg)
	q := s.Queue("T", 0)
	if got, err := s.OffsetByTime(q, 5, Nearest); got != 0 || err != nil {
		t.Fatalf("empty queue: %d", got)
	}
	for i, ts := range []int64{1000, 1100, 1100, 1100, 1200, 1300} {
		now.Store(ts)
		put(t, s, q, fmt.Sprintf("n%d", i))
	}
	dispatched(t, s)
	for ts, want := range map[int64]int64{-5: 0, 999: 0, 1000: 0, 1050: 0, 1051: 1, 1100: 1, 1149: 1, 1150: 1, 1151: 4, 1200: 4, 1250: 4, 1251: 5, 1300: 5, 9999: 5} {
		if got, err := s.OffsetByTime(q, ts, Nearest); got != want || err != nil {
			t.Errorf("OffsetByTime(%d) = %d, %v, want %d", ts, got, err, want)
		}
	}
}

func TestEarliestTime(t *testing.T) {
	s := open(t, memConfig(vfs.NewMem()))
	if got := s.EarliestTime(); got != -1 {
		t.Fatalf("EarliestTime = %d with nothing in the log", got)
	}
	q := s.Queue("T", 0)
	first := put(t, s, q, "a")[0]
	if got := s.EarliestTime(); got != first.StoreTimestamp {
		t.Fatalf("EarliestTime = %d with one record in the log, want %d", got, first.StoreTimestamp)
	}
	put(t, s, q, numbered("n", 20)...)
	if got := s.EarliestTime(); got != first.StoreTimestamp {
		t.Fatalf("EarliestTime = %d, want %d", got, first.StoreTimestamp)
	}
}
