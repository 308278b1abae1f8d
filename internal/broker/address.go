// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// choose sets the address that clients are told: brokerIP1, or the address the
// broker listens on if that is one, or the machine's own.
func (b *Broker) choose() error {
	port := b.Addr().Port()
	name := b.cfg.Network.AdvertisedIP
	if name == "" {
		name = b.cfg.Network.BindAddress
	}
	if name != "" {
		ip, err := resolve(name)
		if err != nil {
			return fmt.Errorf("brokerIP1=%s: %w", name, err)
		}
		if !ip.IsUnspecified() {
			b.advertised = netip.AddrPortFrom(ip, port)
			return nil
		}
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return fmt.Errorf("brokerIP1 is not set, and the machine's addresses can't be read: %w", err)
	}
	ip := pickAddress(addrs)
	b.advertised = netip.AddrPortFrom(ip, port)
	b.log.Info("advertised address chosen; set brokerIP1 if clients can't reach it", "address", b.advertised)
	return nil
}

// pickAddress chooses what clients can most likely reach: IPv4 before IPv6,
// loopback last.
func pickAddress(addrs []net.Addr) netip.Addr {
	best, bestRank := netip.AddrFrom4([4]byte{127, 0, 0, 1}), 3
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a.String())
		if err != nil {
			continue
		}
		ip := p.Addr().Unmap()
		rank := 3
		switch {
		case ip.IsLoopback() || ip.IsLinkLocalUnicast() || !ip.IsGlobalUnicast():
		case ip.Is4():
			rank = 1
		default:
			rank = 2
		}
		if rank < bestRank {
			best, bestRank = ip, rank
		}
	}
	return best
}

func resolve(name string) (netip.Addr, error) {
	if ip, err := netip.ParseAddr(name); err == nil {
		return ip.Unmap(), nil
	}
	ips, err := net.LookupIP(name)
	if err != nil {
		return netip.Addr{}, err
	}
	for _, ip := range ips {
		if a, ok := netip.AddrFromSlice(ip.To4()); ok {
			return a, nil
		}
	}
	a, _ := netip.AddrFromSlice(ips[0])
	return a.Unmap(), nil
}

// dialSelf connects to the advertised address, as a client would.
func (b *Broker) dialSelf(ctx context.Context) error {
	d := net.Dialer{Timeout: 3 * time.Second}
	c, err := d.DialContext(ctx, "tcp", b.Advertised())
	if err == nil {
		return c.Close()
	}
	if ctx.Err() == nil {
		b.log.Error("the advertised address can't be reached from this machine, so clients probably can't reach it either: set brokerIP1 to an address they can reach",
			"address", b.Advertised(), "error", err)
	}
	return nil
}

// unknownMemory stands for the machine's memory where that can't be asked for, in bytes.
const unknownMemory = 1 << 30
