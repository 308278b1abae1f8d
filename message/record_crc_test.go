// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package message

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"testing"
)

func crcRecord(body, props string) *Record {
	return &Record{
		QueueID: 3, Flag: 7, BornTimestamp: 1700000000001, BornHost: netip.MustParseAddrPort("192.0.2.1:4001"),
		StoreHost: netip.MustParseAddrPort("192.0.2.2:10911"), ReconsumeTimes: 2, PreparedOffset: 99,
		Body: []byte(body), Topic: []byte("T"), Properties: []byte(props),
	}
}

// withCRC encodes r as the store does.
func withCRC(t testing.TB, r *Record) []byte {
	t.Helper()
	raw := AppendRecordCRC(nil, r)
	PatchPosition(raw, 11, 4096, 1700000000002)
	if !PatchCRC(raw) {
		t.Fatalf("no CRC to set in %x", raw)
	}
	return raw
}

// The bytes were worked out apart, with struct.pack and zlib.crc32 of Python,
// after MessageExtEncoder, CommitLog and MessageDecoder.createCrc32 of 5.3.3.
func TestRecordCRCBytes(t *testing.T) {
	const head = "daa320a73610a6860000000300000007000000000000000b0000000000001000000000000000018bcfe56801c000020100000fa10000018bcfe56802c000020200002a9f0000000200000000000000630000000568656c6c6f0154"
	for props, want := range map[string]string{
		"TAGS\x01A":     "0000007c" + head + "001b" + "5441475301410" + "25f5f435243333223013034323230373430393102",
		"TAGS\x01A\x02": "0000007c" + head + "001b" + "5441475301410" + "25f5f435243333223013034323230373430393102",
		"":              "00000075" + head + "0014" + "5f5f435243333223013638343430393235313102",
		// What the client says of a CRC goes.
		"__CRC32#\x011234567890\x02TAGS\x01A": "0000007c" + head + "001b" + "5441475301410" + "25f5f435243333223013034323230373430393102",
		"__CRC32#\x011234567890\x02":          "00000075" + head + "0014" + "5f5f435243333223013638343430393235313102",
	} {
		raw := withCRC(t, crcRecord("hello", props))
		if got := hex.EncodeToString(raw); got != want {
			t.Errorf("properties %q: encoded\n%s, want\n%s", props, got, want)
		}
		var r Record
		if n, err := DecodeRecord(raw, &r, true); err != nil || n != len(raw) || !r.HasCRC() {
			t.Errorf("properties %q: %d bytes, %v, CRC %v", props, n, err, r.HasCRC())
		}
	}
	// A CRC of six digits ends with zeros.
	if raw := withCRC(t, crcRecord("n1442", "")); !bytes.HasSuffix(raw, []byte("__CRC32#\x014804380000\x02")) {
		t.Errorf("ends with %q", raw[len(raw)-PropertyCRCSize:])
	}
}

// TestRecordCRCCoversEverything flips each bit of a record.
func TestRecordCRCCoversEverything(t *testing.T) {
	r := crcRecord("hello", "TAGS\x01A")
	r.BornHost = netip.MustParseAddrPort("[2001:db8::1]:4001")
	raw := withCRC(t, r)
	name := len(raw) - PropertyCRCSize - 1 // the 0x02 before it
	unseen := 0
	for i := range raw {
		for bit := range 8 {
			bad := bytes.Clone(raw)
			bad[i] ^= 1 << bit
			var got Record
			if _, err := DecodeRecord(bad, &got, true); err == nil {
				if i < name || i > name+len(crcName) && i < len(raw)-1 {
					t.Errorf("bit %d of byte %d of %d: nothing noticed", bit, i, len(raw))
				}
				unseen++
			}
		}
	}
	// Only who breaks the property's own frame makes it one that is not there.
	if most := 8 * (1 + len(crcName) + 1); unseen > most {
		t.Errorf("%d flips unseen, at most %d can be", unseen, most)
	}
	for _, digits := range []string{"0000000000", "9999999999", "12345x7890", "7463847412"} { // the last is 2^31 + something
		bad := bytes.Clone(raw)
		copy(bad[len(bad)-1-crcDigits:], digits)
		if n, err := DecodeRecord(bad, new(Record), true); !errors.Is(err, ErrCRC) || n != len(raw) {
			t.Errorf("digits %s: %d, %v", digits, n, err)
		}
		if _, err := DecodeRecord(bad, new(Record), false); err != nil {
			t.Errorf("digits %s, unchecked: %v", digits, err)
		}
	}
}

// TestRecordCRCOnlyAtTheEnd: what is no CRC is not taken for one, nor written over.
func TestRecordCRCOnlyAtTheEnd(t *testing.T) {
	const crc = "__CRC32#\x011234567890\x02"
	for name, r := range map[string]*Record{
		"none":             crcRecord("b", "A\x01b"),
		"none, 0x02":       crcRecord("b", "A\x01b\x02"),
		"part of a value":  crcRecord("b", "A\x01b"+crc), // as RocketMQ may write it in a batch
		"not the last":     crcRecord("b", crc+"A\x01b\x02"),
		"no 0x02":          crcRecord("b", crc[:len(crc)-1]),
		"in the body":      crcRecord(crc, ""),
		"over the lengths": crcRecord("__CRC32#\x01", "\x02"),
	} {
		if name == "over the lengths" {
			r.Topic = []byte("1234567") // 9 bytes of name, 1+7+2 for digits, 0x02
		}
		raw := AppendRecord(nil, r)
		was := bytes.Clone(raw)
		var got Record
		if _, err := DecodeRecord(raw, &got, true); err != nil || got.HasCRC() {
			t.Errorf("%s: %v, CRC %v", name, err, got.HasCRC())
		}
		if PatchCRC(raw) || !bytes.Equal(raw, was) {
			t.Errorf("%s: became %q", name, raw)
		}
	}
	// One that a client has sent is set right where it would count.
	raw := AppendRecord(nil, crcRecord("b", "A\x01b\x02"+crc))
	if _, err := DecodeRecord(raw, new(Record), true); !errors.Is(err, ErrCRC) {
		t.Errorf("a made-up CRC: %v", err)
	}
	if !PatchCRC(raw) {
		t.Error("not set")
	}
	if _, err := DecodeRecord(raw, new(Record), true); err != nil {
		t.Error(err)
	}
}

