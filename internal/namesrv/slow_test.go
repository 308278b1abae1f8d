// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package namesrv

import (
	"testing"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/vfs"
)

// A request that takes long is logged, as the broker does.
func TestSlowRequestsAreLogged(t *testing.T) {
	w := start(t, vfs.NewMem(), func(o *Options) { o.Config.Slow = 1 }) // so that every one is
	c := remoting.NewClient(remoting.ClientConfig{Dial: w.mem.Dial})
	defer c.Close()
	if err := rpc.Ping(t.Context(), c, w.addr); err != nil {
		t.Fatal(err)
	}
	w.stop()
	if !w.log.has("level=WARN", "slow request", "request=") {
		t.Errorf("log:\n%s", w.log.text.String())
	}
}
