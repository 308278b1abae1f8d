// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

var testHost = netip.MustParseAddrPort("127.0.0.1:10911")

// memConfig is a store with small files whose goroutines do nothing by the
// clock: tests flush when they want to.
func memConfig(m vfs.FS) Config {
	var now atomic.Int64
	now.Store(1_700_000_000_000)
	return Config{Dir: "/data/store", FS: m, CommitLogFileSize: 8192, ConsumeQueueFileSize: 200, IndexSlots: 13, IndexEntries: 40,
		NowMillis: func() int64 { return now.Add(700) }, FlushInterval: time.Hour, ViewFlushInterval: time.Hour,
		FlushThoroughInterval: time.Hour, DelayLevels: []int64{1000, 5000}}
}

// rec is a record whose unique key is its body's name.
func rec(name string, size int, props ...string) *message.Record {
	p := message.AppendProperty(nil, message.PropertyUniqueKey, name)
	for i := 0; i < len(props); i += 2 {
		p = message.AppendProperty(p, props[i], props[i+1])
	}
	body := make([]byte, max(size, len(name)+1))
	copy(body, name+"|")
	return &message.Record{Body: body, Properties: p, BornHost: testHost, StoreHost: testHost}
}

// nameOf undoes rec.
func nameOf(t testing.TB, b []byte) (name string, r message.Record) {
	t.Helper()
	if _, err := message.DecodeRecord(b, &r, true); err != nil {
		t.Fatalf("stored record: %v", err)
	}
	uniq, _ := r.Property(message.PropertyUniqueKey)
	name = string(uniq)
	if len(r.Body) <= len(name) || string(r.Body[:len(name)+1]) != name+"|" {
		t.Fatalf("record %q has another body", name)
	}
	return name, r
}

func put(t testing.TB, s *Store, q *Queue, names ...string) []Appended {
	t.Helper()
	var b Batch
	for _, name := range names {
		if err := b.Add(q, rec(name, 100)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Append(&b); err != nil {
		t.Fatal(err)
	}
	var at []Appended
	for i := range names {
		at = append(at, b.Result(i))
	}
	return at
}

// names lists the records of a queue from an offset on.
func names(t testing.TB, s *Store, q *Queue, from int64) []string {
	t.Helper()
	var list []string
	for from < q.Max() {
		r, err := s.Get(q, from, 32, 1<<20, Filter{})
		if err != nil {
			t.Fatal(err)
		}
		if r.NextOffset <= from {
			t.Fatalf("Get at %d: %+v", from, r)
		}
		for _, b := range r.Records {
			name, _ := nameOf(t, b)
			list = append(list, name)
		}
		from = r.NextOffset
		r.Release()
	}
	return list
}

func dispatched(t testing.TB, s *Store) {
	t.Helper()
	if err := s.WaitDispatched(s.MaxPhysical()); err != nil {
		t.Fatal(err)
	}
}

func numbered(prefix string, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("%s%d", prefix, i)
	}
	return list
}