func TestRecordCRCSizes(t *testing.T) {
	for props, fits := range map[int]bool{
		MaxPropertiesLength - PropertyCRCSize - 1: true,
		MaxPropertiesLength - PropertyCRCSize:     false, // no room for 0x02
	} {
		r := crcRecord("b", "A\x01"+strings.Repeat("v", props-2))
		raw := AppendRecordCRC([]byte("before"), r)
		if err := r.CheckCRC(); fits != (err == nil) || !fits && !errors.Is(err, ErrProperties) {
			t.Errorf("%d bytes: CheckCRC = %v", props, err)
		}
		want := "before"
		if fits {
			want += string(withCRC(t, r))
			PatchPosition(raw[6:], 11, 4096, 1700000000002)
			PatchCRC(raw[6:])
		}
		if string(raw) != want || EncodedSizeCRC(r) != len(want)-6 {
			t.Errorf("%d bytes: %d bytes added, said %d", props, len(raw)-6, EncodedSizeCRC(r))
		}
	}
	full := crcRecord("b", "A\x01"+strings.Repeat("v", MaxPropertiesLength-PropertyCRCSize-3)+"\x02")
	if raw := withCRC(t, full); len(raw) != EncodedSizeCRC(full) || full.CheckCRC() != nil {
		t.Errorf("%d bytes, %v", len(raw), full.CheckCRC())
	}
	// Every host and version: PatchCRC finds the properties.
	for _, host := range []string{"192.0.2.1:1", "[2001:db8::1]:1"} {
		for _, topic := range []int{1, 127, 128, math.MaxInt16} {
			r := crcRecord("body", "K\x01v")
			r.StoreHost, r.Topic = netip.MustParseAddrPort(host), bytes.Repeat([]byte("t"), topic)
			var got Record
			if _, err := DecodeRecord(withCRC(t, r), &got, true); err != nil || !got.HasCRC() {
				t.Errorf("host %s, topic of %d: %v", host, topic, err)
			}
		}
	}
	empty := crcRecord("b", "")
	empty.Topic = nil
	if err := empty.CheckCRC(); !errors.Is(err, ErrTopic) {
		t.Errorf("no topic: %v", err)
	}
}

func FuzzRecordCRC(f *testing.F) {
	f.Add([]byte("body"), []byte("TAGS\x01A"), uint(3), byte(1))
	f.Add([]byte(crcName), []byte(crcEmpty+crcEmpty), uint(40), byte(0x80))
	f.Add([]byte{}, []byte("\x02\x02"), uint(1<<20), byte(0))
	f.Fuzz(func(t *testing.T, body, props []byte, at uint, flip byte) {
		r := crcRecord(string(body), string(props))
		raw := AppendRecordCRC(nil, r)
		if len(raw) != EncodedSizeCRC(r) || (len(raw) > 0) != (r.CheckCRC() == nil) {
			t.Fatalf("%d bytes, said %d, %v", len(raw), EncodedSizeCRC(r), r.CheckCRC())
		}
		if len(raw) == 0 {
			return
		}
		PatchPosition(raw, 1, 2, 3)
		if !PatchCRC(raw) {
			t.Fatal("no CRC")
		}
		var got Record
		if n, err := DecodeRecord(raw, &got, true); err != nil || n != len(raw) || !got.HasCRC() {
			t.Fatalf("%d of %d, %v", n, len(raw), err)
		}
		was, is := ParseProperties(props), ParseProperties(got.Properties)
		delete(was, PropertyCRC32)
		if len(is[PropertyCRC32]) != crcDigits {
			t.Fatalf("%q", is)
		}
		if delete(is, PropertyCRC32); fmt.Sprint(was) != fmt.Sprint(is) {
			t.Fatalf("%q became %q", was, is)
		}
		// Again, from what was read: the same bytes.
		again := AppendRecordCRC(nil, &got)
		if PatchCRC(again); clean(props) && !bytes.Equal(again, raw) {
			t.Fatalf("encoded again\n%q, was\n%q", again, raw)
		}
		i := int(at % uint(len(raw)-PropertyCRCSize-1))
		raw[i] ^= flip
		size := int(binary.BigEndian.Uint32(raw)) // a smaller one may end where there is no CRC
		if _, err := DecodeRecord(raw, &got, true); flip != 0 && size == len(raw) && err == nil {
			t.Fatalf("byte %d ^ %#x: nothing noticed", i, flip)
		}
	})
}

// clean tells whether properties come back from DeleteProperty as they were: no
// empty pieces.
func clean(props []byte) bool {
	return !bytes.HasPrefix(props, []byte{propertyMark}) && !bytes.Contains(props, []byte{propertyMark, propertyMark})
}
