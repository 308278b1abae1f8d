// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
)

func TestErrors(t *testing.T) {
	ctx := context.Background()
	refused := &recorded{t: t, answer: &wire.Command{Code: wire.TopicNotExist, Remark: []byte("no such thing")}}
	_, err := Route(ctx, refused, addr, "T")
	var e *Error
	if !errors.As(err, &e) || *e != (Error{Code: wire.TopicNotExist, Remark: "no such thing", Request: wire.ReqGetRouteInfoByTopic, Addr: addr}) {
		t.Fatalf("error %#v", err)
	}
	if !errors.Is(err, TopicNotExist) || errors.Is(err, SystemError) || errors.Is(err, e) != true {
		t.Error("errors.Is does not tell codes apart")
	}
	for _, part := range []string{"GET_ROUTEINFO_BY_TOPIC", addr, "17", "TOPIC_NOT_EXIST", "no such thing"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %s", err, part)
		}
	}
	if text := (&Error{Code: 4711, Request: 4712, Addr: addr}).Error(); text != "request 4712 to broker:10911: code 4711" {
		t.Errorf("unknown codes: %q", text)
	}
	if _, ok := CodeOf(errors.New("x")); ok {
		t.Error("any error has a code")
	}

	down := &recorded{t: t, err: remoting.ErrClosed}
	for what, err := range map[string]error{
		"GET_ROUTEINFO_BY_TOPIC": func() error { _, err := Route(ctx, down, addr, "T"); return err }(),
		"SEND_MESSAGE_V2":        SendOneWay(ctx, down, addr, &header.SendRequest{}, nil),
		"ping":                   Ping(ctx, down, addr),
	} {
		if !errors.Is(err, remoting.ErrClosed) || !strings.Contains(err.Error(), what) || !strings.Contains(err.Error(), addr) {
			t.Errorf("%s: %v", what, err)
		}
		if _, ok := CodeOf(err); ok {
			t.Errorf("%s: a code without an answer", what)
		}
	}
	if err := Ping(ctx, refused, addr); err != nil {
		t.Errorf("ping, answered with an error code: %v", err)
	}
}

// TestUnreadable answers with what cannot be read.
func TestUnreadable(t *testing.T) {
	ctx := context.Background()
	empty := &recorded{t: t, answer: &wire.Command{}}
	garbage := &recorded{t: t, answer: &wire.Command{Body: []byte("[]")}}
	for field, ask := range map[string]func(c Caller) error{
		"suggestWhichBrokerId": func(c Caller) error { _, err := Pull(ctx, c, addr, &header.PullRequest{}); return err },
		"queueId":              func(c Caller) error { _, err := Send(ctx, c, addr, &header.SendRequest{}, nil); return err },
		"offset":               func(c Caller) error { _, err := MaxOffset(ctx, c, addr, "T", 0); return err },
		"timestamp":            func(c Caller) error { _, err := EarliestStoreTime(ctx, c, addr, "T", 0); return err },
		"changed": func(c Caller) error {
			_, _, err := DataVersion(ctx, c, addr, &header.DataVersionRequest{}, body.DataVersion{})
			return err
		},
		"wipeTopicCount": func(c Caller) error { _, err := WipeWritePerm(ctx, c, addr, "a"); return err },
		"route":          func(c Caller) error { _, err := Route(ctx, c, addr, "T"); return err },
		"topic list":     func(c Caller) error { _, err := TopicList(ctx, c, addr); return err },
		"lock":           func(c Caller) error { _, err := LockBatch(ctx, c, addr, &body.LockBatchRequestBody{}); return err },
	} {
		for _, c := range []*recorded{empty, garbage} {
			if err := ask(c); err == nil || !strings.Contains(err.Error(), field) && !strings.Contains(err.Error(), "msgId") ||
				!strings.Contains(err.Error(), "cannot read the answer") || !strings.Contains(err.Error(), addr) {
				t.Errorf("%s: %v", field, err)
			}
		}
	}
	if _, err := RegisterBroker(ctx, garbage, addr, &header.RegisterBrokerRequest{}, &body.RegisterBrokerBody{}); err == nil {
		t.Error("a registration with an unreadable answer")
	}
	r, err := RegisterBroker(ctx, empty, addr, &header.RegisterBrokerRequest{}, &body.RegisterBrokerBody{})
	if err != nil || r.OrderConf != nil {
		t.Errorf("a registration answered without a body: %+v, %v", r, err)
	}
}

// TestKeepsArguments checks that what is changed on the way is a copy.
func TestKeepsArguments(t *testing.T) {
	c := &recorded{t: t, answer: &wire.Command{Ext: wire.Fields{
		{Key: []byte("msgId"), Value: []byte("x")}, {Key: []byte("queueId"), Value: []byte("0")}, {Key: []byte("queueOffset"), Value: []byte("0")},
	}}}
	h := &header.SendRequest{}
	if _, err := SendBatch(context.Background(), c, addr, h, nil); err != nil || h.Batch {
		t.Errorf("%v, batch %v", err, h.Batch)
	}
	if m, _ := c.sent.Ext.Get("m"); string(m) != "true" {
		t.Errorf("sent as batch: %q", m)
	}
	reg := &header.RegisterBrokerRequest{Compressed: true}
	if _, err := RegisterBroker(context.Background(), c, addr, reg, &body.RegisterBrokerBody{}); err != nil || reg.BodyCRC32 != 0 {
		t.Errorf("%v, %+v", err, reg)
	}
	if _, err := body.UnmarshalRegisterBroker(c.sent.Body, true, body.Checksum(c.sent.Body)); err != nil {
		t.Error(err)
	}
}

func TestRecall(t *testing.T) {
	asked := header.RecallRequest{ProducerGroup: "g", Topic: "T", RecallHandle: "handle"}
	c := &recorded{t: t, answer: &wire.Command{Ext: wire.Fields{{Key: []byte("msgId"), Value: []byte("ID")}}}}
	r, err := Recall(t.Context(), c, addr, &asked)
	if err != nil || r.MsgID != "ID" || c.sent.Code != 370 || *decode[header.RecallRequest](t, c.sent) != asked {
		t.Errorf("%+v, %v, sent %d %s", r, err, c.sent.Code, c.sent.Ext)
	}
	c.answer = &wire.Command{Code: wire.IllegalOperation}
	if _, err := Recall(t.Context(), c, addr, &asked); !errors.Is(err, IllegalOperation) {
		t.Error(err)
	}
}
