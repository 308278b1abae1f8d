// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"github.com/twostage/twostage/mqtest"
)

func TestHello(t *testing.T) {
	cluster := mqtest.Start(t)
	t.Setenv("NAMESRV_ADDR", cluster.NameServer())
	if err := run(t.Context()); err != nil {
		t.Fatal(err)
	}
}
