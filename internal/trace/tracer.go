// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	otel "go.opentelemetry.io/otel/trace"

	"github.com/twostage/twostage/message"
)

// Times and sizes of what waits for the collector.
const (
	waitingSpans = 8192
	batchSpans   = 512
	batchEvery   = time.Second
	exportLimit  = 5 * time.Second // of one request, and of Close
)

// scope is the name of what makes the spans.
const scope = "github.com/twostage/twostage"

// Config says where spans go and which are made.
type Config struct {
	// Endpoint is the collector's URL, with its path. Required.
	Endpoint string
	// Headers are those of its requests, such as Authorization.
	Headers map[string]string
	// OneIn is how many messages without a traceparent go by for one that is
	// followed; 0: none of them is.
	OneIn int
	// PerSecond is how many spans are made in a second. At least 1.
	PerSecond int
	// Broker and Cluster are names in the resource of the spans.
	Broker, Cluster, Version string
	Logger                   *slog.Logger
	Now                      func() time.Time
}

// Tracer makes spans. New makes one; nil is one that is switched off.
type Tracer struct {
	cfg      Config
	provider *sdk.TracerProvider
	tracer   otel.Tracer
	exporter *exporter

	turn    atomic.Uint64 // messages without a traceparent
	window  atomic.Int64  // the second that spans are counted in
	used    atomic.Int64  // spans of it
	spans   atomic.Int64
	dropped atomic.Int64
}

// Stats counts from the start on.
type Stats struct {
	Spans   int64 // made
	Dropped int64 // not made, because of PerSecond
	Failed  int64 // made, and not taken by the collector, or there was no room for them to wait
}

// New makes a tracer, which sends to the collector once there is something to send.
func New(cfg Config) (*Tracer, error) {
	if cfg.PerSecond < 1 || cfg.OneIn < 0 {
		return nil, fmt.Errorf("trace: %d spans a second, one in %d messages", cfg.PerSecond, cfg.OneIn)
	}
	x := newExporter(cfg.Endpoint, cfg.Headers, cfg.Logger)
	spans, err := otlptrace.New(context.Background(), x)
	if err != nil {
		return nil, fmt.Errorf("trace: %w", err)
	}
	t := &Tracer{cfg: cfg, exporter: x}
	t.provider = sdk.NewTracerProvider(
		// Which messages are followed is decided before a span is begun.
		sdk.WithSampler(sdk.AlwaysSample()),
		sdk.WithBatcher(spans, sdk.WithMaxQueueSize(waitingSpans), sdk.WithMaxExportBatchSize(batchSpans), sdk.WithBatchTimeout(batchEvery), sdk.WithExportTimeout(exportLimit)),
		sdk.WithResource(resource.NewSchemaless(
			attribute.String("service.name", "twostage"), attribute.String("service.version", cfg.Version), attribute.String("service.instance.id", cfg.Broker),
			attribute.String("messaging.system", "rocketmq"), attribute.String("messaging.rocketmq.cluster", cfg.Cluster),
		)),
		sdk.WithRawSpanLimits(sdk.NewSpanLimits()),
	)
	t.tracer = t.provider.Tracer(scope)
	return t, nil
}

// Close sends what waits, for at most five seconds, and ends the tracer.
func (t *Tracer) Close() error {
	if t == nil {
		return nil
	}
	t.exporter.hurry.Store(true)
	patience := time.AfterFunc(exportLimit, t.exporter.giveUp)
	defer patience.Stop()
	defer t.exporter.giveUp()
	return t.provider.Shutdown(context.Background()) // waits for its goroutine
}

// Stats may be called at any time.
func (t *Tracer) Stats() Stats {
	if t == nil {
		return Stats{}
	}
	return Stats{Spans: t.spans.Load(), Dropped: t.dropped.Load(), Failed: t.exporter.failed.Load()}
}

// allow takes a span out of this second's.
func (t *Tracer) allow(now time.Time) bool {
	second := now.Unix()
	if was := t.window.Load(); was != second && t.window.CompareAndSwap(was, second) {
		t.used.Store(0)
	}
	if t.used.Add(1) > int64(t.cfg.PerSecond) {
		t.dropped.Add(1)
		return false
	}
	t.spans.Add(1)
	return true
}

// end ends a span, which then waits for the collector. Those that there is no room for
// are counted here: the SDK drops them without a word.
func (t *Tracer) end(span otel.Span, at time.Time) {
	if t.exporter.waiting.Add(1) > waitingSpans {
		t.exporter.waiting.Add(-1)
		t.exporter.failed.Add(1)
		return
	}
	span.End(otel.WithTimestamp(at))
}

// followed is the context under which a message with these properties is
// followed. given: it has one, whether it is to be followed or not.
func followed(properties []byte) (ctx context.Context, given, ok bool) {
	text, given := message.Property(properties, message.PropertyTraceparent)
	if !given {
		return nil, false, false
	}
	c, ok := message.ParseTraceparent(text)
	if !ok || !c.Sampled {
		return nil, true, false
	}
	parent := otel.SpanContextConfig{TraceID: c.TraceID, SpanID: c.SpanID, TraceFlags: otel.FlagsSampled, Remote: true}
	if state, ok := message.Property(properties, message.PropertyTracestate); ok {
		if s, err := otel.ParseTraceState(string(state)); err == nil { // else the standard tells to go on without
			parent.TraceState = s
		}
	}
	return otel.ContextWithRemoteSpanContext(context.Background(), otel.NewSpanContext(parent)), true, true
}
