// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/twostage/twostage/internal/config"
	"github.com/twostage/twostage/internal/vfs"
)

// A node that is told to stop while it starts closes the broker before it is
// open: nothing may be opened after that.
func TestCloseBeforeOpen(t *testing.T) {
	c, err := config.Load(config.Sources{Role: config.RoleBroker, DataDir: "/data", HostName: "h",
		Flags: map[string]string{"listenPort": "0", "bindAddress": "127.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	m := vfs.NewMem()
	b := New(Options{Config: c.Broker, Values: c.BrokerValues, FS: m, Logger: slog.New(slog.DiscardHandler)})
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.Open(context.Background()); !errors.Is(err, context.Canceled) {
		t.Errorf("Open after Close: %v", err)
	}
	if names, err := m.ReadDir("/data"); err == nil {
		t.Errorf("it touched the disk: %v", names)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}
