// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

func TestSendBatch(t *testing.T) {
	w := newWorld(t)
	a := w.broker("a", 10001, storing)
	w.topic("T", 1, a)
	s := &spans{context: message.TraceContext{TraceID: [16]byte{1}, SpanID: [8]byte{2}}}
	p := newTestProducer(t, w, WithSpans(s))
	var all []*message.Message
	for i := range 3 {
		m := message.New("T", bytes.Repeat(fmt.Append(nil, i), 5000)) // no compression
		m.SetTags(fmt.Sprint("tag", i))
		m.Flag = int32(i)
		all = append(all, m)
	}
	all[1].SetUniqueKey("mine")
	sent, err := p.SendBatch(t.Context(), all)
	if err != nil {
		t.Fatal(err)
	}
	ids := strings.Split(sent.MessageID, ",")
	if len(ids) != 3 || ids[1] != "mine" || len(s.results) != 3 || s.results[2] != sent {
		t.Errorf("%+v; %d results of spans", sent, len(s.results))
	}
	got := a.got(wire.ReqSendBatchMessage)[0]
	var h header.SendRequest
	if err := h.DecodeV2(got.Ext); err != nil || !h.Batch || h.SysFlag != 0 || string(h.Topic) != "T" {
		t.Errorf("%+v, %v", h, err)
	}
	i := 0
	if err := message.RangeBatch(got.Body, func(flag int32, body, props []byte) error {
		p := message.ParseProperties(props)
		if flag != int32(i) || !bytes.Equal(body, all[i].Body) || p[message.PropertyUniqueKey] != ids[i] || p[message.PropertyTags] != all[i].Tags() ||
			p[message.PropertyTraceparent] != s.context.String() {
			t.Errorf("member %d: flag %d, %d bytes, %v", i, flag, len(body), p)
		}
		i++
		return nil
	}); err != nil || i != 3 {
		t.Errorf("%d members, %v", i, err)
	}
}

func TestBatchesThatAreRefused(t *testing.T) {
	w := newWorld(t)
	a := w.broker("a", 10001, storing)
	w.topic("T", 1, a)
	p := newTestProducer(t, w, WithMaxMessageSize(1000))
	late := message.New("T", []byte("x"))
	late.SetDeliverTime(time.Now())
	big := message.New("T", make([]byte, 600))
	for name, tt := range map[string]struct {
		batch []*message.Message
		want  error
	}{
		"empty":  {nil, message.ErrBatch},
		"timed":  {[]*message.Message{late}, message.ErrBatch},
		"retry":  {[]*message.Message{message.New("%RETRY%g", []byte("x"))}, message.ErrBatch},
		"topics": {[]*message.Message{big, message.New("U", []byte("x"))}, message.ErrBatch},
		"large":  {[]*message.Message{big, big}, message.ErrTooLarge},
		"body":   {[]*message.Message{big, message.New("T", nil)}, message.ErrBody},
	} {
		if _, err := p.SendBatch(t.Context(), tt.batch); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := len(a.got(0)); n != 0 {
		t.Errorf("%d requests went out", n)
	}
}

// What brokers refuse does not reach them.
func TestMessagesThatAreRefused(t *testing.T) {
	w := newWorld(t)
	a := w.broker("a", 10001, storing)
	w.topic("T", 1, a)
	p := newTestProducer(t, w, WithMaxMessageSize(1000))
	twice := message.New("T", []byte("x"))
	twice.SetDelayLevel(3)
	twice.SetDeliverTime(time.Now())
	half := message.New("T", []byte("x"))
	half.SetDelayLevel(3)
	half.SetPrepared("g")
	crowded := message.New("T", []byte("x"))
	crowded.Properties = message.Properties{"p": strings.Repeat("x", message.MaxPropertiesLength-10)} // no room for an id
	for name, tt := range map[string]struct {
		m    *message.Message
		want error
	}{
		"name":       {message.New("a b", []byte("x")), message.ErrName},
		"body":       {message.New("T", nil), message.ErrBody},
		"size":       {message.New("T", make([]byte, 1001)), message.ErrTooLarge},
		"system":     {message.New(message.TopicSchedule, []byte("x")), message.ErrName},
		"delays":     {twice, message.ErrProperty},
		"half":       {half, message.ErrProperty},
		"properties": {crowded, message.ErrProperties},
	} {
		_, err := p.Send(t.Context(), tt.m)
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", name, err)
		}
		if err := p.SendOneway(t.Context(), tt.m); !errors.Is(err, tt.want) {
			t.Errorf("%s, one-way: %v", name, err)
		}
		if tt.m == crowded {
			tt.m.SetUniqueKey(strings.Repeat("K", 32))
		}
		if err := p.CheckMessage(tt.m); !errors.Is(err, tt.want) {
			t.Errorf("%s, before: %v", name, err)
		}
	}
	if n := len(a.got(0)); n != 0 {
		t.Errorf("%d requests went out", n)
	}
	fits := message.New("T", make([]byte, 1000))
	if _, err := p.Send(t.Context(), fits); err != nil || p.CheckMessage(fits) != nil {
		t.Error(err, p.CheckMessage(fits))
	}
}

