// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// pauses are between the attempts to send a batch that the collector did not take
// for a reason that may pass.
var pauses = [...]time.Duration{200 * time.Millisecond, time.Second}

// answerLimit is how much of an answer is read.
const answerLimit = 64 << 10

// exporter sends batches by OTLP over HTTP: protobuf, compressed with gzip. It
// stands in for OpenTelemetry's own client, which would bring gRPC with it.
//
// The body of a request is an ExportTraceServiceRequest (trace_service.proto),
// whose one field is that of TracesData.
type exporter struct {
	endpoint string
	headers  map[string]string
	log      *slog.Logger
	http     *http.Client
	failed   atomic.Int64 // spans
	failing  atomic.Bool  // the last batch was not taken: that was logged

	hurry  atomic.Bool     // Close waits: nothing is tried twice
	alive  context.Context // until Close has waited for long enough
	giveUp context.CancelFunc
}

func newExporter(endpoint string, headers map[string]string, logger *slog.Logger) *exporter {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConns, t.MaxConnsPerHost = 2, 2
	x := &exporter{endpoint: endpoint, headers: headers, log: logger, http: &http.Client{Transport: t}}
	x.alive, x.giveUp = context.WithCancel(context.Background())
	return x
}

// Start does nothing: a collector that comes later is as good.
func (x *exporter) Start(context.Context) error { return nil }

// Stop closes idle connections.
func (x *exporter) Stop(context.Context) error {
	x.http.CloseIdleConnections()
	return nil
}

// UploadTraces sends a batch. It returns no error, since those go to a global
// handler: what was not taken is counted, and logged when it begins and ends.
func (x *exporter) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	n := 0
	for _, r := range spans {
		for _, s := range r.ScopeSpans {
			n += len(s.Spans)
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(x.alive, cancel)()
	err := x.upload(ctx, spans)
	if err != nil {
		x.failed.Add(int64(n))
	}
	switch was := x.failing.Swap(err != nil); {
	case err != nil && !was:
		x.log.Warn("the collector takes no spans", "endpoint", x.endpoint, "spans", n, "err", err)
	case err == nil && was:
		x.log.Info("the collector takes spans again", "endpoint", x.endpoint)
	}
	return nil
}

func (x *exporter) upload(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	plain, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: spans})
	if err != nil {
		return err
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(plain); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	for try := 0; ; try++ {
		again, err := x.post(ctx, b.Bytes())
		if err == nil || !again || try == len(pauses) || x.hurry.Load() {
			return err
		}
		pause := time.NewTimer(pauses[try])
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return err
		}
	}
}

// post sends a batch once. again: it may be taken the next time.
func (x *exporter) post(ctx context.Context, body []byte) (again bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, x.endpoint, bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	for name, value := range x.headers {
		req.Header.Set(name, value)
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	req.Header.Set("Content-Encoding", "gzip")
	resp, err := x.http.Do(req)
	if err != nil {
		return true, err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, answerLimit)) // so that the connection is used again
	switch {
	case resp.StatusCode >= 200 && resp.StatusCode < 300:
		return false, nil
	case resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode == http.StatusBadGateway, resp.StatusCode == http.StatusServiceUnavailable, resp.StatusCode == http.StatusGatewayTimeout:
		return true, fmt.Errorf("it answers %s", resp.Status)
	}
	return false, fmt.Errorf("it answers %s", resp.Status)
}
