// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"context"
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	otel "go.opentelemetry.io/otel/trace"

	"github.com/twostage/twostage/message"
)

// Sending is a send that is followed, from its arrival to its answer. The methods
// of a nil one do nothing.
type Sending struct {
	t      *Tracer
	ctx    context.Context
	send   otel.Span
	store  otel.Span
	topic  string
	parent string // the traceparent that the message is to be stored with; "": it has its own
}

// Sending begins the send span of a message, nil when it is not followed.
func (t *Tracer) Sending(topic string, properties []byte, size int, producer netip.AddrPort) *Sending {
	if t == nil {
		return nil
	}
	ctx, given, ok := followed(properties)
	if !given && t.cfg.OneIn > 0 && t.turn.Add(1)%uint64(t.cfg.OneIn) == 0 {
		ctx = context.Background()
	} else if !ok {
		return nil
	}
	now := t.cfg.Now()
	if !t.allow(now) {
		return nil
	}
	topic = text(topic)
	s := &Sending{t: t, topic: topic}
	s.ctx, s.send = t.tracer.Start(ctx, "send "+topic, otel.WithTimestamp(now), otel.WithSpanKind(otel.SpanKindServer), otel.WithAttributes(append(about(topic, "send", properties),
		attribute.Int("messaging.message.body.size", size), attribute.String("client.address", producer.String()))...))
	if !given {
		c := s.send.SpanContext()
		s.parent = message.TraceContext{TraceID: c.TraceID(), SpanID: c.SpanID(), Sampled: true}.String()
	}
	return s
}

// Traceparent is what the message is to be stored with, "" when that is what it
// has.
func (s *Sending) Traceparent() string {
	if s == nil {
		return ""
	}
	return s.parent
}

// Appending begins the store span.
func (s *Sending) Appending() {
	if s == nil {
		return
	}
	if now := s.t.cfg.Now(); s.t.allow(now) {
		_, s.store = s.t.tracer.Start(s.ctx, "store "+s.topic, otel.WithTimestamp(now))
	}
}

// Stored notes where the message stands.
func (s *Sending) Stored(queue int32, offset, physical int64) {
	if s == nil || s.store == nil {
		return
	}
	s.store.SetAttributes(place(queue, offset)...)
	s.store.SetAttributes(attribute.Int64("twostage.commit_log.offset", physical))
}

// Answered ends the spans when the send is answered. remark is empty for success.
func (s *Sending) Answered(code int32, remark string) {
	if s == nil {
		return
	}
	now := s.t.cfg.Now()
	for _, span := range []otel.Span{s.store, s.send} {
		if span == nil {
			continue
		}
		if code != 0 {
			span.SetStatus(codes.Error, text(remark))
		}
		span.SetAttributes(attribute.Int("messaging.rocketmq.response.code", int(code)))
		s.t.end(span, now)
	}
}

// Now is when something begins of which a span may be made.
func (t *Tracer) Now() time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.cfg.Now()
}

// Delivered makes a span for each message that a consumer of a group is given,
// since begun, and that is followed. how is "pull" or "pop".
func (t *Tracer) Delivered(how, group string, begun time.Time, records [][]byte) {
	if t == nil {
		return
	}
	var rec message.Record
	for _, b := range records {
		if _, err := message.DecodeRecord(b, &rec, false); err == nil {
			t.given("deliver", begun, &rec, nil, attribute.String("messaging.consumer.group.name", text(group)), attribute.String("messaging.rocketmq.delivery", how))
		}
	}
}

// Acked makes a span of a message that a group has acknowledged, since begun, if
// it is followed. failed is why it could not, or nil.
func (t *Tracer) Acked(group string, begun time.Time, record []byte, failed error) {
	if t == nil {
		return
	}
	var rec message.Record
	if _, err := message.DecodeRecord(record, &rec, false); err == nil {
		t.given("ack", begun, &rec, failed, attribute.String("messaging.consumer.group.name", text(group)))
	}
}

// Decided makes a span of a producer's decision about a half message, since begun,
// if it is followed. failed is why it was not carried out, or nil.
func (t *Tracer) Decided(commit bool, group string, begun time.Time, half []byte, failed error) {
	if t == nil {
		return
	}
	var rec message.Record
	if _, err := message.DecodeRecord(half, &rec, false); err != nil {
		return
	}
	operation := "rollback"
	if commit {
		operation = "commit"
	}
	t.given(operation, begun, &rec, failed, attribute.String("messaging.producer.group.name", text(group)))
}

// given makes a span of a stored message.
func (t *Tracer) given(operation string, begun time.Time, rec *message.Record, failed error, more ...attribute.KeyValue) {
	ctx, _, ok := followed(rec.Properties)
	if !ok {
		return
	}
	now := t.cfg.Now()
	if !t.allow(now) {
		return
	}
	topic := string(rec.Topic)
	if real, ok := rec.Property(message.PropertyRealTopic); ok { // of a half message
		topic = string(real)
	}
	topic = text(topic)
	attributes := append(about(topic, operation, rec.Properties), place(rec.QueueID, rec.QueueOffset)...)
	_, span := t.tracer.Start(ctx, operation+" "+topic, otel.WithTimestamp(begun), otel.WithSpanKind(otel.SpanKindServer), otel.WithAttributes(append(attributes, more...)...))
	if rec.ReconsumeTimes > 0 {
		span.SetAttributes(attribute.Int("messaging.rocketmq.reconsume_times", int(rec.ReconsumeTimes)))
	}
	if failed != nil {
		span.SetStatus(codes.Error, text(failed.Error()))
	}
	t.end(span, now)
}

// about are the attributes of a message, in OpenTelemetry's semantic conventions
// for messaging where those have a name.
func about(topic, operation string, properties []byte) []attribute.KeyValue {
	list := make([]attribute.KeyValue, 0, 10)
	list = append(list, attribute.String("messaging.system", "rocketmq"), attribute.String("messaging.destination.name", topic), attribute.String("messaging.operation.name", operation))
	for _, p := range [...]struct{ property, name string }{
		{message.PropertyUniqueKey, "messaging.message.id"}, {message.PropertyTags, "messaging.rocketmq.message.tag"}, {message.PropertyKeys, "messaging.rocketmq.message.keys"},
	} {
		if v, ok := message.Property(properties, p.property); ok {
			list = append(list, attribute.String(p.name, text(string(v))))
		}
	}
	return list
}

// textLimit is how many bytes of a text a span keeps.
const textLimit = 1 << 10

// text is what a span has of a text from outside: protobuf's strings are UTF-8, and one
// that is not would have the whole batch refused.
func text(s string) string {
	if len(s) > textLimit {
		end := textLimit
		for end > textLimit-utf8.UTFMax && !utf8.RuneStart(s[end]) {
			end--
		}
		s = s[:end]
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

func place(queue int32, offset int64) []attribute.KeyValue {
	return []attribute.KeyValue{attribute.Int("messaging.rocketmq.queue.id", int(queue)), attribute.Int64("messaging.rocketmq.queue.offset", offset)}
}
