// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package brokertest

import (
	"testing"

	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/message"
)

// Records are those of a queue in its order, copied; none of a queue that is not
// there. Entries whose record a power cut has taken are passed over. What is not
// dispatched yet is missing.
func Records(t testing.TB, s *store.Store, topic string, queue int32) (list []message.Record) {
	t.Helper()
	q := s.LookupQueue(topic, queue)
	if q == nil {
		return nil
	}
	for from := q.Min(); from < q.Max(); {
		entries, err := s.Entries(nil, q, from, 256)
		if err != nil || len(entries) == 0 {
			t.Fatalf("entries of %s at %d: %d, %v", topic, from, len(entries), err)
		}
		for _, e := range entries {
			if e.Size == 0 {
				continue
			}
			b, release, err := s.Record(e.PhysicalOffset)
			if err != nil {
				t.Fatal(err)
			}
			var rec message.Record
			_, err = message.DecodeRecord(append([]byte(nil), b...), &rec, true)
			release()
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, rec)
		}
		from += int64(len(entries))
	}
	return list
}
