// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package message

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

func sampleRecord() *Record {
	return &Record{
		QueueID: 3, Flag: -7, QueueOffset: 11, PhysicalOffset: 1 << 40, SysFlag: FlagCompressed | TransactionCommit,
		BornTimestamp: 1795363534104, BornHost: netip.MustParseAddrPort("192.0.2.1:4001"),
		StoreTimestamp: 1795363534539, StoreHost: netip.MustParseAddrPort("192.0.2.2:20911"),
		ReconsumeTimes: 2, PreparedOffset: 99,
		Body: []byte("body"), Topic: []byte("Topic"), Properties: []byte("TAGS\x01A\x02KEYS\x01k"),
	}
}

func TestRecordHostsAndVersions(t *testing.T) {
	hosts := map[string]netip.AddrPort{
		"v4":     netip.MustParseAddrPort("192.0.2.1:65535"),
		"v6":     netip.MustParseAddrPort("[2001:db8::1]:20911"),
		"mapped": netip.MustParseAddrPort("[::ffff:192.0.2.9]:1"),
	}
	for bornName, born := range hosts {
		for storeName, store := range hosts {
			for _, topic := range []int{1, 127, 128, 300, math.MaxInt16} {
				r := sampleRecord()
				r.BornHost, r.StoreHost = born, store
				r.Topic = bytes.Repeat([]byte("t"), topic)
				// Wrong host bits in r must not matter.
				r.SysFlag |= FlagBornHostV6 | FlagStoreHostV6
				raw := AppendRecord(nil, r)
				want := *r
				want.Size, want.Magic, want.BodyCRC = int32(len(raw)), MagicV1, bodyCRC(r.Body)
				if topic > 127 {
					want.Magic = MagicV2
				}
				want.SysFlag &^= FlagBornHostV6 | FlagStoreHostV6
				size := 91 + topic + len(r.Body) + len(r.Properties)
				if topic > 127 {
					size++
				}
				if bornName == "v6" {
					want.SysFlag |= FlagBornHostV6
					size += 12
				}
				if storeName == "v6" {
					want.SysFlag |= FlagStoreHostV6
					size += 12
				}
				want.BornHost = netip.AddrPortFrom(born.Addr().Unmap(), born.Port())
				want.StoreHost = netip.AddrPortFrom(store.Addr().Unmap(), store.Port())

				PatchPosition(raw, 5, 6, 7)
				want.QueueOffset, want.PhysicalOffset, want.StoreTimestamp = 5, 6, 7
				var got Record
				n, err := DecodeRecord(append(raw, "next"...), &got, true)
				if err != nil || n != size || EncodedSize(r) != size {
					t.Fatalf("born %s, store %s, topic %d: %d bytes, %v, want %d", bornName, storeName, topic, n, err, size)
				}
				if !reflect.DeepEqual(got, want) {
					t.Fatalf("born %s, store %s, topic %d: got %+v, want %+v", bornName, storeName, topic, got, want)
				}
				if _, q, p, s := Position(raw); q != 5 || p != 6 || s != 7 {
					t.Fatalf("position %d %d %d", q, p, s)
				}
			}
		}
	}
}

func TestRecordWithoutHosts(t *testing.T) {
	r := sampleRecord()
	r.BornHost, r.StoreHost = netip.AddrPort{}, netip.AddrPort{}
	dst := bytes.Repeat([]byte{0xFF}, 400)[:0] // old bytes in the buffer must not show through
	var got Record
	if _, err := DecodeRecord(AppendRecord(dst, r), &got, true); err != nil {
		t.Fatal(err)
	}
	if want := netip.MustParseAddrPort("0.0.0.0:0"); got.BornHost != want || got.StoreHost != want {
		t.Errorf("hosts %v and %v", got.BornHost, got.StoreHost)
	}
}

func TestRecordSlicesEndWithTheirField(t *testing.T) {
	raw := append(AppendRecord(nil, sampleRecord()), "next"...)
	var r Record
	if _, err := DecodeRecord(raw, &r, true); err != nil {
		t.Fatal(err)
	}
	for _, s := range [][]byte{r.Body, r.Topic, r.Properties} {
		if cap(s) != len(s) {
			t.Errorf("%q reaches %d bytes past its end", s, cap(s)-len(s))
		}
	}
}

