// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// BenchmarkPullFilter pulls 1 KB messages over the loopback, all of them or one
// in a hundred of them. ns/logged is what it takes to come over one message of
// the queue, ns/given over one that is given.
func BenchmarkPullFilter(b *testing.B) {
	w := start(b, vfs.OS(), "storePathRootDir", b.TempDir(), "maxHashSlotNum", "10000", "maxIndexNum", "400000",
		"mappedFileSizeCommitLog", "67108864", "mappedFileSizeConsumeQueue", "6000000")
	c := w.client()
	const n, batch = 20_000, 100
	text := bytes.Repeat([]byte("x"), 1024)
	for i := range n / batch {
		list := make([]*message.Message, batch)
		for j := range list {
			list[j] = &message.Message{Topic: "T", Body: text, Properties: message.Properties{"TAGS": fmt.Sprint("t", j), "n": fmt.Sprint(j),
				"UNIQ_KEY": fmt.Sprintf("7F000001000B4AAC0000%012d", i*batch+j), "WAIT": "true"}}
		}
		encoded, err := message.EncodeBatch(list)
		if err != nil {
			b.Fatal(err)
		}
		h := sendHeader("T")
		h.Batch = true
		c.send(h, string(encoded))
	}
	w.stored0(b, n)
	for _, bc := range []struct{ name, kind, expression string }{
		{"all", "TAG", "*"},
		{"tag1%", "TAG", "t7"},
		{"sql1%", "SQL92", "n = 7"},
		{"sqlTAGS1%", "SQL92", "TAGS IN ('t7', 'x') AND n BETWEEN 1 AND 50"},
	} {
		b.Run(bc.name, func(b *testing.B) {
			h := &header.PullRequest{ConsumerGroup: []byte("g"), Topic: []byte("T"), MaxMsgNums: 32, SysFlag: header.PullSubscription,
				Subscription: []byte(bc.expression), ExpressionType: []byte(bc.kind)}
			got, passed := 0, int64(0)
			for b.Loop() {
				p, err := rpc.Pull(context.Background(), c, w.addr, h)
				if err != nil {
					b.Fatal(err)
				}
				if err := message.RangeRecords(p.Records, false, func(*message.Record) error { got++; return nil }); err != nil {
					b.Fatal(err)
				}
				passed += p.Header.NextBeginOffset - h.QueueOffset
				if h.QueueOffset = p.Header.NextBeginOffset; h.QueueOffset >= p.Header.MaxOffset {
					h.QueueOffset = 0
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(passed), "ns/logged")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(max(got, 1)), "ns/given")
		})
	}
}

// stored0 waits until queue 0 of T has n entries.
func (w *world) stored0(b *testing.B, n int64) {
	b.Helper()
	if err := w.store.WaitDispatched(w.store.MaxPhysical()); err != nil {
		b.Fatal(err)
	}
	if got := w.store.Queue("T", 0).Max(); got != n {
		b.Fatalf("%d entries, want %d", got, n)
	}
}
