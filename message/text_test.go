// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package message

import (
	"bytes"
	"errors"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Values computed with Java's String.hashCode.
func TestHashCode(t *testing.T) {
	for s, want := range map[string]int32{
		"": 0, "a": 97, "TagA": 2598919, "Hello, World": -505841268,
		"polygenelubricants": math.MinInt32, "\u00e4\u00f6": 7314, "\u4e2d\u6587": 646394, "\U0001F600": 1772899,
	} {
		if got, raw := HashCode(s), HashCode([]byte(s)); got != want || raw != want {
			t.Errorf("%q: %d and %d, want %d", s, got, raw, want)
		}
	}
	if got := TagsCode("polygenelubricants"); got != math.MinInt32 {
		t.Errorf("tags code %d is not sign extended", got)
	}
	if got := HashCode("a\xffb"); got != HashCode("a\uFFFDb") {
		t.Errorf("byte that is not UTF-8: %d", got)
	}
}

func TestKeyHash(t *testing.T) {
	for _, key := range []string{"k", "polygenelubricants", "\u4e2d\U0001F600", ""} {
		want := HashCode("Topic#" + key)
		if want < 0 {
			want = -want
		}
		if got := KeyHash("Topic", []byte(key)); got != want {
			t.Errorf("%q: %d, want %d", key, got, want)
		}
	}
	// Topic, '#' and key together hash to the smallest int32.
	topic, key := minHashPair(t)
	if got := KeyHash(topic, key); got != 0 {
		t.Errorf("hash of %q and %q: %d, want 0", topic, key, got)
	}
}

// minHashPair finds a key that makes HashCode(topic#key) the smallest int32, by
// writing what is missing in base 31.
func minHashPair(t *testing.T) (topic, key string) {
	t.Helper()
	const digits = 7
	base := HashCode("T#" + strings.Repeat("0", digits))
	missing := uint32(1)<<31 - uint32(base)
	raw := make([]byte, digits)
	for i := digits - 1; i >= 0; i-- {
		raw[i] = '0' + byte(missing%31)
		missing /= 31
	}
	if got := HashCode("T#" + string(raw)); got != math.MinInt32 {
		t.Fatalf("%q hashes to %d", raw, got)
	}
	return "T", string(raw)
}

func TestProperties(t *testing.T) {
	for _, c := range []struct {
		text string
		want Properties
	}{
		{"", Properties{}},
		{"a\x01b", Properties{"a": "b"}},
		{"a\x01b\x02", Properties{"a": "b"}},
		{"\x02\x02a\x01b\x02\x02c\x01d", Properties{"a": "b", "c": "d"}},
		{"a\x01b\x02a\x01c", Properties{"a": "c"}},
		{"a\x01b\x01c", Properties{"a": "b\x01c"}},
		{"a\x02b\x01c", Properties{"b": "c"}},
		{"\x01v\x02n\x01\x02nn\x02\x01\x02ok\x01\x01", Properties{"ok": "\x01"}},
		{"TAGS\x01\u4e2d\x02KEYS\x01k 1", Properties{"TAGS": "\u4e2d", "KEYS": "k 1"}},
	} {
		got := ParseProperties([]byte(c.text))
		if !maps.Equal(got, c.want) {
			t.Errorf("%q: %q, want %q", c.text, got, c.want)
		}
		ranged := Properties{}
		RangeProperties([]byte(c.text), func(name, value []byte) bool {
			ranged[string(name)] = string(value)
			return true
		})
		if !maps.Equal(ranged, c.want) {
			t.Errorf("%q: ranged %q, want %q", c.text, ranged, c.want)
		}
		for _, name := range []string{"", "a", "n", "nn", "b", "c", "ok", "TAGS", "KEYS", "KEY", "a\x01b"} {
			value, ok := Property([]byte(c.text), name)
			if want, there := c.want[name]; ok != there || string(value) != want {
				t.Errorf("%q: property %q is %q, %v; want %q, %v", c.text, name, value, ok, want, there)
			}
		}
	}
	if _, ok := Property([]byte("a\x01b"), "a\x01"); ok {
		t.Error("a name with a separator was found")
	}

	p := Properties{"b": "2", "a": "1", "c": "", "": "x"}
	if got := string(p.Append(nil)); got != "a\x011\x02b\x012" {
		t.Errorf("appended %q", got)
	}
	if got := string(p.Append([]byte("z\x010\x02"))); got != "z\x010\x02a\x011\x02b\x012" {
		t.Errorf("appended %q behind others", got)
	}
	calls := 0
	RangeProperties([]byte("a\x01b\x02c\x01d"), func(_, _ []byte) bool { calls++; return false })
	if calls != 1 {
		t.Errorf("%d calls after false", calls)
	}
}

func TestDeleteProperty(t *testing.T) {
	for _, c := range [][3]string{
		{"a\x01b\x02c\x01d\x02e\x01f", "a", "c\x01d\x02e\x01f"},
		{"a\x01b\x02c\x01d\x02e\x01f", "c", "a\x01b\x02e\x01f"},
		{"a\x01b\x02c\x01d\x02e\x01f\x02", "e", "a\x01b\x02c\x01d"},
		{"a\x01b\x02c\x01d\x02a\x01f", "a", "c\x01d"},
		{"ab\x01b\x02junk", "a", "ab\x01b\x02junk"},
		{"a\x01b", "a", ""},
		{"", "a", ""},
	} {
		if got := string(DeleteProperty([]byte("dst"), []byte(c[0]), c[1])); got != "dst"+c[2] {
			t.Errorf("%q without %q: %q", c[0], c[1], got)
		}
		props := []byte(c[0])
		if got := string(DeleteProperty(props[:0], props, c[1])); got != c[2] {
			t.Errorf("%q without %q in place: %q", c[0], c[1], got)
		}
	}
}

func TestCheckProperties(t *testing.T) {
	for _, p := range []Properties{{"": "v"}, {"a\x01": "v"}, {"a": "\x02"}} {
		if err := p.Check(); !errors.Is(err, ErrProperty) {
			t.Errorf("%q: %v", p, err)
		}
	}
	fits := Properties{"a": strings.Repeat("v", MaxPropertiesLength-2)}
	if err := fits.Check(); err != nil || len(fits.Append(nil)) != MaxPropertiesLength {
		t.Errorf("the longest: %v", err)
	}
	fits["a"] += "v"
	if err := fits.Check(); !errors.Is(err, ErrProperties) {
		t.Errorf("one more: %v", err)
	}
}

func TestRangeKeys(t *testing.T) {
	var got []string
	RangeKeys([]byte(" a  b c "), func(k []byte) bool { got = append(got, string(k)); return len(got) < 2 })
	if !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("keys %q", got)
	}
}

