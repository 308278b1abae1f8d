// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
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
