// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"math"
	"net/netip"
	"testing"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

func TestTxKey(t *testing.T) {
	for _, k := range []txKey{{}, {1, 2}, {math.MaxUint32, math.MaxUint64}, {0xABCDEF01, txNumber(65534, 65533, 12)}} {
		if got, ok := parseTxKey(k.String()); !ok || got != k || len(k.String()) != txKeyLen {
			t.Errorf("%v is read as %v, %v", k, got, ok)
		}
		if _, err := message.ParseUniqueKey(k.String()); err != nil {
			t.Errorf("%v is no UNIQ_KEY: %v", k, err)
		}
	}
	if w, s, q := splitTxNumber(txNumber(65534, 65533, math.MaxUint32)); w != 65534 || s != 65533 || q != math.MaxUint32 {
		t.Errorf("%d %d %d", w, s, q)
	}
	for _, s := range []string{"", alien, "7F000001", "7F0000010000000X0000000000000000", "7F00000100000000000000000000000-", "7F0000010000000000000000000000000"} {
		if k, ok := parseTxKey(s); ok {
			t.Errorf("%q is read as %v", s, k)
		}
	}
}

func TestHalfFrame(t *testing.T) {
	for _, enc := range []wire.Encoding{wire.JSON, wire.Binary} {
		for _, keys := range []bool{false, true} {
			s := halfSpec{enc: enc, opaque: firstOpaque + 3, topic: "T1000000000000", broker: "b", queue: 2, key: txKey{1, 0}, keys: keys, immunity: 17, body: txBody(50)}
			f := newHalfFrame(s)
			for n := range uint64(3) {
				s.key, s.born = txKey{1, 0xFEDCBA0000000000 + n}, 1_700_000_000_123+int64(n)
				patched := f.next(s.key, s.born)
				if string(patched) != string(appendHalf(nil, &s)) {
					t.Fatalf("%v: a patched frame is not the one made anew:\n%q", enc, patched)
				}
				var d wire.Decoder
				var c wire.Command
				var h header.SendRequest
				if err := d.Decode(patched[4:], &c); err != nil {
					t.Fatal(err)
				}
				if err := h.DecodeV2(c.Ext); err != nil || len(c.Body) != 50 || h.BornTimestamp != s.born {
					t.Errorf("%v: %v, %d, %+v", enc, err, len(c.Body), h)
				}
				if v, _ := message.Property(h.Properties, message.PropertyCheckImmunityInSeconds); string(v) != "17" {
					t.Errorf("immunity %q", v)
				}
				if v, ok := message.Property(h.Properties, message.PropertyKeys); ok != keys || keys && string(v) != s.key.String() {
					t.Errorf("KEYS %q", v)
				}
			}
		}
	}
}

func TestOffsetIn(t *testing.T) {
	for _, host := range []string{"127.0.0.1:10911", "[2001:db8::1]:10911"} {
		for _, offset := range []int64{0, 1, 0xABCDEF, math.MaxInt64} {
			id := message.AppendOffsetID(nil, netip.MustParseAddrPort(host), offset)
			if got, ok := offsetIn(id); !ok || got != offset {
				t.Errorf("%s: %d %v", id, got, ok)
			}
		}
	}
	for _, id := range []string{"", "7F00000100002A9F", "7F00000100002A9F000000000000000G", "7F00000100002A9FFFFFFFFFFFFFFFFF"} {
		if offset, ok := offsetIn([]byte(id)); ok {
			t.Errorf("%q is %d", id, offset)
		}
	}
}
