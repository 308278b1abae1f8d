// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package quota

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestLimiter(t *testing.T) {
	now := time.Unix(1e9, 0)
	l := New("topics", "topicCreationsPerMinute", 3, func() time.Time { return now })
	a, b := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	want := func(when string, addr netip.Addr, n int) {
		t.Helper()
		for i := range n {
			if err := l.Take(addr, 1); err != nil {
				t.Errorf("%s: only %d of %d: %v", when, i, n, err)
			}
		}
		err := l.Take(addr, 1)
		if !errors.Is(err, ErrTooMany) || !strings.Contains(err.Error(), addr.String()+" may make 3 topics") || !strings.Contains(err.Error(), "topicCreationsPerMinute") {
			t.Errorf("%s: more than %d: %v", when, n, err)
		}
	}
	want("at first", a, 3)
	want("another address", b, 3)
	now = now.Add(20 * time.Second)
	want("a third of a minute later", a, 1)
	now = now.Add(-time.Hour)
	want("after the clock was set back", a, 0)
	now = now.Add(20 * time.Second)
	want("a third of a minute after that", a, 1)
	now = now.Add(2 * time.Hour)
	want("much later", a, 3)
	l.GiveBack(a, 2)
	want("when two were not made", a, 2)
	l.GiveBack(b, 7)
	want("when more are given back than are lacking", b, 3)
	if n := l.Refused(); n != 8 {
		t.Errorf("%d were refused", n)
	}
	six := netip.MustParseAddr("2001:db8::1")
	for range 3 {
		if err := l.Take(netip.MustParseAddr("2001:db8::ffff:2"), 1); err != nil {
			t.Error(err)
		}
	}
	if l.Take(six, 1) == nil || l.Take(netip.MustParseAddr("2001:db8:0:1::1"), 1) != nil {
		t.Error("an IPv6 address does not count with its network")
	}
	if l.Take(netip.MustParseAddr("::ffff:10.0.0.1"), 1) == nil {
		t.Error("an IPv4 address in the form of IPv6 is another one")
	}
}

// Addresses that have made nothing for a minute cost nothing.
func TestBucketsGo(t *testing.T) {
	now := time.Unix(1e9, 0)
	l := New("groups", "groupCreationsPerMinute", 10, func() time.Time { return now })
	addr := netip.MustParseAddr("10.0.0.1")
	for range 100 * sweepAt {
		if err := l.Take(addr, 1); err != nil {
			t.Fatal(err)
		}
		addr = addr.Next()
		now = now.Add(time.Second)
	}
	if n := len(l.buckets); n > 2*sweepAt {
		t.Errorf("%d buckets", n)
	}
}

func TestNoLimit(t *testing.T) {
	l := New("topics", "key", 0, time.Now)
	for range 1000 {
		if err := l.Take(netip.Addr{}, 1); err != nil {
			t.Fatal(err)
		}
	}
	if l.GiveBack(netip.Addr{}, 1); l.Refused() != 0 {
		t.Error("some were refused")
	}
}
