// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package session

import "testing"

// A heartbeat without subscriptions keeps what the group has, and asks for them
// where they are not the client's own.
func TestHeartbeatWithoutSubscriptions(t *testing.T) {
	r := New(Config{})
	a, b := newConn(1), newConn(2)
	whole := func(id string, c Conn, fingerprint int32, topic string) {
		r.RegisterConsumer(Client{ID: id, Conn: c, Fingerprint: fingerprint}, "g", ConsumerInfo{}, subs(topic, 1))
	}
	keep := func(id string, c Conn, fingerprint int32, want bool) {
		t.Helper()
		if known := r.KeepConsumer(Client{ID: id, Conn: c, Fingerprint: fingerprint}, "g", ConsumerInfo{}); known != want {
			t.Errorf("%s with fingerprint %d: known %v, want %v", id, fingerprint, known, want)
		}
	}
	whole("a", a, 7, "T")
	keep("a", a, 7, true)
	keep("a", a, 8, false) // it says that it has others now
	keep("b", b, 7, false) // of whom nothing is known, as after a restart: a member all the same
	if ids := r.ConsumerIDs("g"); len(ids) != 2 {
		t.Errorf("members %v", ids)
	}
	if _, online, _ := r.Subscription("g", "T"); !online || expression(r, "g", "T") == "" {
		t.Error("a heartbeat without subscriptions took the group's away")
	}
	whole("b", b, 9, "U")
	keep("b", b, 9, true)
	keep("a", a, 7, false) // the group has b's now, as it said them last
	whole("a", a, 7, "U")
	keep("a", a, 7, true)
	keep("b", b, 9, true) // which a says too
	keep("x", a, 7, false)
	whole("a", a, 0, "U")
	keep("a", a, 0, false)

	r.ConnClosed(a)
	keep("a", a, 7, false)
	c := newConn(3)
	keep("a", c, 7, false) // it has connected again
}
