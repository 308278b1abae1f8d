// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net"
	"strconv"
	"testing"
)

// TestPortsStayFree: a connection to a process of the shop has its local end on a port
// that another one, which is away, can come back to.
func TestPortsStayFree(t *testing.T) {
	host := ownHost()
	there, err := net.Listen("tcp", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	c, err := net.Dial("tcp", there.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	back, err := net.Listen("tcp", host+":"+strconv.Itoa(c.LocalAddr().(*net.TCPAddr).Port))
	if err != nil {
		t.Fatal(err)
	}
	_ = back.Close()
}
