// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/auth"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
)

var update = flag.Bool("update", false, "write the table of requests into docs/security.md")

const securityPage = "../../docs/security.md"

// describe says what a request needs that names the topic TOPIC and the group GROUP.
func describe(t *testing.T, code int32) string {
	r := &remoting.Request{Command: &wire.Command{Code: code}}
	for _, f := range []string{"topic", "b"} {
		r.Ext = append(r.Ext, wire.Field{Key: []byte(f), Value: []byte("TOPIC")})
	}
	for _, f := range []string{"consumerGroup", "group", "groupName", "destGroup", "compareGroup"} {
		r.Ext = append(r.Ext, wire.Field{Key: []byte(f), Value: []byte("GROUP")})
	}
	switch code {
	case wire.ReqHeartBeat:
		r.Body = heartbeatBody(t, "GROUP", "TOPIC")
	case wire.ReqLockBatchMQ, wire.ReqUnlockBatchMQ:
		r.Body = body.Marshal(&body.LockBatchRequestBody{ConsumerGroup: "GROUP", MqSet: []body.MessageQueue{{Topic: "TOPIC"}}})
	case wire.ReqBatchAckMessage:
		r.Body = body.Marshal(&body.BatchAckRequest{Acks: []body.BatchAck{{Topic: "TOPIC", ConsumerGroup: "GROUP"}}})
	case wire.ReqUpdateAndCreateSubscriptionGroup:
		r.Body = body.Marshal(&body.SubscriptionGroupConfig{GroupName: "GROUP"})
	}
	var a asks
	if err := needs[code].ask(r, &a); err != nil {
		t.Fatalf("request %d: %v", code, err)
	}
	var parts []string
	for _, ask := range a.list {
		part := askText(ask)
		if !slices.Contains(parts, part) {
			parts = append(parts, part)
		}
	}
	if more := byRecord[code]; more != "" {
		return strings.Join(append(named(t, code, r, parts), more), ", ")
	}
	if code == wire.ReqSendReplyMessage || code == wire.ReqSendReplyMessageV2 {
		return "a signature; " + strings.Join(parts, ", ") + ", unless it is one for replies"
	}
	if len(parts) == 0 {
		return "a signature"
	}
	return strings.Join(named(t, code, r, parts), ", ")
}

// byRecord is what is asked when the record that a request is about was found: see
// Guard.MayRead and Guard.MayDecide.
var byRecord = map[int32]string{
	wire.ReqViewMessageByID:        "Sub or Get on the record's topic",
	wire.ReqConsumerSendMsgBack:    "Sub or Get on the record's topic",
	wire.ReqConsumeMessageDirectly: "Sub or Get on the record's topic",
	wire.ReqEndTransaction:         "Pub on the half message's topic",
}

// named marks the parts that are not asked of a request without the field that they are
// about.
func named(t *testing.T, code int32, r *remoting.Request, parts []string) []string {
	marked := slices.Clone(parts)
	for i := range r.Ext {
		without := *r.Command
		without.Ext = slices.Delete(slices.Clone(r.Ext), i, i+1)
		var a asks
		if needs[code].ask(&remoting.Request{Command: &without}, &a) != nil {
			continue
		}
		for j, part := range parts {
			if !slices.ContainsFunc(a.list, func(ask auth.Ask) bool { return askText(ask) == part }) {
				marked[j] = part + " if named"
			}
		}
	}
	return marked
}

func askText(a auth.Ask) string {
	return strings.Join(a.Actions.Names(), " or ") + " on the " + strings.ToLower(a.Kind.String())
}

// TestSecurityPageListsEveryRequest: which are open, which are protected, and what each
// needs with access control. After a change of needs.go run it with -update.
func TestSecurityPageListsEveryRequest(t *testing.T) {
	var want strings.Builder
	for _, code := range slices.Sorted(maps.Keys(needs)) {
		without := "open"
		if Protected(code) {
			without = "**protected**"
		}
		name := wire.CodeName(code)
		if name == "" {
			t.Errorf("request %d has no name", code)
		}
		fmt.Fprintf(&want, "| %d | %s | %s | %s |\n", code, name, without, describe(t, code))
	}
	page, err := os.ReadFile(securityPage)
	if err != nil {
		t.Fatal(err)
	}
	const head = "| Code | Request | Without access control | With it |\n|---|---|---|---|\n"
	before, rest, ok := strings.Cut(string(page), head)
	end := strings.Index("\n"+rest, "\n\n")
	if !ok || end < 0 {
		t.Fatal("the table was not found in docs/security.md")
	}
	if got := rest[:end]; got != want.String() {
		if *update {
			if err := os.WriteFile(securityPage, []byte(before+head+want.String()+rest[end:]), 0o644); err != nil {
				t.Fatal(err)
			}
			return
		}
		have := strings.Split(got, "\n")
		for _, line := range strings.Split(want.String(), "\n") {
			if !slices.Contains(have, line) {
				t.Errorf("docs/security.md lacks %q", line)
			}
		}
		t.Error("docs/security.md and needs.go differ: run this test with -update")
	}
}

// TestWhatMustBeProtectedIs: and what ordinary clients, tools that read, and the
// exporter send is open.
func TestWhatMustBeProtectedIs(t *testing.T) {
	for _, code := range []int32{
		25, 50, 51, 53, 18, 100, 102, 205, 207, 215, 216, 222, 225, 306, 314, 316, 318, 323, 327, 329, 353, 401, 513,
		3001, 3002, 3003, 3004, 3005, 3006, 3007, 3008, 3009, 3010,
		wire.ReqTxList, wire.ReqTxShow, wire.ReqTxDecide, wire.ReqTxRecheck, wire.ReqTxResume,
	} {
		if !Protected(code) {
			t.Errorf("request %d (%s) is open", code, wire.CodeName(code))
		}
	}
	for _, code := range []int32{
		10, 11, 12, 14, 15, 17, 21, 26, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 41, 42, 46, 52, 103, 104, 105, 106, 200, 201, 202, 203, 204, 206, 208,
		224, 300, 303, 305, 307, 310, 315, 317, 319, 320, 321, 322, 324, 325, 328, 343, 345, 351, 352, 361, 370, 400,
		200050, 200051, 200053, 200054, 200151,
	} {
		if Protected(code) {
			t.Errorf("request %d (%s) is protected", code, wire.CodeName(code))
		}
	}
	for code, n := range needs {
		var a asks
		r := &remoting.Request{Command: &wire.Command{Code: code}}
		if n.protected && n.ask(r, &a) == nil && len(a.list) == 0 {
			t.Errorf("protected request %d needs nothing but a signature", code)
		}
	}
}
