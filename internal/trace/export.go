// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
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
	waiting  atomic.Int64 // spans that have ended and were not given to UploadTraces yet
	failed   atomic.Int64 // spans
	failing  atomic.Bool  // the last batch was not taken in whole: that was logged

	hurry  atomic.Bool     // Close waits: nothing is tried twice
	alive  context.Context // until Close has waited for long enough
	giveUp context.CancelFunc
}

func newExporter(endpoint string, headers map[string]string, logger *slog.Logger) *exporter {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConns, t.MaxConnsPerHost = 2, 2
	x := &exporter{endpoint: endpoint, headers: headers, log: logger, http: &http.Client{
		Transport: t,
		// Headers hold secrets, which are for the endpoint alone: a redirect is an answer like any other.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
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
	x.waiting.Add(int64(-n))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(x.alive, cancel)()
	err := x.upload(ctx, spans)
	var some *rejected
	if errors.As(err, &some) {
		n = int(min(some.spans, int64(n)))
	}
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
	answer, err := io.ReadAll(io.LimitReader(resp.Body, answerLimit)) // to the end, so that the connection is used again
	switch {
	case resp.StatusCode >= 200 && resp.StatusCode < 300:
		if err == nil {
			err = partial(answer)
		}
		return false, err
	case resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode == http.StatusBadGateway, resp.StatusCode == http.StatusServiceUnavailable, resp.StatusCode == http.StatusGatewayTimeout:
		return true, fmt.Errorf("it answers %s", resp.Status)
	}
	return false, fmt.Errorf("it answers %s", resp.Status)
}

// rejected says that a collector took a batch without some of its spans.
type rejected struct {
	spans int64
	why   string
}

func (r *rejected) Error() string { return fmt.Sprintf("it rejects %d spans: %s", r.spans, r.why) }

// partial gives the *rejected of an answer to a batch that was taken, nil where there is
// none: an ExportTraceServiceResponse, of which field 1 is the message partial_success
// with the fields 1, rejected_spans, and 2, error_message. (The generated type would
// bring gRPC.) What is no such message is taken for success, as its status says.
func partial(answer []byte) error {
	var r rejected
	for num, value := range fields(answer) {
		if num != 1 {
			continue
		}
		for num, value := range fields(value.bytes) {
			switch num {
			case 1:
				r.spans = int64(value.number)
			case 2:
				r.why = text(string(value.bytes))
			}
		}
	}
	if r.spans <= 0 {
		return nil
	}
	return &r
}

// field is the value of a field of a message: a number or bytes.
type field struct {
	number uint64
	bytes  []byte
}

// fields gives the fields of a message that are varints or bytes, by number, up to what
// can't be read.
func fields(b []byte) iter.Seq2[protowire.Number, field] {
	return func(yield func(protowire.Number, field) bool) {
		for len(b) > 0 {
			num, kind, n := protowire.ConsumeTag(b)
			if n < 0 {
				return
			}
			b = b[n:]
			size := protowire.ConsumeFieldValue(num, kind, b)
			if size < 0 {
				return
			}
			var f field
			switch kind {
			case protowire.VarintType:
				f.number, _ = protowire.ConsumeVarint(b)
			case protowire.BytesType:
				f.bytes, _ = protowire.ConsumeBytes(b)
			}
			b = b[size:]
			if !yield(num, f) {
				return
			}
		}
	}
}
