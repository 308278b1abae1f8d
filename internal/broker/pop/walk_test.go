// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pop

import (
	"net/netip"
	"testing"

	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

// TestWhatCountsAsRevived: PreparedOffset names a checkpoint only in records of the
// broker in topics that the checkpoint revives in. In that of op records it is the
// queue offset of a half message.
func TestWhatCountsAsRevived(t *testing.T) {
	client := netip.MustParseAddrPort("10.0.0.1:4000")
	for _, tc := range []struct {
		topic   string
		born    netip.AddrPort
		revived bool
	}{
		{RetryTopic("g", "T", RetryV1), testHost, true},
		{RetryTopic("g", "T", RetryV2), testHost, true},
		{message.DLQTopic("g"), testHost, true},
		{message.TopicOpHalf, testHost, false},
		{"T", testHost, false},
		{RetryTopic("h", "T", RetryV1), testHost, false},
		{RetryTopic("g", "U", RetryV1), testHost, false},
		{message.DLQTopic("h"), testHost, false},
		{RetryTopic("g", "T", RetryV1), client, false},
	} {
		r := newRig(t)
		r.must(r.send(0, "a"))
		req := Request{Group: "g", Topic: "T", Queue: 0, Max: 1, Invisible: 60_000}
		if list, err := r.pop(req); err != nil || len(list) != 1 {
			t.Fatal(list, err)
		}
		var at int64
		for _, c := range r.s.open.open {
			at = c.at
		}
		var b store.Batch
		r.must(b.Add(r.st.Queue(tc.topic, 0), &message.Record{BornHost: tc.born, StoreHost: testHost, Body: []byte("0,"), PreparedOffset: at}))
		r.must(r.st.Append(&b))
		r.restart((*vfs.Mem).Kill)
		if n := r.s.Stats().InFlight; (n == 0) != tc.revived {
			t.Errorf("a record of %v in %s: %d messages are in flight, revived should be %v", tc.born, tc.topic, n, tc.revived)
		}
		if tc.revived {
			continue
		}
		r.now += 61_000
		r.must(r.turn())
		if s := r.s.Stats(); s.Revived != 1 {
			t.Errorf("after a record of %v in %s the message that nobody acked is not given again: %+v", tc.born, tc.topic, s)
		}
	}
}
