// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
)

// subscribeSQL makes the client a consumer of T by an SQL92 expression.
func (c *client) subscribeSQL(group, expression string) {
	c.w.t.Helper()
	d := body.ConsumerData{GroupName: group, ConsumeType: body.ConsumePassively, MessageModel: body.Clustering, ConsumeFromWhere: body.ConsumeFromFirstOffset,
		SubscriptionDataSet: []body.SubscriptionData{{Topic: "T", SubString: expression, ExpressionType: "SQL92", SubVersion: 1}}}
	if err := rpc.Heartbeat(c.w.ctx, c, c.w.addr, &body.HeartbeatData{ClientID: "c-" + group, ConsumerDataSet: []body.ConsumerData{d}}); err != nil {
		c.w.t.Fatal(err)
	}
}

// byHeader is a pull of T that brings its own expression.
func byHeader(group, kind, expression string, from int64) *header.PullRequest {
	return &header.PullRequest{ConsumerGroup: []byte(group), Topic: []byte("T"), QueueOffset: from, MaxMsgNums: 32, SysFlag: header.PullSubscription,
		Subscription: []byte(expression), ExpressionType: []byte(kind)}
}

func TestSQLFilter(t *testing.T) {
	w := start(t, vfs.NewMem())
	c := w.client()
	for i := range 10 {
		c.send(sendHeader("T", "n", strconv.Itoa(i), "TAGS", string(rune('A'+i%3))), fmt.Sprint("m", i))
	}
	w.stored("T", 0)
	for i, tc := range []struct {
		expression, want string
		from, next       int64
	}{
		{"n > 6", "m7 m8 m9", 0, 10},
		{"TAGS = 'A' AND n BETWEEN 1 AND 8", "m3 m6", 0, 10},
		{"TAGS IN ('B', 'C') AND NOT (n < 6)", "m7 m8", 2, 10},
		{"missing IS NULL AND n = '4'", "m4", 4, 10},
		{"n > 100", "", 0, 10},
		{"missing > 1", "", 3, 10},
	} {
		wantCode := wire.Success
		if tc.want == "" {
			wantCode = wire.PullRetryImmediately
		}
		group := fmt.Sprint("g", i)
		c.subscribeSQL(group, tc.expression)
		if p := c.pull(group, "T", 0, tc.from, 0); p.Code != wantCode || bodies(t, p.Records) != tc.want || p.Header.NextBeginOffset != tc.next {
			t.Errorf("%s by heartbeat: %d %q %+v", tc.expression, p.Code, bodies(t, p.Records), p.Header)
		}
		p, err := rpc.Pull(w.ctx, c, w.addr, byHeader(group, "SQL92", tc.expression, tc.from))
		if err != nil || p.Code != wantCode || bodies(t, p.Records) != tc.want || p.Header.NextBeginOffset != tc.next {
			t.Errorf("%s by header: %v %+v", tc.expression, err, p)
		}
	}
	p, err := rpc.Pull(w.ctx, c, w.addr, byHeader("g0", "TAG", "A || C", 0))
	if err != nil || bodies(t, p.Records) != "m0 m2 m3 m5 m6 m8 m9" {
		t.Errorf("tags by header: %v %+v", err, p)
	}
}

// TestSQLFilterStatistics: what a filter leaves out is not counted as given.
func TestSQLFilterStatistics(t *testing.T) {
	w := start(t, vfs.NewMem())
	c := w.client()
	for i := range 10 {
		c.send(sendHeader("T", "n", strconv.Itoa(i)), "x")
	}
	w.stored("T", 0)
	c.subscribeSQL("g", "n > 6")
	c.pull("g", "T", 0, 0, 0)
	w.stats.EachGroup(func(group, topic string, n, _ int64) {
		if n != 3 {
			t.Errorf("%d messages counted as given to %s of %s, want 3", n, group, topic)
		}
	})
}

