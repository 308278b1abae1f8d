// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package message

import (
	"bytes"
	"maps"
	"testing"
)

func FuzzDecodeRecord(f *testing.F) {
	for _, store := range goldenStores {
		seeds := map[SysFlag]int{}
		walk(f, loadLog(f, store), func(_ int64, raw []byte, r *Record) {
			if seeds[r.SysFlag]++; seeds[r.SysFlag] <= 5 && len(raw) < 1000 {
				f.Add(bytes.Clone(raw), true)
			}
		}, func(_, size int64) { f.Add(AppendBlank(nil, int32(size)), false) })
	}
	long := sampleRecord()
	long.Topic = bytes.Repeat([]byte("t"), 200)
	f.Add(AppendRecord(nil, long), true)
	f.Fuzz(func(t *testing.T, b []byte, check bool) {
		var r, again Record
		n, err := DecodeRecord(b, &r, check)
		if err != nil {
			return
		}
		if n < MinRecordSize || n > len(b) || n != int(r.Size) {
			t.Fatalf("%d of %d bytes, size %d", n, len(b), r.Size)
		}
		_, queueOffset, physicalOffset, stored := Position(b)
		if queueOffset != r.QueueOffset || physicalOffset != r.PhysicalOffset || stored != r.StoreTimestamp {
			t.Fatalf("position %d %d %d of %+v", queueOffset, physicalOffset, stored, r)
		}
		NewReceived(&r)
		raw := AppendRecord(nil, &r)
		if len(raw) != EncodedSize(&r) {
			t.Fatalf("%d bytes, said %d", len(raw), EncodedSize(&r))
		}
		if _, err := DecodeRecord(raw, &again, true); err != nil {
			t.Fatalf("what was decoded cannot be decoded again: %v", err)
		}
		// Three things can differ: forms of addresses and topics that RocketMQ does
		// not write, and the CRC of a body that was not checked.
		hosts := FlagBornHostV6 | FlagStoreHostV6
		if r.Magic == again.Magic && r.SysFlag&hosts == again.SysFlag&hosts && r.BodyCRC == again.BodyCRC && !bytes.Equal(raw, b[:n]) {
			t.Fatalf("encoded as\n%x, was\n%x", raw, b[:n])
		}
	})
}

func FuzzProperties(f *testing.F) {
	walk(f, loadLog(f, "store-clean"), func(at int64, _ []byte, r *Record) {
		if at%16 == 0 && len(r.Properties) < 500 {
			f.Add(bytes.Clone(r.Properties), "TAGS")
		}
	}, func(_, _ int64) {})
	f.Add([]byte("\x02\x01a\x02a\x01\x02a\x01\x01b\x02"), "a")
	f.Fuzz(func(t *testing.T, b []byte, name string) {
		p := ParseProperties(b)
		ranged := Properties{}
		RangeProperties(b, func(name, value []byte) bool {
			ranged[string(name)] = string(value)
			return true
		})
		if !maps.Equal(p, ranged) {
			t.Fatalf("parsed %q, ranged %q", p, ranged)
		}
		for _, name := range append([]string{name}, sortedNames(p)...) {
			value, ok := Property(b, name)
			if want, there := p[name]; ok != there || string(value) != want {
				t.Fatalf("property %q is %q, %v; parsed %q, %v", name, value, ok, want, there)
			}
		}
		if again := ParseProperties(p.Append(nil)); !maps.Equal(again, p) {
			t.Fatalf("%q written and read is %q", p, again)
		}
		rest := ParseProperties(DeleteProperty(nil, b, name))
		delete(p, name)
		if !maps.Equal(rest, p) {
			t.Fatalf("without %q: %q, want %q", name, rest, p)
		}
		if CheckProperty(name, "v") == nil {
			if v, ok := Property(AppendProperty(bytes.Clone(b), name, "v"), name); !ok || string(v) != "v" {
				t.Fatalf("appended %q to %q: %q, %v", name, b, v, ok)
			}
		}
	})
}

func sortedNames(p Properties) (names []string) {
	RangeProperties(p.Append(nil), func(name, _ []byte) bool {
		names = append(names, string(name))
		return true
	})
	return names
}

func FuzzBatch(f *testing.F) {
	for _, scenario := range []string{"go-producer-batch", "java-producer-batch"} {
		for _, batch := range goldenBatches(f, scenario) {
			f.Add(batch)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var again []byte
		err := RangeBatch(b, func(flag int32, body, props []byte) error {
			again = AppendBatch(again, flag, body, props)
			return nil
		})
		if len(again) > len(b) || err == nil && len(again) != len(b) {
			t.Fatalf("%d bytes became %d, %v", len(b), len(again), err)
		}
		members := 0
		if err := RangeBatch(again, func(int32, []byte, []byte) error { members++; return nil }); err != nil || members == 0 != (len(again) == 0) {
			t.Fatalf("encoded again: %d members, %v", members, err)
		}
	})
}

func FuzzOffsetID(f *testing.F) {
	for _, store := range goldenStores {
		for i, m := range loadManifest(f, store).Messages {
			if i < 10 || i%50 == 0 {
				f.Add(m.OffsetMsgID)
			}
		}
	}
	f.Add("C000020100010000FFFFFFFFFFFFFFFF")
	f.Fuzz(func(t *testing.T, s string) {
		host, offset, err := ParseOffsetID(s)
		if err != nil {
			return
		}
		id := string(AppendOffsetID(nil, host, offset))
		if host2, offset2, err := ParseOffsetID(id); err != nil || host2 != host || offset2 != offset {
			t.Fatalf("%q is %v %d, written as %q is %v %d, %v", s, host, offset, id, host2, offset2, err)
		}
	})
}

func FuzzUniqueKey(f *testing.F) {
	for i, m := range loadManifest(f, "store-clean").Messages {
		if i%50 == 0 {
			f.Add(m.Properties[PropertyUniqueKey])
		}
	}
	f.Fuzz(func(t *testing.T, s string) {
		if k, err := ParseUniqueKey(s); err == nil && (!k.IP.IsValid() || k.SinceMonth < 0) {
			t.Fatalf("%q: %+v", s, k)
		}
	})
}

func FuzzRecallHandle(f *testing.F) {
	f.Add(RecallHandle{Topic: "T", Broker: "broker-a", Time: 1795362102706, UniqueKey: "7F000001015E4E0E2F2A6F83B5AD0000"}.String())
	f.Add("djEgVCBiIHggaWQ")
	f.Fuzz(func(t *testing.T, text string) {
		h, err := ParseRecallHandle(text)
		if err != nil {
			return
		}
		if again, err := ParseRecallHandle(h.String()); err != nil || again != h {
			t.Fatalf("%q: %+v, again %+v, %v", text, h, again, err)
		}
	})
}
