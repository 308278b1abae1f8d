// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/twostage/twostage/internal/trace"
)

// newTracer makes what makes spans of messages, nil when nothing asks for it. It
// stops after the broker, whose last spans it sends.
func (n *node) newTracer() (*trace.Tracer, error) {
	c := n.Config.Broker
	if c.Trace.Endpoint == "" {
		return nil, nil
	}
	t, err := trace.New(trace.Config{
		Endpoint: c.Trace.Endpoint, Headers: c.Trace.Headers, OneIn: c.Trace.OneIn, PerSecond: c.Trace.PerSecond,
		Broker: c.Identity.Name, Cluster: c.Identity.Cluster, Version: n.Version, Logger: n.Logger.With("server", "broker"), Now: time.Now,
	})
	if err != nil {
		return nil, err
	}
	n.group.Defer("traces", t.Close)
	for name, counter := range map[string]struct {
		help  string
		value func(trace.Stats) int64
	}{
		"twostage_trace_spans_total":         {"Spans that were made.", func(s trace.Stats) int64 { return s.Spans }},
		"twostage_trace_dropped_spans_total": {"Spans that were not made, because of otlpTracesPerSecond.", func(s trace.Stats) int64 { return s.Dropped }},
		"twostage_trace_failed_spans_total":  {"Spans that the collector did not take, or that were too many to wait for it.", func(s trace.Stats) int64 { return s.Failed }},
	} {
		if err := n.ownMetrics().Register(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: counter.help}, func() float64 {
			return float64(counter.value(t.Stats()))
		})); err != nil {
			return nil, fmt.Errorf("traces: metrics: %w", err)
		}
	}
	n.Logger.Info("messages are traced", "otlpTracesEndpoint", c.Trace.Endpoint)
	return t, nil
}
