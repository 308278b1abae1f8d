// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
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

// TestDirectoryOfSomebodyElse is refused, and not said to be ours.
func TestDirectoryOfSomebodyElse(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "thesis.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	err := run(t.Context(), &flags{dir: dir}, &said)
	if err == nil || !strings.Contains(err.Error(), "not empty") || said.Len() != 0 {
		t.Errorf("%v, and it says %q", err, said.String())
	}
}
