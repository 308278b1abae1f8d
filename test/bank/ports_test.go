// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package bank

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"

	"github.com/twostage/twostage/internal/proctest"
)

// taken are the ports that fixedPort gave.
var (
	takenMu sync.Mutex
	taken   = make(map[int]bool)
)

// fixedPort gives a port of 127.0.0.1 that a server can come back to: none from
// which the system takes the local ends of connections, because the clients that
// dial while the server is away would get it now and then. Its neighbour two
// below is free as well.
func fixedPort(t *testing.T) int {
	t.Helper()
	var low, high int
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err == nil {
		_, err = fmt.Sscan(string(text), &low, &high)
	}
	if err != nil {
		t.Fatal(err)
	}
	const first = 12000
	if low < first+2000 {
		return proctest.FreePort(t) // nearly all are taken from
	}
	takenMu.Lock()
	defer takenMu.Unlock()
	for range 1000 {
		port := first + 4*rand.IntN((low-first)/4)
		if taken[port] || !free(port) || !free(port-2) {
			continue
		}
		taken[port] = true
		return port
	}
	t.Fatalf("no free port between %d and %d", first, low)
	return 0
}

func free(port int) bool {
	ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return false
	}
	return ln.Close() == nil
}
