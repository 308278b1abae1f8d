// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"testing"

	"github.com/twostage/twostage/internal/auth"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
)

// TestMayReadLooksAtTheRecordsTopic and not at what the request says of it.
func TestMayReadLooksAtTheRecordsTopic(t *testing.T) {
	g := plainGuard(t)
	as := func(name string) *remoting.Request {
		ext := wire.Fields{{Key: []byte("topic"), Value: []byte("seen")}, {Key: []byte(auth.FieldAccessKey), Value: []byte(name)}}
		return &remoting.Request{Command: &wire.Command{Code: wire.ReqViewMessageByID, Ext: ext}, Conn: &remoting.Conn{}}
	}
	for topic, ok := range map[string]bool{"seen": true, "orders": false, "hidden": false, "%RETRY%readers": true, "%RETRY%others": false} {
		if err := g.MayRead(as("producer"), []byte(topic)); (err == nil) != ok {
			t.Errorf("%s: %v", topic, err)
		}
		if err := g.MayRead(as("administrator"), []byte(topic)); err != nil {
			t.Errorf("%s, by an admin: %v", topic, err)
		}
		if g.MayRead(as(""), []byte(topic)) == nil {
			t.Errorf("%s, by nobody: let in", topic)
		}
	}
	if n := g.Refused()[auth.BecausePermission]; n != 3 {
		t.Errorf("%d refusals were counted", n)
	}
	if err := New(Options{}).MayRead(as(""), []byte("hidden")); err != nil {
		t.Errorf("without access control: %v", err)
	}
}
