// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/message"
)

// spans gives each send the same context, and keeps the results.
type spans struct {
	context message.TraceContext
	state   string
	results []*SendResult
	errs    []error
}

func (s *spans) Sending(context.Context, *message.Message) (message.TraceContext, string, func(*SendResult, error)) {
	return s.context, s.state, func(r *SendResult, err error) {
		s.results, s.errs = append(s.results, r), append(s.errs, err)
	}
}

// A producer with spans stores its messages with their traceparent, and the spans
// learn of the result of each send, of which there is one whatever the attempts.
func TestSpansOfSends(t *testing.T) {
	w := newWorld(t)
	a := w.broker("a", 10001, nil)
	w.topic("T", 1, a)
	s := &spans{context: message.TraceContext{TraceID: [16]byte{1}, SpanID: [8]byte{2}, Sampled: true}, state: "vendor=x"}
	p := newTestProducer(t, w, WithSpans(s))
	m := message.New("T", []byte("hello"))
	m.Properties = message.Properties{message.PropertyTraceparent: "of the request that is served", "mine": "stays"}
	sent, err := p.Send(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.SendTo(t.Context(), sent.Queue, message.New("T", []byte("again"))); err != nil {
		t.Fatal(err)
	}
	for i, r := range a.records(t, 0) {
		if r.Property(message.PropertyTraceparent) != s.context.String() || r.Property(message.PropertyTracestate) != "vendor=x" || i == 0 && r.Property("mine") != "stays" {
			t.Errorf("stored with %v", r.Properties)
		}
	}
	if m.Property(message.PropertyTraceparent) != "of the request that is served" {
		t.Errorf("the message was changed: %v", m.Properties)
	}
	if len(s.results) != 2 || s.results[0] != sent || s.errs[0] != nil {
		t.Errorf("results %v, %v", s.results, s.errs)
	}

	s.context = message.TraceContext{} // not traced: what the message has, it keeps
	if _, err := p.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if r := a.records(t, 0)[2]; r.Property(message.PropertyTraceparent) != "of the request that is served" {
		t.Errorf("stored with %v", r.Properties)
	}
}

// What CheckMessage lets pass is sent, traced or not: where the properties leave no room
// for the context, it is left out.
func TestSpansOfCrowdedMessages(t *testing.T) {
	w := newWorld(t)
	a := w.broker("a", 10001, nil)
	w.topic("T", 1, a)
	s := &spans{context: message.TraceContext{TraceID: [16]byte{1}, SpanID: [8]byte{2}}, state: strings.Repeat("s", 512)}
	p, plain := newTestProducer(t, w, WithSpans(s)), newTestProducer(t, w)
	parent := len(message.PropertyTraceparent) + len(s.context.String()) + 2
	state := len(message.PropertyTracestate) + len(s.state) + 2
	for _, tt := range []struct {
		room          int // bytes
		parent, state bool
	}{{0, false, false}, {parent - 1, false, false}, {parent, true, false}, {parent + state - 1, true, false}, {parent + state, true, true}} {
		m := message.New("T", []byte("x"))
		m.SetUniqueKey(strings.Repeat("K", 32))
		m.Properties["p"] = strings.Repeat("x", message.MaxPropertiesLength-tt.room-len("p")-1-len(m.Properties.Append(nil))-1)
		if err := p.CheckMessage(m); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Send(t.Context(), m); err != nil {
			t.Errorf("room for %d bytes: %v", tt.room, err)
			continue
		}
		all := a.records(t, 0)
		r := all[len(all)-1]
		if (r.Property(message.PropertyTraceparent) != "") != tt.parent || (r.Property(message.PropertyTracestate) != "") != tt.state {
			t.Errorf("room for %d bytes: traceparent %q, tracestate %q", tt.room, r.Property(message.PropertyTraceparent), r.Property(message.PropertyTracestate))
		}
		m.SetUniqueKey("") // Send adds one
		_, want := plain.Send(t.Context(), m)
		if _, err := p.Send(t.Context(), m); (err == nil) != (want == nil) {
			t.Errorf("room for %d bytes and a key: %v; not traced: %v", tt.room, err, want)
		}
	}
}

// A send that fails at every broker is one span with its error.
func TestSpansOfFailures(t *testing.T) {
	w := newWorld(t)
	w.topic("T", 1, w.broker("a", 10001, refuse(wire.ReqSendMessageV2, wire.SystemBusy)))
	s := &spans{}
	p := newTestProducer(t, w, WithSpans(s))
	if _, err := p.Send(t.Context(), message.New("T", []byte("hello"))); err == nil || len(s.errs) != 1 || s.errs[0] == nil || s.results[0] != nil {
		t.Errorf("%v; results %v, %v", err, s.results, s.errs)
	}
}

// A reply is a send like others.
func TestSpansOfReplies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a := relay(t, w, "C")
		s := &spans{context: message.TraceContext{TraceID: [16]byte{1}, SpanID: [8]byte{2}}}
		asking, answering := newTestProducer(t, w, WithInstance("asking")), newTestProducer(t, w, WithSpans(s))
		go func() {
			time.Sleep(time.Second)
			if err := answering.Reply(t.Context(), consumed(t, a, "C"), []byte("the answer")); err != nil {
				t.Error(err)
			}
		}()
		reply, err := asking.Request(t.Context(), message.New("T", []byte("the question")))
		if err != nil || reply.Property(message.PropertyTraceparent) != s.context.String() {
			t.Errorf("%+v, %v", reply, err)
		}
		synctest.Wait()
		if len(s.results) != 1 || s.errs[0] != nil || s.results[0].Queue.Topic != "C_"+message.ReplySuffix {
			t.Errorf("results %v, %v", s.results, s.errs)
		}
		a.stop()
	})
}
