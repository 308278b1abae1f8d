// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/proctest"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/test/rig"
)

// The side-by-side sequence of docs/deployment.md: a broker joins, the old one
// takes no more messages, is read to its end and goes.
func TestSideBySide(t *testing.T) {
	t.Parallel()
	namesrv := proctest.Start(t, "server", "--role", "namesrv", "--data", t.TempDir(),
		"--namesrv-set", "listenPort=0", "--namesrv-set", "bindAddress=127.0.0.1", "--namesrv-set", "httpListenPort=0").Namesrv
	old := proctest.Start(t, broker(t.TempDir(), "broker-old", namesrv)...)
	c, ctx := rig.Client(t), rig.Context(t)
	topic := func(s *proctest.Server) {
		if err := rpc.CreateTopic(ctx, c, s.Broker, rig.TopicHeader(orders, 1)); err != nil {
			t.Fatal(err)
		}
	}
	topic(old)
	must(t, "topic", "send", orders, "to the old one", "--namesrv", namesrv)

	young := proctest.Start(t, broker(t.TempDir(), "broker-new", namesrv)...)
	topic(young)
	wantPerms(t, c, namesrv, "broker-new=6 broker-old=6")
	if _, err := rpc.WipeWritePerm(ctx, c, namesrv, "broker-old"); err != nil {
		t.Fatal(err)
	}
	wantPerms(t, c, namesrv, "broker-new=6 broker-old=4")
	if out := must(t, "topic", "send", orders, "to the new one", "--count", "4", "--namesrv", namesrv); strings.Count(out, " broker=broker-new ") != 4 {
		t.Errorf("sent: %s", out)
	}
	if have := texts(t, c, old.Broker, orders, 0); !slices.Equal(have, []string{"to the old one"}) {
		t.Errorf("the old one has %q", have)
	}
	if _, err := rpc.AddWritePerm(ctx, c, namesrv, "broker-old"); err != nil { // it can be taken back
		t.Fatal(err)
	}
	wantPerms(t, c, namesrv, "broker-new=6 broker-old=6")
	stopped(t, old)
	wantPerms(t, c, namesrv, "broker-new=6")
	if have := texts(t, c, young.Broker, orders, 0); len(have) != 4 {
		t.Errorf("the new one has %q", have)
	}
}

// wantPerms waits until the route of orders has these brokers with these
// permissions.
func wantPerms(t *testing.T, c rpc.Caller, namesrv, want string) {
	t.Helper()
	ctx := rig.Context(t)
	rig.Poll(t, "the route is "+want, func() error {
		r, err := rpc.Route(ctx, c, namesrv, orders)
		if err != nil {
			return err
		}
		var have []string
		for _, q := range r.QueueDatas {
			have = append(have, fmt.Sprintf("%s=%d", q.BrokerName, q.Perm))
		}
		slices.Sort(have)
		if s := strings.Join(have, " "); s != want {
			return fmt.Errorf("it is %s", s)
		}
		return nil
	})
}
