// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Addresses is a set of addresses as RocketMQ's files write them. The zero value
// holds none.
type Addresses struct {
	all    bool
	single []netip.Addr
	nets   []netip.Prefix
	ranges []addressRange
}

// addressRange is bounds for each of the 4 numbers of an IPv4 address, or the 8 of an
// IPv6 one.
type addressRange struct {
	v6     bool
	lo, hi [8]uint16
}

// ParseWhite reads an entry of a white list of RocketMQ 4: "*", an address, a list
// with commas, "10.1.2.{1,2}", "10.1.2.*", "10.1.2.1-20", the same for IPv6 behind
// colons, and CIDR networks. Empty is nobody. Errors hold nothing of the text, which
// may be a secret in the wrong place of a file.
func ParseWhite(text string) (Addresses, error) {
	var a Addresses
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return a, nil
	case text == "*" || text == "*.*.*.*" || text == "*:*:*:*:*:*:*:*":
		a.all = true
		return a, nil
	case strings.HasSuffix(text, "}"):
		head, list, ok := strings.Cut(strings.TrimSuffix(text, "}"), "{")
		if !ok || !strings.HasSuffix(head, ".") && !strings.HasSuffix(head, ":") {
			return a, errors.New("braces stand for the last number of an address, as in 10.1.2.{3,4}")
		}
		for _, last := range strings.Split(list, ",") {
			if !a.add(head + strings.TrimSpace(last)) {
				return Addresses{}, errNoAddress
			}
		}
		return a, nil
	}
	for _, part := range strings.Split(text, ",") {
		if !a.add(strings.TrimSpace(part)) {
			return Addresses{}, errNoAddress
		}
	}
	return a, nil
}

var errNoAddress = errors.New("there is something that is no IP address, range or network")

// ParseSources reads the source addresses of a policy: addresses and CIDR networks.
// None is everybody.
func ParseSources(list []string) (Addresses, error) {
	a := Addresses{all: len(list) == 0}
	for _, s := range list {
		if strings.ContainsAny(s, "*-") || !a.add(strings.TrimSpace(s)) {
			return Addresses{}, fmt.Errorf("source %q is neither an IP address nor a CIDR network", s)
		}
	}
	return a, nil
}

// add adds one address, network or range, and says whether the text is one. IPv4
// addresses in IPv6 ones (::ffff:10.0.0.0/104) are IPv4's, as in Has.
func (a *Addresses) add(text string) bool {
	switch {
	case strings.Contains(text, "/"):
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return false
		}
		if p.Addr().Is4In6() {
			if p.Bits() < 96 {
				return false
			}
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		a.nets = append(a.nets, p.Masked())
	case strings.ContainsAny(text, "*-"):
		r, ok := parseRange(text)
		if !ok {
			return false
		}
		a.ranges = append(a.ranges, r)
	default:
		ip, err := netip.ParseAddr(text)
		if err != nil || ip.Zone() != "" {
			return false
		}
		a.single = append(a.single, ip.Unmap())
	}
	return true
}

// parseRange reads an address with * or LO-HI in the place of numbers: anywhere in an
// IPv4 one, at the end of an IPv6 one.
func parseRange(text string) (addressRange, bool) {
	r := addressRange{v6: strings.Contains(text, ":")}
	sep, n, base, top := ".", 4, 10, uint16(255)
	if r.v6 {
		sep, n, base, top = ":", 8, 16, 0xffff
	}
	parts := strings.Split(text, sep)
	special := len(parts)
	if r.v6 { // what :: stands for is found by an address with zeros for the ranges
		for special > 0 && strings.ContainsAny(parts[special-1], "*-") {
			special--
		}
		plain := append([]string(nil), parts[:special]...)
		for range parts[special:] {
			plain = append(plain, "0")
		}
		ip, err := netip.ParseAddr(strings.Join(plain, ":"))
		if err != nil || ip.Zone() != "" || ip.Is4In6() || len(parts)-special > 2 {
			return r, false
		}
		b := ip.As16()
		for i := range 8 {
			r.lo[i] = uint16(b[2*i])<<8 | uint16(b[2*i+1])
		}
		r.hi = r.lo
		parts, n = parts[special:], len(parts)-special
		special = 8 - n
	} else {
		special = 0
	}
	if len(parts) != n {
		return r, false
	}
	for i, p := range parts {
		lo, hi, ok := bounds(strings.TrimSpace(p), base, top)
		if !ok {
			return r, false
		}
		r.lo[special+i], r.hi[special+i] = lo, hi
	}
	return r, true
}

func bounds(part string, base int, top uint16) (lo, hi uint16, ok bool) {
	if part == "*" {
		return 0, top, true
	}
	low, high, ranged := strings.Cut(part, "-")
	if !ranged {
		high = low
	}
	l, err := strconv.ParseUint(low, base, 16)
	h, err2 := strconv.ParseUint(high, base, 16)
	if err != nil || err2 != nil || l > h || h > uint64(top) {
		return 0, 0, false
	}
	return uint16(l), uint16(h), true
}

// Has says whether the address is in the set.
func (a *Addresses) Has(ip netip.Addr) bool {
	if a.all {
		return true
	}
	ip = ip.Unmap()
	for _, s := range a.single {
		if s == ip {
			return true
		}
	}
	for _, p := range a.nets {
		if p.Contains(ip) {
			return true
		}
	}
	for i := range a.ranges {
		if a.ranges[i].has(ip) {
			return true
		}
	}
	return false
}

func (r *addressRange) has(ip netip.Addr) bool {
	switch {
	case !ip.IsValid() || r.v6 == ip.Is4():
		return false
	case !r.v6:
		for i, b := range ip.As4() {
			if uint16(b) < r.lo[i] || uint16(b) > r.hi[i] {
				return false
			}
		}
		return true
	}
	b := ip.As16()
	for i := range 8 {
		if n := uint16(b[2*i])<<8 | uint16(b[2*i+1]); n < r.lo[i] || n > r.hi[i] {
			return false
		}
	}
	return true
}
