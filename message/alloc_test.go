// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package message

import (
	"net/netip"
	"testing"
	"time"
)

// What sends and pulls do for every message must not allocate.
func TestAllocations(t *testing.T) {
	r := sampleRecord()
	r.BornHost = netip.MustParseAddrPort("[2001:db8::1]:1")
	raw := AppendRecord(nil, r)
	buf := make([]byte, 0, 4096)
	batch := AppendBatch(AppendBatch(nil, 0, r.Body, r.Properties), 0, r.Body, r.Properties)
	props := Properties{PropertyTags: "A", PropertyKeys: "k", "color": "red"}
	month := time.Unix(1000, 0)
	ids := NewIDGenerator(netip.MustParseAddr("127.0.0.1"), 1, time.Now)
	var decoded Record
	var sum int64
	for name, fn := range map[string]func(){
		"PatchPosition":   func() { PatchPosition(raw, 1, 2, 3) },
		"Position":        func() { _, q, _, _ := Position(raw); sum += q },
		"Property":        func() { v, _ := Property(r.Properties, PropertyTags); sum += int64(len(v)) },
		"RangeProperties": func() { RangeProperties(r.Properties, func(n, v []byte) bool { sum += int64(len(n)); return true }) },
		"RangeKeys":       func() { RangeKeys(r.Properties, func(k []byte) bool { sum += int64(len(k)); return true }) },
		"AppendProperty":  func() { buf = AppendProperty(buf[:0], PropertyCluster, "c") },
		"DeleteProperty":  func() { buf = DeleteProperty(buf[:0], r.Properties, PropertyTags) },
		"DecodeRecord": func() {
			if _, err := DecodeRecord(raw, &decoded, true); err != nil {
				t.Fatal(err)
			}
		},
		"AppendRecord": func() { buf = AppendRecord(buf[:0], r) },
		"AppendRecordCRC": func() {
			buf = AppendRecordCRC(buf[:0], r)
			PatchCRC(buf)
		},
		"EncodedSizeCRC":    func() { sum += int64(EncodedSizeCRC(r)) },
		"EncodedSize":       func() { sum += int64(EncodedSize(r)) },
		"Check":             func() { _ = r.Check() },
		"TagsCode":          func() { sum += r.TagsCode() },
		"KeyHash":           func() { sum += int64(KeyHash(r.Topic, r.Body)) + int64(KeyHash("\u4e2d", r.Body)) },
		"AppendOffsetID":    func() { buf = AppendOffsetID(buf[:0], r.BornHost, 1) },
		"Properties.Append": func() { buf = props.Append(buf[:0]) },
		"new id":            func() { buf = ids.Append(buf[:0], month) },
		"AppendBatch":       func() { buf = AppendBatch(buf[:0], 1, r.Body, r.Properties) },
		"RangeBatch": func() {
			_ = RangeBatch(batch, func(_ int32, body, _ []byte) error { sum += int64(len(body)); return nil })
		},
	} {
		if n := testing.AllocsPerRun(100, fn); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
	if sum == 0 || len(buf) == 0 {
		t.Error("nothing was done")
	}
}

func BenchmarkAppendRecord(b *testing.B) {
	r := sampleRecord()
	r.Body = make([]byte, 1024)
	buf := make([]byte, 0, EncodedSize(r))
	b.SetBytes(int64(EncodedSize(r)))
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendRecord(buf[:0], r)
	}
}

func BenchmarkDecodeRecord(b *testing.B) {
	for name, check := range map[string]bool{"body": true, "nobody": false} {
		b.Run(name, func(b *testing.B) {
			r := sampleRecord()
			r.Body = make([]byte, 1024)
			raw := AppendRecord(nil, r)
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := DecodeRecord(raw, r, check); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkPatchPosition(b *testing.B) {
	raw := AppendRecord(nil, sampleRecord())
	for b.Loop() {
		PatchPosition(raw, 1, 2, 3)
	}
}

func BenchmarkProperty(b *testing.B) {
	props := []byte("KEYS\x01order-4711\x02UNIQ_KEY\x017F00000178734E0E2F2A6F99C3A100BF\x02CLUSTER\x01DefaultCluster\x02TAGS\x01TagA\x02WAIT\x01true")
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := Property(props, PropertyUniqueKey); !ok {
			b.Fatal("not found")
		}
	}
}

func BenchmarkHashCode(b *testing.B) {
	tags := []byte("TagA-or-some-other-name")
	b.ReportAllocs()
	for b.Loop() {
		HashCode(tags)
	}
}
