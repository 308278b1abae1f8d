// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package fsck

import (
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

// TestDumpGolden: every field of every record, and every queue entry, is what
// RocketMQ reads; the directory stays as it was, without a lock file.
func TestDumpGolden(t *testing.T) {
	for _, name := range []string{"store-clean", "store-killed"} {
		o, m := golden(t, name)
		if err := os.Remove(o.Dir + "/lock"); err != nil {
			t.Fatal(err)
		}
		before := digest(tree(t, vfs.OS(), o.Dir))
		d := must(Open(o))(t)
		var records []*Record
		if err := d.DumpLog(t.Context(), Filter{}, func(r *Record) error {
			if r.What == "record" {
				records = append(records, r)
			} else if r.What != "blank" {
				t.Errorf("%+v", r)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if len(records) != len(m.Messages) {
			t.Fatalf("%s: %d records, want %d", name, len(records), len(m.Messages))
		}
		entries := map[int64]*QueueEntry{} // by log offset
		if err := d.DumpQueues(t.Context(), Filter{}, func(e *QueueEntry) error {
			entries[e.LogOffset] = e
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		missing := 0
		for i := range m.Messages {
			w, r := &m.Messages[i], records[i]
			if r.Offset != w.CommitLogOffset || r.Size != int64(w.StoreSize) || r.Topic != w.Topic || r.Queue != w.QueueID || r.QueueOffset != w.QueueOffset ||
				r.Flag != w.Flag || r.SysFlag != w.SysFlag || r.BornTime != w.BornTimestamp || r.StoreTime != w.StoreTimestamp ||
				!sameHost(r.BornHost, w.BornHost) || !sameHost(r.StoreHost, w.StoreHost) || r.ReconsumeTimes != w.ReconsumeTimes ||
				r.PreparedOffset != w.PreparedTransactionOffset || int64(r.BodySize) != w.StoredBodyLength {
				t.Errorf("%s: record %+v %+v\nwant %+v", name, r, r.Fields, w)
			}
			properties := map[string]string{}
			for _, p := range r.Properties {
				properties[p[0]] = p[1]
			}
			if !maps.Equal(properties, w.Properties) {
				t.Errorf("%s: record %d has properties %v, want %v", name, r.Offset, properties, w.Properties)
			}
			if r.Topic == message.TopicOpHalf && (r.Op == nil || len(r.Op.Halves) != 1 || r.Op.Outcome != "decided") {
				t.Errorf("%s: op record %+v", name, r.Op)
			}
			if w.CQ == nil {
				continue
			}
			e := entries[r.Offset]
			if e == nil {
				missing++
				continue
			}
			if e.Topic != w.Topic || e.Queue != w.QueueID || e.Offset != w.CQ.Index || e.Size != w.CQ.Size || e.Tags != w.CQ.TagsCode {
				t.Errorf("%s: entry %+v, want %+v", name, e, w.CQ)
			}
		}
		if want := map[string]int{"store-killed": 2}[name]; missing != want {
			t.Errorf("%s: %d records without an entry", name, missing)
		}
		keys := 0
		if err := d.DumpIndex(t.Context(), Filter{}, func(*IndexFile) error { return nil }, func(*IndexEntry) error {
			keys++
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		s := must(d.Stat(t.Context()))(t)
		if s.Log.End != m.AfterLoad.MaxPhyOffset || s.Index.Entries != int64(keys) || int(s.Queues.Entries) != len(entries) || s.Log.FileSize != 262144 ||
			s.Log.FirstTime != m.Messages[0].StoreTimestamp || s.Log.LastTime != m.Messages[len(m.Messages)-1].StoreTimestamp || s.Abort != (name == "store-killed") {
			t.Errorf("%s: %+v", name, s)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		if after := digest(tree(t, vfs.OS(), o.Dir)); !maps.Equal(before, after) {
			t.Errorf("%s: the directory has changed", name)
		}
	}
}

// sameHost compares an address with that of RocketMQ, which has no brackets.
func sameHost(got, want string) bool {
	return strings.NewReplacer("[", "", "]", "", "/", "").Replace(got) == strings.NewReplacer("[", "", "]", "", "/", "").Replace(want) ||
		strings.HasSuffix(want, got[strings.LastIndexByte(got, ':'):]) && strings.Contains(got, "::1") && strings.Contains(want, "0:0:0:0:0:0:0:1")
}

// TestFilters: what is asked for comes, and no more.
func TestFilters(t *testing.T) {
	m := stopped(t)
	all := positions(t, m)
	d := must(Open(options(m)))(t)
	defer d.Close()
	queue := int32(1)
	for _, c := range []struct {
		f    Filter
		want func(r *Record) bool
	}{
		{Filter{From: all[10].Offset, To: all[20].Offset}, func(r *Record) bool { return r.Offset >= all[10].Offset && r.Offset < all[20].Offset }},
		{Filter{From: all[10].Offset + 1, To: all[20].Offset + 1}, func(r *Record) bool { return r.Offset > all[10].Offset && r.Offset <= all[20].Offset }},
		{Filter{Topic: "T1"}, func(r *Record) bool { return r.Fields != nil && r.Topic == "T1" }},
		{Filter{Topic: "T1", Queue: &queue}, func(r *Record) bool { return r.Fields != nil && r.Topic == "T1" && r.Queue == 1 }},
		{Filter{Key: "ID7"}, func(r *Record) bool { return r.Fields != nil && r.Properties[0][1] == "ID7" }},
		{Filter{Key: "b3"}, func(r *Record) bool {
			return r.Fields != nil && len(r.Properties) > 1 && strings.HasSuffix(r.Properties[1][1], " b3")
		}},
		{Filter{From: 1 << 40}, func(*Record) bool { return false }},
	} {
		want, got := 0, 0
		for i := range all {
			if c.want(&all[i]) {
				want++
			}
		}
		if err := d.DumpLog(t.Context(), c.f, func(r *Record) error {
			if got++; !c.want(r) {
				t.Errorf("%+v gave %+v", c.f, r)
			}
			return nil
		}); err != nil || got != want || want == 0 && c.f.From == 0 {
			t.Errorf("%+v: %d records, want %d, %v", c.f, got, want, err)
		}
		if want < 2 {
			continue
		}
		c.f.Limit, got = want-1, 0
		if err := d.DumpLog(t.Context(), c.f, func(*Record) error { got++; return nil }); err != nil || got != want-1 {
			t.Errorf("%+v: %d records, %v", c.f, got, err)
		}
	}
	found := 0
	if err := d.DumpIndex(t.Context(), Filter{Topic: "T1", Key: "a4"}, func(*IndexFile) error { return nil }, func(e *IndexEntry) error {
		if found++; e.LogOffset != all[4].Offset || e.Time > all[4].StoreTime || e.Time < all[4].StoreTime-1000 {
			t.Errorf("%+v, the record is %+v", e, all[4])
		}
		return nil
	}); err != nil || found != 1 {
		t.Errorf("%d entries, %v", found, err)
	}
}

// TestStatAfterRetention: minimum and maximum of queues that have lost records.
func TestStatAfterRetention(t *testing.T) {
	m := trimmed(t)
	s := must(store.Open(config(m)))(t)
	want := map[string][2]int64{}
	s.RangeQueues(func(q *store.Queue) bool {
		want[q.Topic()+string(rune('0'+q.ID()))] = [2]int64{q.Min(), q.Max()}
		return true
	})
	closeStore(t, s)
	d := must(Open(options(m)))(t)
	defer d.Close()
	for _, topic := range must(d.Stat(t.Context()))(t).Topics {
		for _, q := range topic.Queues {
			if got := [2]int64{q.Min, q.Max}; got != want[topic.Topic+string(rune('0'+q.ID))] {
				t.Errorf("%s/%d: %v, want %v", topic.Topic, q.ID, got, want[topic.Topic+string(rune('0'+q.ID))])
			}
		}
	}
	if r := verify(t, m); len(r.Findings) != 0 {
		t.Errorf("%v", r.Findings)
	}
}