func TestOffsetID(t *testing.T) {
	for _, host := range []string{"192.0.2.1:10911", "[2001:db8::abcd]:65535"} {
		want := netip.MustParseAddrPort(host)
		id := string(AppendOffsetID([]byte(nil), want, math.MaxInt64))
		got, offset, err := ParseOffsetID(strings.ToLower(id))
		if err != nil || got != want || offset != math.MaxInt64 || id != strings.ToUpper(id) {
			t.Errorf("%s: %s, %v, %d, %v", host, id, got, offset, err)
		}
	}
	for _, id := range []string{
		"", "zz", strings.Repeat("0", 31), strings.Repeat("0", 33), strings.Repeat("G", 32), strings.Repeat("0", 57),
		"C000020100010000" + strings.Repeat("0", 16), // port 65536
		"C0000201FFFFFFFF" + strings.Repeat("0", 16), // port -1
		"C000020100002A9F" + strings.Repeat("F", 16), // offset -1
		strings.Repeat("\u4e2d", 32),
	} {
		if _, _, err := ParseOffsetID(id); !errors.Is(err, ErrID) {
			t.Errorf("%q: %v", id, err)
		}
	}
}

func TestIDGenerator(t *testing.T) {
	zone := time.FixedZone("test", 3600)
	now := time.Date(2024, time.January, 31, 23, 59, 59, 999e6, zone)
	g := NewIDGenerator(netip.MustParseAddr("192.0.2.7"), 0x12345, func() time.Time { return now })
	check := func(id string, since time.Duration, counter uint16) {
		t.Helper()
		k, err := ParseUniqueKey(id)
		if err != nil || k.IP != netip.MustParseAddr("192.0.2.7") || k.PID != 0x2345 || k.SinceMonth != since || k.Counter != counter {
			t.Errorf("%s: %+v, %v", id, k, err)
		}
		if !k.Time(now).Equal(now) || !k.Time(now.Add(20*24*time.Hour)).Equal(now) {
			t.Errorf("%s: made %v, read back as %v", id, now, k.Time(now))
		}
	}
	check(g.Next(), 31*24*time.Hour-time.Millisecond, 0)
	now = now.Add(time.Millisecond) // a new month
	check(g.Next(), 0, 1)
	now = now.Add(-time.Millisecond) // the clock is put back
	check(g.Next(), 31*24*time.Hour-time.Millisecond, 2)
	g.counter.Store(math.MaxUint16)
	check(g.Next(), 31*24*time.Hour-time.Millisecond, math.MaxUint16)
	check(g.Next(), 31*24*time.Hour-time.Millisecond, 0)

	clock := func() time.Time { return now }
	if id := NewIDGenerator(netip.MustParseAddr("2001:db8::1"), 1, clock).Next(); len(id) != 56 || !strings.HasPrefix(id, "20010DB8") {
		t.Errorf("IPv6 id %q", id)
	}
	if a, b := NewIDGenerator(netip.Addr{}, 1, clock).Next(), NewIDGenerator(netip.Addr{}, 1, clock).Next(); len(a) != 32 || a == b {
		t.Errorf("ids without IP: %q and %q", a, b)
	}
	if _, err := ParseUniqueKey("short"); !errors.Is(err, ErrID) {
		t.Error(err)
	}
}