// Places in the encoding of sampleRecord.
const (
	atSampleBorn       = 48
	atSampleStore      = 64
	atSampleBody       = 84
	atSampleTopic      = 92
	atSampleProperties = 98
)

func TestDecodeRecordHostile(t *testing.T) {
	put32 := func(at int, v uint32) func([]byte) []byte {
		return func(b []byte) []byte { binary.BigEndian.PutUint32(b[at:], v); return b }
	}
	put16 := func(at int, v uint16) func([]byte) []byte {
		return func(b []byte) []byte { binary.BigEndian.PutUint16(b[at:], v); return b }
	}
	// v2 turns the sample into a version 2 record with that topic length.
	v2 := func(topic uint16) func([]byte) []byte {
		return func(b []byte) []byte {
			b = bytes.Join([][]byte{b[:atSampleTopic], {byte(topic >> 8), byte(topic)}, b[atSampleTopic+1:]}, nil)
			binary.BigEndian.PutUint32(b, uint32(len(b)))
			binary.BigEndian.PutUint32(b[4:], MagicV2)
			return b
		}
	}
	size := uint32(EncodedSize(sampleRecord()))
	for _, c := range []struct {
		name   string
		change func([]byte) []byte
		want   error
		n      int
	}{
		{"nothing", func(b []byte) []byte { return nil }, ErrShort, 0},
		{"seven bytes", func(b []byte) []byte { return b[:7] }, ErrShort, 0},
		{"cut", func(b []byte) []byte { return b[:len(b)-1] }, ErrShort, 0},
		{"huge size", put32(0, math.MaxInt32), ErrShort, 0},
		{"zeros", func(b []byte) []byte { return make([]byte, 200) }, ErrMagic, 0},
		{"other magic", put32(4, 0xDAA320A8), ErrMagic, 0},
		{"size 0", put32(0, 0), ErrSize, 0},
		{"size negative", put32(0, 0xFFFFFFFF), ErrSize, 0},
		{"size smallest int", put32(0, 0x80000000), ErrSize, 0},
		{"size too small for any", put32(0, 90), ErrSize, 0},
		{"size too small for v6", func(b []byte) []byte {
			return put32(36, uint32(FlagBornHostV6|FlagStoreHostV6))(put32(0, 91)(b))
		}, ErrSize, 0},
		{"size one less", put32(0, size-1), ErrProperties, 0},
		{"size one more", func(b []byte) []byte { return put32(0, size+1)(append(b, 0)) }, ErrSize, 0},
		{"born port", put32(atSampleBorn+4, 65536), ErrHost, 0},
		{"store port negative", put32(atSampleStore+4, 0xFFFFFFFF), ErrHost, 0},
		{"body negative", put32(atSampleBody, 0xFFFFFFFF), ErrBody, 0},
		{"body smallest int", put32(atSampleBody, 0x80000000), ErrBody, 0},
		{"body past end", put32(atSampleBody, 1000), ErrBody, 0},
		{"body highest", put32(atSampleBody, math.MaxInt32), ErrBody, 0},
		{"body leaves no topic", put32(atSampleBody, size-84-4-2), ErrBody, 0},
		{"topic past end", func(b []byte) []byte { b[atSampleTopic] = 100; return b }, ErrTopic, 0},
		{"topic negative", func(b []byte) []byte { b[atSampleTopic] = 0x80; return b }, ErrTopic, 0},
		{"v2 topic past end", v2(200), ErrTopic, 0},
		{"v2 topic negative", v2(0xFFFF), ErrTopic, 0},
		{"properties past end", put16(atSampleProperties, 1000), ErrProperties, 0},
		{"properties negative", put16(atSampleProperties, 0x8000), ErrProperties, 0},
		{"properties short", put16(atSampleProperties, 1), ErrSize, 0},
		{"body changed", func(b []byte) []byte { b[atSampleBody+4]++; return b }, ErrBodyCRC, int(size)},
		{"CRC with its highest bit", func(b []byte) []byte { b[8] |= 0x80; return b }, ErrBodyCRC, int(size)},
		{"blank", func(b []byte) []byte { return AppendBlank(nil, 300) }, ErrBlank, 300},
		{"smallest blank", func(b []byte) []byte { return AppendBlank(nil, 8) }, ErrBlank, 8},
		{"blank too small", func(b []byte) []byte { return AppendBlank(nil, 7) }, ErrSize, 0},
		{"blank negative", func(b []byte) []byte { return AppendBlank(nil, -1) }, ErrSize, 0},
		{"v2 as it should be", v2(5), nil, int(size) + 1},
		{"v1 as it should be", func(b []byte) []byte { return b }, nil, int(size)},
	} {
		var r Record
		n, err := DecodeRecord(c.change(AppendRecord(nil, sampleRecord())), &r, true)
		if n != c.n || !errors.Is(err, c.want) {
			t.Errorf("%s: %d, %v; want %d, %v", c.name, n, err, c.n, c.want)
		}
	}

	// Properties longer than the signed field, though the record has them.
	b := AppendRecord(nil, sampleRecord())[:atSampleProperties]
	b = append(b, 0x80, 0x00)
	b = append(b, make([]byte, 0x8000)...)
	binary.BigEndian.PutUint32(b, uint32(len(b)))
	if _, err := DecodeRecord(b, new(Record), false); !errors.Is(err, ErrProperties) {
		t.Errorf("properties of 32768 bytes: %v", err)
	}
}

