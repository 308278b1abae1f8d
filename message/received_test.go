// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package message

import (
	"bytes"
	"reflect"
	"slices"
	"testing"
)

// pullOf is the body of a pull with n records of size bytes.
func pullOf(n, size int) (b []byte) {
	r := sampleRecord()
	r.Body = make([]byte, size)
	r.Properties = []byte("UNIQ_KEY\x017F0000010001000000000000000000\x02WAIT\x01true\x02TAGS\x01TagA\x02KEYS\x01k1 k2")
	for i := range n {
		r.QueueOffset = int64(i)
		b = AppendRecord(b, r)
	}
	return b
}

// TakeReceived reads what DecodeReceived does, of whatever bytes.
func FuzzTakeReceived(f *testing.F) {
	good := pullOf(3, 20)
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add(slices.Concat(good, []byte{0, 0, 0, 1}))
	f.Add([]byte{0x7f, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		want, wantErr := DecodeReceived(b)
		got, err := TakeReceived(bytes.Clone(b))
		if (err == nil) != (wantErr == nil) || err != nil && err.Error() != wantErr.Error() || len(got) != len(want) {
			t.Fatalf("%d messages, %v, want %d, %v", len(got), err, len(want), wantErr)
		}
		for i := range got {
			if got[i].Body = slices.Clone(got[i].Body); !reflect.DeepEqual(got[i], want[i]) {
				t.Errorf("message %d: %+v, want %+v", i, got[i], want[i])
			}
		}
	})
}

// A body cannot grow into what follows it in memory that the messages share.
func TestTakenBodiesEndWithTheirRecord(t *testing.T) {
	all, err := TakeReceived(pullOf(2, 20))
	if err != nil || len(all) != 2 {
		t.Fatalf("%d messages, %v", len(all), err)
	}
	_ = append(all[0].Body, bytes.Repeat([]byte{0xff}, 400)...)
	if all[1].Topic != all[0].Topic || !bytes.Equal(all[1].Body, make([]byte, 20)) {
		t.Errorf("the second message is %+v", all[1])
	}
}

func TestTakeReceivedAllocations(t *testing.T) {
	const n = 32
	b := pullOf(n, 128)
	got := testing.AllocsPerRun(20, func() {
		if all, err := TakeReceived(b); err != nil || len(all) != n {
			t.Fatal(err)
		}
	})
	if most := 2.0*n + 8; got > most {
		t.Errorf("%v allocations for %d messages, want at most %v", got, n, most)
	}
}

func BenchmarkReceived(b *testing.B) {
	for name, decode := range map[string]func([]byte) ([]*Received, error){"decode": DecodeReceived, "take": TakeReceived} {
		b.Run(name, func(b *testing.B) {
			data := pullOf(32, 128)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := decode(data); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/32, "ns/message")
		})
	}
}
