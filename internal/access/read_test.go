// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/auth"
	"github.com/twostage/twostage/internal/config"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/message"
)

// placed sends VIEW_MESSAGE_BY_ID to a server that finds a record of the topic there,
// meant for realTopic.
func (w *world) placed(as auth.Credentials, topic, realTopic string) (code int32, remark string) {
	w.t.Helper()
	return w.send(as, wire.ReqViewMessageByID, nil, text{"topic", "seen"}, text{recordTopic, topic}, text{recordRealTopic, realTopic})
}

// TestMayReadLooksAtTheRecordsTopic and not at what the request says of it.
func TestMayReadLooksAtTheRecordsTopic(t *testing.T) {
	w := plainWorld(t, plainFile)
	for _, c := range []struct {
		topic, realTopic string
		ok               bool
	}{
		{"seen", "", true}, {"orders", "", false}, {"hidden", "", false}, {"%RETRY%readers", "", true}, {"%RETRY%others", "", false}, {"hidden", "seen", false},
		{message.TopicHalf, "seen", true}, {message.TopicHalf, "hidden", false}, {message.TopicHalf, "", false}, {message.TopicOpHalf, "", false},
	} {
		code, remark := w.placed(producer, c.topic, c.realTopic)
		if (code == wire.Success) != c.ok || !c.ok && (code != wire.SystemError || !strings.Contains(remark, "no permission")) {
			t.Errorf("%s (%s): %d %s", c.topic, c.realTopic, code, remark)
		}
		if code, remark = w.placed(admin, c.topic, c.realTopic); code != wire.Success {
			t.Errorf("%s (%s), by an admin: %d %s", c.topic, c.realTopic, code, remark)
		}
	}
	if n := w.guard.Refused()[auth.BecausePermission]; n != 7 || !strings.Contains(w.log.String(), "request refused") {
		t.Errorf("%d refusals were counted, and logged:\n%s", n, w.log)
	}
}

// TestReadingByPlaceKeepsToTheWhiteLists as other requests do: what needs neither proof
// nor permission is not refused for want of them.
func TestReadingByPlaceKeepsToTheWhiteLists(t *testing.T) {
	c := config.Access{Authentication: true, Authorization: true, Dir: "/auth", InitUser: config.NewSecret("root", "top-secret-0")}
	w := newWorld(t, vfs.NewMem(), c)
	if code, remark := w.placed(auth.Credentials{AccessKey: "root", SecretKey: "top-secret-0"}, "t", ""); code != wire.Success {
		t.Errorf("%d %s", code, remark)
	}
	if err := w.guard.CreateUser("root", auth.User{Username: "alice", Password: "top-secret-1"}); err != nil {
		t.Fatal(err)
	}
	if code, remark := w.placed(auth.Credentials{AccessKey: "alice", SecretKey: "top-secret-1"}, "t", ""); code != wire.NoPermission {
		t.Errorf("without policies: %d %s", code, remark)
	}
	c.AuthenticationWhitelist, c.AuthorizationWhitelist = []int32{wire.ReqViewMessageByID}, []int32{wire.ReqViewMessageByID}
	w = newWorld(t, vfs.NewMem(), c)
	for _, as := range []auth.Credentials{nobody, {AccessKey: "stranger", SecretKey: "x"}} {
		if code, remark := w.placed(as, "t", ""); code != wire.Success {
			t.Errorf("%s: %d %s", as, code, remark)
		}
	}
}

// TestSenderIsWhoHasProvedIt and nobody who only says so where a white list lets that in.
func TestSenderIsWhoHasProvedIt(t *testing.T) {
	c := config.Access{Authentication: true, Authorization: true, Dir: "/auth", InitUser: config.NewSecret("root", "top-secret-0"),
		AuthenticationWhitelist: []int32{wire.ReqHeartBeat}, AuthorizationWhitelist: []int32{wire.ReqHeartBeat}}
	w := newWorld(t, vfs.NewMem(), c)
	for secret, want := range map[string]string{"top-secret-0": "root", "another": ""} {
		answer := w.ask(auth.Credentials{AccessKey: "root", SecretKey: secret}, wire.ReqHeartBeat, heartbeatBody(t, "g", "t"))
		if answer.Code != wire.Success || string(answer.Body) != want {
			t.Errorf("%d %s: the sender is %q, want %q", answer.Code, answer.Remark, answer.Body, want)
		}
	}
	if w.guard.MayBeAsked("", loopback, []byte("t")) || !w.guard.MayBeAsked("root", loopback, []byte("t")) {
		t.Error("nobody is asked how transactions end, or root is not")
	}
	if open := New(Options{}); !open.MayBeAsked("", loopback, []byte("t")) {
		t.Error("without access control not everybody may be asked")
	}
}
