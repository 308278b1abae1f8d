// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package message

import (
	_ "bytes"
	_ "example.com/broken/internal/vfs"
	_ "net"
	_ "net/netip"
	_ "os/exec"
	clock "time"
)

type Epoch clock.Time

var now func() clock.Time

var _, _ = clock.Now, clock.NewTimer

func run(wg interface{ Go(func()) }) {
	go run(wg)
	wg.Go(func() {})
}
