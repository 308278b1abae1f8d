// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package frames

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/proctest"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/test/rig"
)

// What is relayed to a client that is there and says nothing is answered
// CONSUME_MSG_TIMEOUT after ten seconds, each request by its own clock, and holds
// up nobody meanwhile.
func testSilentClient(t *testing.T, p *peer) {
	topic, group := p.topic("topic", 1), p.group("group", 16)
	id := p.field(p.send(topic, 0, "m0"), "msgId")
	asked := make(chan int32, 2)
	silence := remoting.Route{Handler: func(r *remoting.Request) { asked <- r.Code }, Lane: remoting.NewLane("silent", 1, 8)}
	silent := remoting.NewClient(remoting.ClientConfig{
		Language: wire.LanguageJava, Version: wire.Version,
		Routes: func(code int32) (remoting.Route, bool) {
			return silence, code == wire.ReqGetConsumerRunningInfo || code == wire.ReqConsumeMessageDirectly
		},
	})
	t.Cleanup(func() { _ = silent.Close() })
	if err := rpc.Heartbeat(rig.Context(t), silent, p.b.Broker, heartbeat(p.id, group, topic)); err != nil {
		t.Fatal(err)
	}
	type result struct {
		code   int32
		answer *wire.Command
		err    error
		took   time.Duration
	}
	results := make(chan result, 2)
	ask := func(code int32, fields ...string) {
		begin := time.Now()
		answer, err := p.try(code, nil, fields...)
		results <- result{code, answer, err, time.Since(begin)}
	}
	go ask(wire.ReqGetConsumerRunningInfo, "consumerGroup", group, "clientId", p.id, "jstackEnable", "false")
	go ask(wire.ReqConsumeMessageDirectly, "consumerGroup", group, "clientId", p.id, "msgId", id, "brokerName", brokerName, "topic", topic)
	got := map[int32]bool{<-asked: true, <-asked: true}
	if !got[wire.ReqGetConsumerRunningInfo] || !got[wire.ReqConsumeMessageDirectly] {
		t.Errorf("the client was asked %v", got)
	}
	begin := time.Now()
	p.send(topic, 0, "m1")
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("a send beside it took %v", took)
	}
	for range 2 {
		r := <-results
		if r.err != nil {
			t.Errorf("%s: %v", wire.CodeName(r.code), r.err)
			continue
		}
		if remark := string(r.answer.Remark); r.answer.Code != wire.ConsumeMsgTimeout || !strings.Contains(remark, group) || !strings.Contains(remark, p.id) {
			t.Errorf("%s is answered %s: %s", wire.CodeName(r.code), wire.ResponseName(r.answer.Code), remark)
		}
		if r.took < 10*time.Second || r.took > 20*time.Second {
			t.Errorf("%s is answered after %v, want 10 s", wire.CodeName(r.code), r.took)
		}
	}
}

// Two members of a group that subscribe differently are named, both of them, in
// the log, by request 203 and by `twostage group show`, and counted; all of that
// ends when they agree.
func testConflict(t *testing.T, p *peer) {
	topic, group := p.topic("topic", 1), p.group("group", 16)
	other := p.b.peer(t, p.enc)
	p.subscribe(group, topic, "TAG", "red")
	other.subscribe(group, topic, "TAG", "red")
	counted := func() bool {
		t.Helper()
		status, text, err := rig.Get(p.b.HTTP, "/metrics")
		if err != nil || status != 200 {
			t.Fatalf("/metrics: %d, %v", status, err)
		}
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "twostage_subscription_conflicts{") && strings.Contains(line, fmt.Sprintf("group=%q", group)) {
				if !strings.HasSuffix(line, " 1\n") {
					t.Errorf("the metric is %s", line)
				}
				return true
			}
		}
		return false
	}
	shown := func() string {
		t.Helper()
		cmd := exec.CommandContext(rig.Context(t), proctest.Binary(t), "group", "show", group, "--namesrv", p.b.Namesrv)
		var said bytes.Buffer
		cmd.Stderr = &said
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v: %s", err, said.Bytes())
		}
		return string(out)
	}
	agree := func(when string) {
		t.Helper()
		conns, err := rpc.ConsumerConnection(rig.Context(t), p.c, p.b.Broker, group)
		if err != nil || len(conns.SubscriptionConflicts) > 0 || len(conns.ConnectionSet) != 2 {
			t.Errorf("%s: %+v, %v", when, conns, err)
		}
		if counted() {
			t.Errorf("%s: the metric is still there", when)
		}
	}
	agree("before")
	other.subscribe(group, topic, "SQL92", "n > 3")
	conns, err := rpc.ConsumerConnection(rig.Context(t), p.c, p.b.Broker, group)
	if err != nil || len(conns.SubscriptionConflicts) != 1 {
		t.Fatalf("the conflicts are %+v, %v", conns, err)
	}
	c := conns.SubscriptionConflicts[0]
	if c.ClientID > c.OtherClientID {
		c.ClientID, c.OtherClientID, c.Expression, c.OtherExpression = c.OtherClientID, c.ClientID, c.OtherExpression, c.Expression
	}
	first, firstWants, second, secondWants := p.id, "red", other.id, "n > 3"
	if first > second {
		first, firstWants, second, secondWants = second, secondWants, first, firstWants
	}
	if c.Topic != topic || c.ClientID != first || c.OtherClientID != second || !strings.Contains(c.Expression, firstWants) || !strings.Contains(c.OtherExpression, secondWants) {
		t.Errorf("the conflict is %+v", c)
	}
	if !counted() {
		t.Error("the metric is not there")
	}
	named := func(text string) bool {
		return strings.Contains(text, topic) && strings.Contains(text, p.id) && strings.Contains(text, other.id) && strings.Contains(text, "n > 3") && strings.Contains(text, "red")
	}
	_, conflict, found := strings.Cut(shown(), "CONFLICT")
	if !found || !named(conflict) {
		t.Errorf("group show: %s", conflict)
	}
	logged := false
	for line := range strings.Lines(p.b.Log()) {
		logged = logged || strings.Contains(line, "subscribe differently") && strings.Contains(line, group) && named(line)
	}
	if !logged {
		t.Error("the log does not name both")
	}
	other.subscribe(group, topic, "TAG", "red")
	agree("after")
	if strings.Contains(shown(), "CONFLICT") {
		t.Error("group show still has a conflict")
	}
}
