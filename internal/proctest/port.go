// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package proctest

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"testing"
)

// firstPort is the lowest port that ClaimPort gives.
const firstPort = 12000

// FreePort is ClaimPort until the test ends.
func FreePort(t testing.TB) int {
	t.Helper()
	port, claim, err := ClaimPort()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = claim.Close() })
	return port
}

// ClaimPort gives a TCP port that nobody listens on, on any address, and whose
// neighbour two below (the VIP channel's) is free too, for a server that must know
// it beforehand or come back to it. The system takes no local ends of connections
// from such ports, so that none of the many clients of tests running side by side
// gets it before the server does, or while it is away; and until the claim is
// closed or the process ends, no other call gives it or its neighbour, in this
// process or another.
func ClaimPort() (port int, claim io.Closer, err error) {
	low, err := lowestLocal()
	if err != nil {
		return 0, nil, err
	}
	for range 1000 {
		port := firstPort + 4*rand.IntN((low-firstPort)/4) // pairs don't overlap
		claim, err := claimPort(port)
		if err != nil {
			continue
		}
		if free(port) && free(port-2) {
			return port, claim, nil
		}
		_ = claim.Close()
	}
	return 0, nil, fmt.Errorf("no free pair of ports between %d and %d", firstPort, low)
}

// lowestLocal is the lowest port that the system takes for the local end of a
// connection, or what it is by default where that leaves hardly any below: a server
// may then find its port taken now and then.
func lowestLocal() (int, error) {
	const file = "/proc/sys/net/ipv4/ip_local_port_range"
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	var low int
	if _, err := fmt.Sscan(string(text), &low); err != nil {
		return 0, fmt.Errorf("%s: %w", file, err)
	}
	if low < firstPort+2000 {
		return 32768, nil
	}
	return low, nil
}

// claimPort keeps other processes that run these tests from a port: an abstract
// Unix socket is there for as long as the process that has it.
func claimPort(port int) (net.Listener, error) {
	return net.Listen("unix", fmt.Sprintf("@twostage-test-port-%d", port))
}

func free(port int) bool {
	ln, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
	if err != nil {
		return false
	}
	return ln.Close() == nil
}
