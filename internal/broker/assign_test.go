// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/broker/assign"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
)

// ask sends a body and reads one.
func (c *client) ask(code int32, send, got body.Body) *wire.Command {
	c.w.t.Helper()
	req := &wire.Request{Code: code}
	if send != nil {
		req.Body = body.Marshal(send)
	}
	cmd, err := c.Invoke(c.w.ctx, c.w.addr, req)
	if err != nil {
		c.w.t.Fatal(err)
	}
	if got != nil {
		if cmd.Code != wire.Success {
			c.w.t.Fatalf("answered %d %s", cmd.Code, cmd.Remark)
		}
		if err := body.Unmarshal(cmd.Body, got); err != nil {
			c.w.t.Fatal(err)
		}
	}
	return cmd
}

// share is a client's share in short: "0 1 PULL", or "keep" and the remark.
func (c *client) share(id, topic, strategy string) string {
	c.w.t.Helper()
	var got body.QueryAssignmentResponseBody
	cmd := c.ask(wire.ReqQueryAssignment, &body.QueryAssignmentRequestBody{
		Topic: topic, ConsumerGroup: "g", ClientID: id, StrategyName: strategy, MessageModel: body.Clustering,
	}, &got)
	if got.MessageQueueAssignments == nil {
		return "keep: " + string(cmd.Remark)
	}
	var out []string
	mode := ""
	for _, a := range *got.MessageQueueAssignments {
		if a.MessageQueue.BrokerName != c.w.cfg.Identity.Name || a.MessageQueue.Topic != topic {
			c.w.t.Errorf("assigned %+v", a)
		}
		out = append(out, fmt.Sprint(a.MessageQueue.QueueID))
		mode = string(a.Mode)
	}
	return strings.Join(append(out, mode), " ")
}

func TestAssignments(t *testing.T) {
	fs := vfs.NewMem()
	w := start(t, fs)
	a, b := w.client(), w.client()
	a.send(sendHeader("T"), "x") // four queues
	if got := a.share("a", "T", "AVG"); !strings.Contains(got, "keep: ") || !strings.Contains(got, "no heartbeat") {
		t.Errorf("before the heartbeat: %s", got)
	}
	a.heartbeat("a", "g", "T", "*")
	b.heartbeat("b", "g", "T", "*")
	want := func(w2 *client, id, strategy, want string) {
		t.Helper()
		if got := w2.share(id, "T", strategy); got != want {
			t.Errorf("%s by %s: %q, want %q", id, strategy, got, want)
		}
	}
	want(a, "a", "AVG", "0 1 PULL")
	want(a, "b", "AVG", "2 3 PULL")
	want(a, "b", "AVG_BY_CIRCLE", "1 3 PULL")
	want(a, "stranger", "AVG", "")
	want(a, "a", "MACHINE_ROOM", `keep: no assignment for group g: strategy "MACHINE_ROOM" is neither AVG nor AVG_BY_CIRCLE`)
	if got := a.share("a", "none", "AVG"); !strings.Contains(got, "topic none does not exist") {
		t.Errorf("an unknown topic: %s", got)
	}
	a.refused(wire.InvalidParameter, &wire.Request{Code: wire.ReqQueryAssignment, Body: []byte(`{"topic":"T"}`)}, "consumerGroup")

	// The group moves to pop, and its members learn of it with the next query.
	a.ask(wire.ReqSetMessageRequestMode, &body.RequestModeConfig{Topic: "T", ConsumerGroup: "g", Mode: body.RequestPop}, nil)
	want(a, "a", "AVG", "-1 POP")
	want(b, "b", "AVG", "-1 POP")
	if got := a.share("a", "%RETRY%g", "AVG"); got != "0 PULL" {
		t.Errorf("the retry topic: %s", got)
	}
	var table body.RequestModeTable
	a.ask(wire.ReqGetAllMessageRequestMode, nil, &table)
	if c := table.MessageRequestModeMap["T"]["g"]; c.Mode != body.RequestPop || len(table.MessageRequestModeMap) != 1 {
		t.Errorf("modes %+v", table)
	}
	set := func(c body.RequestModeConfig) *wire.Request {
		return &wire.Request{Code: wire.ReqSetMessageRequestMode, Body: body.Marshal(&c)}
	}
	a.refused(wire.TopicNotExist, set(body.RequestModeConfig{Topic: "none", ConsumerGroup: "g", Mode: body.RequestPop}), "topic[none]")
	a.refused(wire.NoPermission, set(body.RequestModeConfig{Topic: "%RETRY%g", ConsumerGroup: "g", Mode: body.RequestPop}), "retry topic")
	a.refused(wire.InvalidParameter, set(body.RequestModeConfig{Topic: "T", ConsumerGroup: "g", Mode: "PUSH"}), "PUSH")

	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	w = start(t, fs)
	c := w.client()
	c.heartbeat("a", "g", "T", "*")
	want(c, "a", "AVG", "-1 POP")
}

func TestRouteOfTheNameServerThatAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const other = "10.0.0.8:9876"
		f := newField(t, ns, other)
		f.serve(ns, silent)
		f.serve(other, func(r *remoting.Request) {
			if name, _ := r.Ext.Get("topic"); string(name) != "T" {
				r.Reply(&wire.Response{Code: wire.TopicNotExist, Remark: "nowhere"})
				return
			}
			r.Reply(&wire.Response{Code: wire.Success, Body: body.MarshalStandard(&body.TopicRouteData{
				QueueDatas: []body.QueueData{{BrokerName: "b", ReadQueueNums: 3, Perm: 6}},
			})})
		})
		begin := time.Now()
		data, err := f.b.route(t.Context(), "T")
		if err != nil || len(data.QueueDatas) != 1 || data.QueueDatas[0].ReadQueueNums != 3 {
			t.Errorf("%+v %v", data, err)
		}
		if waited := time.Since(begin); waited != routeTimeout {
			t.Errorf("waited %v for the silent one", waited)
		}
		if _, err := f.b.route(t.Context(), "U"); !errors.Is(err, assign.ErrNoRoute) || !strings.Contains(err.Error(), "nowhere") {
			t.Errorf("no route: %v", err)
		}
	})
}

func TestConflictsAreTold(t *testing.T) {
	w := start(t, vfs.NewMem())
	a, b := w.client(), w.client()
	a.heartbeat("a", "g", "T", "*")
	b.heartbeat("b", "g", "T", "A")
	ask := func() *body.ConsumerConnection {
		cmd, err := a.Invoke(w.ctx, w.addr, &wire.Request{Code: wire.ReqGetConsumerConnectionList, Header: &header.ConsumerConnectionRequest{ConsumerGroup: "g"}})
		if err != nil {
			t.Fatal(err)
		}
		var got body.ConsumerConnection
		if err := body.Unmarshal(cmd.Body, &got); err != nil {
			t.Fatal(err)
		}
		return &got
	}
	want := []body.SubscriptionConflict{{Topic: "T", ClientID: "b", Expression: "A", OtherClientID: "a", OtherExpression: "*"}}
	if got := ask().SubscriptionConflicts; !slices.Equal(got, want) {
		t.Errorf("told %+v", got)
	}
	b.heartbeat("b", "g", "T", "*")
	if got := ask().SubscriptionConflicts; got != nil {
		t.Errorf("members that agree: %+v", got)
	}
}
