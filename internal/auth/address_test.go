// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"net/netip"
	"strings"
	"testing"
)

func TestWhiteLists(t *testing.T) {
	for text, want := range map[string]struct{ in, out string }{
		"*":                      {"1.2.3.4 ::1", ""},
		"*.*.*.*":                {"1.2.3.4", ""},
		"10.0.0.1":               {"10.0.0.1 ::ffff:10.0.0.1", "10.0.0.2"},
		"10.0.0.1,10.0.0.3":      {"10.0.0.1 10.0.0.3", "10.0.0.2"},
		"10.0.0.{1,20}":          {"10.0.0.1 10.0.0.20", "10.0.0.2"},
		"10.0.0.*":               {"10.0.0.0 10.0.0.255", "10.0.1.0 ::1"},
		"10.0.3-5.*":             {"10.0.3.1 10.0.5.9", "10.0.2.1 10.0.6.1"},
		"10.0.0.1-20":            {"10.0.0.1 10.0.0.20", "10.0.0.0 10.0.0.21"},
		"10.1.0.0/16":            {"10.1.2.3", "10.2.0.1"},
		"::ffff:10.0.0.0/104":    {"10.1.2.3 ::ffff:10.9.9.9", "11.0.0.1 ::1"},
		"1050::5:600:300c:1":     {"1050::5:600:300c:1", "1050::5:600:300c:2"},
		"1050::5:600:300c:{1,2}": {"1050::5:600:300c:2", "1050::5:600:300c:3"},
		"2::ac5:78:1-200:*":      {"2::ac5:78:1:5 2::ac5:78:200:ffff", "2::ac5:78:201:0 2::ac5:79:1:1"},
		"2::ac5:78:1-200":        {"2::ac5:78:200", "2::ac5:78:201"},
		"":                       {"", "127.0.0.1 10.0.0.1"},
	} {
		a, err := ParseWhite(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		for _, s := range strings.Fields(want.in) {
			if !a.Has(netip.MustParseAddr(s)) {
				t.Errorf("%q does not have %s", text, s)
			}
		}
		for _, s := range strings.Fields(want.out) {
			if a.Has(netip.MustParseAddr(s)) {
				t.Errorf("%q has %s", text, s)
			}
		}
	}
	for _, text := range []string{"localhost", "10.0.0", "10.0.0.256", "10.0.0.5-3", "10.0.0.-3", "10.0.{0,1}.1", "{1}", "1:2:*:3:4:5:6:7", "1::fffff-2", "10.0.0.0/33", "10.0.0.{1,x}", "fe80::1%eth0",
		"::ffff:0:0/90", "::ffff:a00:*"} { // half IPv4, half IPv6: a peer's address is one of them

		if a, err := ParseWhite(text); err == nil {
			t.Errorf("%q was read as %+v", text, a)
		}
	}
}