func TestIDGeneratorConcurrently(t *testing.T) {
	now := time.Date(2024, time.May, 5, 5, 5, 5, 0, time.UTC)
	g := NewIDGenerator(netip.MustParseAddr("192.0.2.7"), 1, func() time.Time { return now })
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		seen = map[string]bool{}
	)
	for range 8 {
		wg.Go(func() {
			for range 500 {
				id := g.Next()
				mu.Lock()
				seen[id] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(seen) != 4000 {
		t.Errorf("%d ids are different", len(seen))
	}
}

func TestBatchHostile(t *testing.T) {
	member := AppendBatch(nil, 9, []byte("body"), []byte("a\x01b"))
	change := func(at int, b ...byte) []byte {
		m := bytes.Clone(member)
		copy(m[at:], b)
		return m
	}
	for _, c := range []struct {
		name  string
		batch []byte
		want  error
	}{
		{"cut head", member[:21], ErrBatch},
		{"cut tail", member[:len(member)-1], ErrBatch},
		{"size negative", change(0, 0xFF, 0xFF, 0xFF, 0xFF), ErrBatch},
		{"size 0", change(0, 0, 0, 0, 0), ErrBatch},
		{"size too small", change(0, 0, 0, 0, 21), ErrBatch},
		{"body negative", change(16, 0x80, 0, 0, 0), ErrBody},
		{"body past end", change(16, 0x7F, 0xFF, 0xFF, 0xFF), ErrBody},
		{"body leaves no properties", change(16, 0, 0, 0, 8), ErrBody},
		{"properties negative", change(24, 0x80, 0), ErrProperties},
		{"properties past end", change(24, 0, 4), ErrProperties},
		{"properties short", change(24, 0, 2), ErrBatch},
	} {
		members := 0
		err := RangeBatch(append(bytes.Clone(member), c.batch...), func(int32, []byte, []byte) error { members++; return nil })
		if !errors.Is(err, c.want) || members != 1 || !strings.Contains(err.Error(), "member 1") {
			t.Errorf("%s: %d members, %v; want %v", c.name, members, err, c.want)
		}
	}
	if got := AppendBatch([]byte("x"), 0, nil, make([]byte, MaxPropertiesLength+1)); string(got) != "x" {
		t.Errorf("properties that do not fit: wrote %d bytes", len(got)-1)
	}
	if err := RangeBatch(nil, nil); err != nil {
		t.Errorf("empty: %v", err)
	}
}
