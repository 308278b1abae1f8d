// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package txn

import (
	"fmt"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

// BenchmarkTransaction is what a committed transaction costs the broker without
// sockets: 64 half messages of 1 KB in one append, then their 64 commits.
func BenchmarkTransaction(b *testing.B) {
	fs, dir := vfs.OS(), b.TempDir()
	now := func() int64 { return time.Now().UnixMilli() }
	st, err := store.Open(store.Config{Dir: dir, FS: fs, CommitLogFileSize: 1 << 30, ConsumeQueueFileSize: 6_000_000, IndexSlots: 5_000_000, IndexEntries: 20_000_000, NowMillis: now})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = st.Close() }()
	s, err := Open(Config{Log: st, Offsets: newMarks(), Delays: delays{}, Producers: func(string) (Producer, bool) { return nil, false },
		Topic: func(string) error { return nil }, FS: fs, Dir: dir, NowMillis: now, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
		Host: netip.MustParseAddrPort("127.0.0.1:10911"), Timeout: time.Hour, Checks: 15, Interval: time.Minute, MaxAge: time.Hour, Rate: 1000})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	const together = 64
	body := make([]byte, 1024)
	var halves store.Batch
	var ends Ends
	var recs [together]*message.Record
	for i := range recs {
		recs[i] = prepared("twostage_bench", fmt.Sprintf("7F000001000000000000000000%06d", i), "TAGS", "a", "KEYS", "k")
		recs[i].Body = body
	}
	var scratch []byte
	var pendings [together]Pending
	done := func(code int32, remark string) {
		if code != 0 {
			b.Fatal(code, remark)
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; n += together {
		halves.Reset()
		for i := range together {
			rec := *recs[i]
			rec.Topic, rec.QueueID = []byte("T"), int32(i%8)
			q := s.Prepare(&rec, scratch, &pendings[i])
			scratch = rec.Properties
			if err := halves.Add(q, &rec); err != nil {
				b.Fatal(err)
			}
		}
		if err := st.Append(&halves); err != nil {
			b.Fatal(err)
		}
		for i := range together {
			s.Stored(halves.Result(i), halves.Encoded(i), &pendings[i])
		}
		for i := range together {
			at := halves.Result(i)
			s.Gather(&ends, End{Group: "twostage_bench", QueueOffset: at.QueueOffset, Physical: at.PhysicalOffset, Outcome: Commit}, done)
		}
		s.Carry(&ends)
	}
}