func TestSendOrdered(t *testing.T) {
	w := newWorld(t)
	a, b := w.broker("a", 10001, nil), w.broker("b", 10002, nil)
	w.topic("T", 3, a, b)
	p := newTestProducer(t, w)
	m := message.New("T", []byte("x"))
	queues := map[Queue]bool{}
	for i := range 50 {
		key := fmt.Sprint("order-", i)
		var first Queue
		for again := range 2 {
			sent, err := p.SendOrdered(t.Context(), key, m)
			if err != nil {
				t.Fatal(err)
			}
			if again == 0 {
				first = sent.Queue
			} else if sent.Queue != first {
				t.Errorf("key %s went to %v and %v", key, first, sent.Queue)
			}
		}
		queues[first] = true
	}
	if len(queues) != 6 || len(m.Properties) != 0 {
		t.Errorf("%d of 6 queues are used; the message has %v", len(queues), m.Properties)
	}
	if got := a.records(t, 0); len(got) == 0 || got[0].ShardingKey() == "" {
		t.Error("stored without the sharding key")
	}
	// "hello".hashCode() is 99162322, that of "polygenelubricants" the smallest int.
	for key, want := range map[string]int{"hello": 99162322 % 7, "polygenelubricants": 2147483648 % 7, "": 0} {
		if at := queueOf(key, 7); at != want {
			t.Errorf("key %q is of queue %d, with Java %d", key, at, want)
		}
	}
	b.stop()
	failed := 0
	for i := range 50 {
		if _, err := p.SendOrdered(t.Context(), fmt.Sprint("order-", i), m); err != nil {
			failed++
		}
	}
	if failed == 0 || failed == 50 {
		t.Errorf("%d of 50 keys had their queue on the broker that is gone", failed)
	}
}

func TestRecall(t *testing.T) {
	w := newWorld(t)
	handle := message.RecallHandle{Topic: "T", Broker: "a", Time: 12345, UniqueKey: "KEY"}.String()
	a := w.broker("a", 10001, func(r *remoting.Request) bool {
		switch r.Code {
		case wire.ReqSendMessageV2:
			r.Reply(&wire.Response{Header: &header.SendResponse{MsgID: []byte("ID"), RecallHandle: []byte(handle), Region: []byte("R")}})
		case wire.ReqRecallMessage:
			var h header.RecallRequest
			if err := h.DecodeExt(r.Ext); err != nil || h != (header.RecallRequest{ProducerGroup: "g", Topic: "T", RecallHandle: handle}) {
				t.Errorf("%+v, %v", h, err)
			}
			r.Reply(&wire.Response{Header: &header.RecallResponse{MsgID: "KEY"}})
		default:
			return false
		}
		return true
	})
	w.topic("T", 1, a)
	p := newTestProducer(t, w)
	m := message.New("T", []byte("x"))
	m.SetDeliverTime(time.UnixMilli(12345))
	sent, err := p.Send(t.Context(), m)
	if err != nil || sent.RecallHandle != handle {
		t.Fatalf("%+v, %v", sent, err)
	}
	if id, err := p.Recall(t.Context(), sent.RecallHandle); err != nil || id != "KEY" {
		t.Errorf("%s, %v", id, err)
	}
	if _, err := p.Recall(t.Context(), "nonsense"); !errors.Is(err, message.ErrID) {
		t.Error(err)
	}
	if _, err := p.Recall(t.Context(), message.RecallHandle{Topic: "T", Broker: "gone"}.String()); !errors.Is(err, ErrNotWritable) {
		t.Error(err)
	}
}
