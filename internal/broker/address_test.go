// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
)

// An advertised address that nobody answers at is said, with the key to set.
func TestDialSelf(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().(*net.TCPAddr).AddrPort()
	dial := func(a netip.AddrPort) string {
		var log bytes.Buffer
		b := &Broker{log: slog.New(slog.NewTextHandler(&log, nil)), advertised: a}
		if err := b.dialSelf(context.Background()); err != nil {
			t.Error(err)
		}
		return log.String()
	}
	if log := dial(addr); log != "" {
		t.Errorf("reachable, and yet: %s", log)
	}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	if log := dial(addr); !strings.Contains(log, "level=ERROR") || !strings.Contains(log, "brokerIP1") || !strings.Contains(log, addr.String()) {
		t.Errorf("unreachable, and the log says %q", log)
	}
}
