// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package proctest

import (
	"fmt"
	"net"
	"testing"
)

func TestFreePort(t *testing.T) {
	low, err := lowestLocal()
	if err != nil {
		t.Fatal(err)
	}
	given := map[int]bool{}
	t.Run("many", func(t *testing.T) {
		for range 200 {
			port := FreePort(t)
			if port < firstPort || port >= low || given[port] || given[port-2] || given[port+2] {
				t.Fatalf("port %d, after %v", port, given)
			}
			given[port] = true
			for _, p := range []int{port, port - 2} {
				ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p))
				if err != nil {
					t.Fatal(err)
				}
				defer ln.Close()
			}
			if claim, err := claimPort(port); err == nil {
				_ = claim.Close()
				t.Fatalf("port %d may be given again", port)
			}
		}
	})
	claimed := 0
	for port := range given {
		if claim, err := claimPort(port); err == nil { // if no other process was given it meanwhile
			claimed++
			_ = claim.Close()
		}
	}
	if claimed < len(given)/2 {
		t.Errorf("%d of %d ports may be given again after the test that had them", claimed, len(given))
	}
}