func TestDecodeRecordWithoutBodyCheck(t *testing.T) {
	b := AppendRecord(nil, sampleRecord())
	b[atSampleBody+4]++
	if _, err := DecodeRecord(b, new(Record), false); err != nil {
		t.Error(err)
	}
}

func TestRecordThatDoesNotFit(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Record)
		want   error
		append bool // AppendRecord writes it all the same
	}{
		{"no topic", func(r *Record) { r.Topic = nil }, ErrTopic, true},
		{"topic", func(r *Record) { r.Topic = make([]byte, 32768) }, ErrTopic, false},
		{"properties", func(r *Record) { r.Properties = make([]byte, 32768) }, ErrProperties, false},
		{"highest", func(r *Record) { r.Properties, r.Topic = make([]byte, 32767), make([]byte, 32767) }, nil, true},
	} {
		r := sampleRecord()
		c.change(r)
		if err := r.Check(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		got := AppendRecord([]byte("x"), r)
		if len(got) != 1+EncodedSize(r) || len(got) > 1 != c.append {
			t.Errorf("%s: wrote %d bytes, said %d", c.name, len(got)-1, EncodedSize(r))
		}
	}
}

func TestRangeRecords(t *testing.T) {
	b := AppendRecord(AppendRecord(nil, sampleRecord()), sampleRecord())
	if all, err := DecodeReceived(b); err != nil || len(all) != 2 {
		t.Fatalf("%d messages, %v", len(all), err)
	}
	all, err := DecodeReceived(b[:len(b)-1])
	if len(all) != 1 || !errors.Is(err, ErrShort) || !strings.Contains(err.Error(), "record at byte 113 of 225") {
		t.Errorf("cut: %d messages, %v", len(all), err)
	}
	stop := errors.New("stop")
	calls := 0
	if err := RangeRecords(b, true, func(*Record) error { calls++; return stop }); !errors.Is(err, stop) || calls != 1 {
		t.Errorf("stopped with %v after %d", err, calls)
	}
	if size, _, _, _ := Position(b[:90]); size != 0 {
		t.Errorf("position of 90 bytes has size %d", size)
	}
}

func TestReceivedKeepsItsOwnMemory(t *testing.T) {
	b := AppendRecord(nil, sampleRecord())
	all, err := DecodeReceived(b)
	if err != nil {
		t.Fatal(err)
	}
	clear(b)
	m := all[0]
	if m.ID() != "C0000202000051AF0000010000000000" || string(m.Body) != "body" || m.Topic != "Topic" || m.Tags() != "A" {
		t.Errorf("got %+v, id %s", m, m.ID())
	}
}
