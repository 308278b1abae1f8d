// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pop

import (
	"testing"

	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
)

// FuzzRecords reads bodies of revive records as Open does: no panic, whatever they
// say, and the tables stay sound.
func FuzzRecords(f *testing.F) {
	p := body.PopCheckPoint{Group: "g", Topic: "T", Num: 2, QueueOffsetDiff: []int32{0, 1}, PopTime: 5, InvisibleTime: 7}
	f.Add(byte(0), body.Marshal(&p), byte(1), body.Marshal(&body.AckMsg{Group: "g", Topic: "T", PopTime: 5, AckOffset: 1}))
	p.Num = 0
	f.Add(byte(0), body.Marshal(&p), byte(2), body.Marshal(&body.AckMsg{Group: "g", Topic: "T", PopTime: 5, AckOffset: -1, AckOffsetList: []int64{0, 1}}))
	r := newRig(f)
	tags := []string{tagCheckpoint, tagAck, tagBatchAck}
	f.Fuzz(func(t *testing.T, tag1 byte, text1 []byte, tag2 byte, text2 []byte) {
		r.s.open, r.s.orders = newMerge(), newOrders()
		r.s.open.byRecord = map[int64]*checkpoint{}
		w := walk{s: r.s, foreign: tag1 > 99, seen: map[key]bool{}}
		for i, text := range [][]byte{text1, text2} {
			props := message.AppendProperty(nil, message.PropertyTags, tags[int([]byte{tag1, tag2}[i])%3])
			if err := w.visit(&message.Record{Topic: []byte(r.s.revive), Body: text, Properties: props, PhysicalOffset: int64(i)}); err != nil {
				t.Fatal(err)
			}
		}
		for k, c := range r.s.open.open {
			if k != c.key || c.pos == 0 || len(c.diffs) == 0 || len(c.diffs) > MaxMessages || c.done&c.all() == c.all() {
				t.Fatalf("an unsound checkpoint %+v", c)
			}
		}
	})
}
