// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/vfs"
)

// TestPutsAreCounted: stored records count with their bytes and with the time of
// their batch, those that were not stored count as failed.
func TestPutsAreCounted(t *testing.T) {
	s := open(t, memConfig(vfs.NewMem()))
	q := s.Queue("T", 0)
	size := int64(0)
	for _, n := range []int{1, 16} {
		var b Batch
		for range n {
			if err := b.Add(q, rec("k", 100)); err != nil {
				t.Fatal(err)
			}
		}
		size += int64(b.Size())
		if err := s.Append(&b); err != nil {
			t.Fatal(err)
		}
		if b.Took() <= 0 {
			t.Error("an Append took no time")
		}
	}
	if p, end := s.Puts(), s.Stats().End; p.Records != 17 || p.Bytes != size || p.Bytes != end || p.Failed != 0 || p.Slowest <= 0 || latencies(p) != 17 {
		t.Errorf("%+v, the log ends at %d", p, end)
	}
	var b Batch
	for range 3 {
		if err := b.Add(q, rec("k", 100)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.DeleteTopic("T"); err != nil {
		t.Fatal(err)
	}
	if err := s.Append(&b); !errors.Is(err, ErrDeleted) {
		t.Fatal(err)
	}
	if p := s.Puts(); p.Records != 17 || p.Failed != 3 || latencies(p) != 17 {
		t.Errorf("after a failure: %+v", p)
	}
}

func latencies(p Puts) (n int64) {
	for _, l := range p.Latency {
		n += l
	}
	return n
}

func TestPutBuckets(t *testing.T) {
	if got := putBucket(0); got != 0 {
		t.Errorf("0 is in bucket %d", got)
	}
	for i, bound := range PutBounds {
		if below, at := putBucket(bound-1), putBucket(bound); below != i || at != i+1 {
			t.Errorf("%v: just below in %d, there in %d, want %d and %d", bound, below, at, i, i+1)
		}
	}
	if got := putBucket(time.Hour); got != len(PutBounds) {
		t.Errorf("an hour is in bucket %d", got)
	}
}