func TestBadSQL(t *testing.T) {
	w := start(t, vfs.NewMem())
	c := w.client()
	c.send(sendHeader("T"), "x")
	for _, tc := range []struct {
		kind, expression string
		words            []string
	}{
		{"SQL92", "a = ", []string{"column 5", "the expression ends"}},
		{"SQL92", "a LIKE 'x%'", []string{"column 3", "LIKE"}},
		{"SQL92", "a BETWEEN 10 AND 0", []string{"column 11", "bound"}},
		{"SQL92", "", []string{"column 1"}},
		{"SQL92", strings.Repeat("(", 10_000), []string{"column 129", "levels"}},
		{"SQL92", "a IN (" + strings.Repeat("'x',", 5_000) + "'x')", []string{"elements of IN"}},
		{"SQL99", "a = 1", []string{"SQL99", "TAG or SQL92"}},
	} {
		c.refused(wire.SubscriptionParseFailed, &wire.Request{Code: wire.ReqCheckClientConfig, Body: body.Marshal(&body.CheckClientRequestBody{ClientID: "c", Group: "g",
			SubscriptionData: &body.SubscriptionData{Topic: "T", SubString: tc.expression, ExpressionType: tc.kind}})}, tc.words...)
		c.refused(wire.SubscriptionParseFailed, &wire.Request{Code: wire.ReqPullMessage, Header: byHeader("g", tc.kind, tc.expression, 0)}, tc.words...)
	}
	// A heartbeat is taken as it is, and its pulls are answered as RocketMQ does.
	c.subscribeSQL("g", "a = = 1")
	c.refused(wire.FilterDataNotExist, &wire.Request{Code: wire.ReqPullMessage,
		Header: &header.PullRequest{ConsumerGroup: []byte("g"), Topic: []byte("T"), MaxMsgNums: 32, SubVersion: 1}}, "column 5", "Your expression may be wrong")
	for _, kind := range []string{"", "TAG", "SQL92"} {
		if err := rpc.CheckClientConfig(w.ctx, c, w.addr, &body.CheckClientRequestBody{SubscriptionData: &body.SubscriptionData{Topic: "T", SubString: "a = 1", ExpressionType: kind}}); err != nil {
			t.Errorf("%q: %v", kind, err)
		}
	}
}

// TestSQLFilterTurnedOff: enablePropertyFilter=false answers as RocketMQ does.
func TestSQLFilterTurnedOff(t *testing.T) {
	w := start(t, vfs.NewMem(), "enablePropertyFilter", "false")
	c := w.client()
	c.send(sendHeader("T", "a", "1"), "x")
	c.subscribeSQL("g", "a = 1")
	const remark = "The broker does not support consumer to filter message by SQL92"
	pull := &header.PullRequest{ConsumerGroup: []byte("g"), Topic: []byte("T"), MaxMsgNums: 32, SubVersion: 1}
	c.refused(wire.SystemError, &wire.Request{Code: wire.ReqPullMessage, Header: pull}, remark)
	c.refused(wire.SystemError, &wire.Request{Code: wire.ReqPullMessage, Header: byHeader("g", "SQL92", "a = 1", 0)}, remark)
}

// TestOnlyWhatMatchesWakes: held pulls stay held while messages come that their
// subscription leaves out.
func TestOnlyWhatMatchesWakes(t *testing.T) {
	w := start(t, vfs.NewMem())
	producer, bySQL, byTag, inHeader := w.client(), w.client(), w.client(), w.client()
	producer.send(sendHeader("T"), "first")
	w.stored("T", 0)
	bySQL.subscribeSQL("sql", "n > 5")
	byTag.heartbeat("tag", "tag", "T", "FB")
	type pulled struct {
		who  string
		text string
	}
	done := make(chan pulled, 3)
	hold := func(who string, c *client, h *header.PullRequest) {
		h.QueueOffset, h.MaxMsgNums, h.SubVersion = 1, 32, 1
		h.SysFlag, h.SuspendTimeoutMillis = h.SysFlag|header.PullSuspend, time.Hour.Milliseconds()
		go func() {
			p, err := rpc.Pull(w.ctx, c, w.addr, h)
			if err != nil {
				done <- pulled{who, err.Error()}
				return
			}
			done <- pulled{who, bodies(t, p.Records)}
		}()
	}
	hold("sql", bySQL, &header.PullRequest{ConsumerGroup: []byte("sql"), Topic: []byte("T")})
	hold("tag", byTag, &header.PullRequest{ConsumerGroup: []byte("tag"), Topic: []byte("T")})
	hold("header", inHeader, byHeader("header", "SQL92", "TAGS = 'X'", 1))
	w.held(3)
	send := func(left int, text string, props ...string) {
		t.Helper()
		producer.send(sendHeader("T", props...), text)
		w.stored("T", 0) // dispatched: whoever it wakes is let go
		w.held(left)
	}
	want := func(p pulled) {
		t.Helper()
		if got := <-done; got != p {
			t.Errorf("%+v was answered, want %+v", got, p)
		}
	}
	send(3, "small", "n", "5", "TAGS", "Ea") // Ea has the hash of FB
	send(3, "no number", "n", "many")
	send(2, "great", "n", "6")
	want(pulled{"sql", "great"})
	send(1, "tagged", "TAGS", "FB")
	want(pulled{"tag", "tagged"})
	send(0, "x", "TAGS", "X", "n", "7")
	want(pulled{"header", "x"})
}
