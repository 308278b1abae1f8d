// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/twostage/twostage/message"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// collector takes spans as an OTLP collector does.
type collector struct {
	*httptest.Server
	mu      sync.Mutex
	spans   []*tracepb.Span
	headers http.Header
	answer  int // status
	asked   int
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{answer: http.StatusOK}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.asked++
		c.headers = r.Header.Clone()
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			t.Error(err)
			return
		}
		b, err := io.ReadAll(z)
		var data tracepb.TracesData
		if err == nil {
			err = proto.Unmarshal(b, &data)
		}
		if err != nil || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
			t.Errorf("%s %v: %v", r.URL, r.Header, err)
		}
		if c.answer != http.StatusOK {
			w.WriteHeader(c.answer)
			return
		}
		for _, r := range data.ResourceSpans {
			for _, s := range r.ScopeSpans {
				c.spans = append(c.spans, s.Spans...)
			}
		}
	}))
	t.Cleanup(c.Close)
	return c
}

// named are the spans of a name.
func (c *collector) named(name string) (list []*tracepb.Span) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		if s.Name == name {
			list = append(list, s)
		}
	}
	return list
}

var begin = time.Unix(1_800_000_000, 0)

func newTracer(t *testing.T, c *collector, set func(*Config)) *Tracer {
	t.Helper()
	cfg := Config{Endpoint: c.URL + "/v1/traces", PerSecond: 100, Broker: "broker-a", Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return begin }}
	if set != nil {
		set(&cfg)
	}
	tr, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tr.Close() })
	return tr
}

var parent = message.TraceContext{TraceID: [16]byte{0xAB, 15: 1}, SpanID: [8]byte{0xCD, 7: 1}, Sampled: true}

func properties(c message.TraceContext) []byte {
	p := message.AppendProperty(nil, message.PropertyUniqueKey, "KEY")
	return message.AppendProperty(p, message.PropertyTraceparent, c.String())
}

func record(props []byte) []byte {
	host := netip.MustParseAddrPort("127.0.0.1:1")
	return message.AppendRecord(nil, &message.Record{Topic: []byte("orders"), QueueID: 3, QueueOffset: 7, Properties: props, Body: []byte("x"), BornHost: host, StoreHost: host})
}

// A followed message has a send span below its producer's, the store span below
// that, and deliveries and acks below the producer's.
func TestSpans(t *testing.T) {
	c := newCollector(t)
	tr := newTracer(t, c, func(cfg *Config) { cfg.Headers = map[string]string{"Authorization": "Bearer x"} })
	s := tr.Sending("orders", properties(parent), 5, netip.MustParseAddrPort("10.0.0.1:99"))
	s.Appending()
	s.Stored(3, 7, 1000)
	s.Answered(0, "")
	if s.Traceparent() != "" {
		t.Errorf("the broker would replace %s", parent)
	}
	rec := record(properties(parent))
	tr.Delivered("pull", "billing", tr.Now(), [][]byte{rec, record(nil)})
	tr.Acked("billing", tr.Now(), rec, nil)
	tr.Acked("billing", tr.Now(), rec, errors.New("too late"))
	half := message.AppendProperty(properties(parent), message.PropertyRealTopic, "payments")
	tr.Decided(true, "tills", tr.Now(), record(half), nil)
	tr.Decided(false, "tills", tr.Now(), record(half), errors.New("it is committed"))
	if err := tr.Close(); err != nil {
		t.Fatal(err)
	}
	send, store := c.named("send orders"), c.named("store orders")
	if len(send) != 1 || len(store) != 1 || !bytes.Equal(send[0].ParentSpanId, parent.SpanID[:]) || !bytes.Equal(store[0].ParentSpanId, send[0].SpanId) {
		t.Fatalf("send %v, store %v", send, store)
	}
	deliver, ack := c.named("deliver orders"), c.named("ack orders")
	if len(deliver) != 1 || len(ack) != 2 || ack[0].Status.GetCode() == ack[1].Status.GetCode() {
		t.Fatalf("deliver %v, ack %v", deliver, ack)
	}
	commit, rollback := c.named("commit payments"), c.named("rollback payments")
	if len(commit) != 1 || len(rollback) != 1 || rollback[0].Status.GetMessage() != "it is committed" {
		t.Fatalf("commit %v, rollback %v", commit, rollback)
	}
	for _, s := range slices.Concat(send, deliver, ack, commit, rollback) {
		if !bytes.Equal(s.TraceId, parent.TraceID[:]) || !bytes.Equal(s.ParentSpanId, parent.SpanID[:]) {
			t.Errorf("%s is of trace %s below %s", s.Name, hex.EncodeToString(s.TraceId), hex.EncodeToString(s.ParentSpanId))
		}
	}
	if a := deliver[0].String(); !strings.Contains(a, "billing") || !strings.Contains(a, `"KEY"`) || !strings.Contains(a, "int_value:7") {
		t.Errorf("delivered: %s", a)
	}
	if c.headers.Get("Authorization") != "Bearer x" {
		t.Errorf("headers %v", c.headers)
	}
	if st := tr.Stats(); st != (Stats{Spans: 7}) {
		t.Errorf("%+v", st)
	}
}

// Messages without a trace, whose producer records none, or with one that can't be
// read, are not followed.
func TestNotFollowed(t *testing.T) {
	c := newCollector(t)
	tr := newTracer(t, c, func(cfg *Config) { cfg.OneIn = 2 })
	silent := parent
	silent.Sampled = false
	for range 4 {
		for _, p := range [][]byte{properties(silent), message.AppendProperty(nil, message.PropertyTraceparent, "00-nonsense")} {
			if s := tr.Sending("orders", p, 5, netip.AddrPort{}); s != nil {
				t.Errorf("%q is followed", p)
			}
			tr.Delivered("pop", "billing", tr.Now(), [][]byte{record(p)})
		}
	}
	var off *Tracer
	s := off.Sending("orders", properties(parent), 5, netip.AddrPort{})
	s.Appending()
	s.Stored(0, 0, 0)
	s.Answered(0, "")
	off.Delivered("pull", "billing", off.Now(), [][]byte{record(properties(parent))})
	if err := errors.Join(off.Close(), tr.Close()); err != nil || s != nil || tr.Stats() != (Stats{}) || off.Stats() != (Stats{}) || c.asked != 0 {
		t.Errorf("%v, %+v, %d requests", err, tr.Stats(), c.asked)
	}
}

// A message that is not followed costs a look at its properties.
func TestNotFollowedAllocatesNothing(t *testing.T) {
	tr := newTracer(t, newCollector(t), nil)
	p := message.AppendProperty(nil, message.PropertyUniqueKey, "KEY")
	records := [][]byte{record(p), record(p)}
	if n := testing.AllocsPerRun(100, func() {
		tr.Sending("orders", p, 5, netip.AddrPort{})
		tr.Delivered("pull", "billing", begin, records)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// One in so many messages without a trace begins one, with which it is stored.
func TestOneIn(t *testing.T) {
	c := newCollector(t)
	tr := newTracer(t, c, func(cfg *Config) { cfg.OneIn = 3 })
	var begun []string
	for range 9 {
		s := tr.Sending("orders", nil, 5, netip.AddrPort{})
		s.Answered(14, "the disk is full")
		if s != nil {
			begun = append(begun, s.Traceparent())
		}
	}
	if err := tr.Close(); err != nil {
		t.Fatal(err)
	}
	sent := c.named("send orders")
	if len(begun) != 3 || len(sent) != 3 {
		t.Fatalf("%q, %v", begun, sent)
	}
	for i, s := range sent {
		at, ok := message.ParseTraceparent([]byte(begun[i]))
		if !ok || !at.Sampled || !bytes.Equal(at.TraceID[:], s.TraceId) || !bytes.Equal(at.SpanID[:], s.SpanId) || len(s.ParentSpanId) != 0 || s.Status.GetMessage() != "the disk is full" {
			t.Errorf("%s for %v", begun[i], s)
		}
	}
}

// A second has so many spans, and the next one as many again.
func TestPerSecond(t *testing.T) {
	now := begin
	tr := newTracer(t, newCollector(t), func(cfg *Config) {
		cfg.PerSecond = 3
		cfg.Now = func() time.Time { return now }
	})
	rec := record(properties(parent))
	for range 2 {
		for range 5 {
			tr.Delivered("pull", "billing", now, [][]byte{rec})
		}
		now = now.Add(time.Second)
	}
	if st := tr.Stats(); st.Spans != 6 || st.Dropped != 4 {
		t.Errorf("%+v", st)
	}
}

// What a collector does not take is counted and logged once; requests do not wait
// for it.
func TestCollectorFails(t *testing.T) {
	c := newCollector(t)
	c.answer = http.StatusForbidden
	var log bytes.Buffer
	tr := newTracer(t, c, func(cfg *Config) { cfg.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	tr.Sending("orders", properties(parent), 5, netip.AddrPort{}).Answered(0, "")
	if err := tr.Close(); err != nil {
		t.Fatal(err)
	}
	if st := tr.Stats(); st.Failed != 1 || c.asked != 1 || strings.Count(log.String(), "the collector takes no spans") != 1 || !strings.Contains(log.String(), "403") {
		t.Errorf("%+v, %d requests\n%s", st, c.asked, &log)
	}
}

// A collector that does not answer holds the end up for five seconds, and nothing
// is left behind. Those five are the bubble's, not the test's.
func TestCollectorHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr, err := New(Config{Endpoint: "http://collector/v1/traces", PerSecond: 1 << 20, Logger: slog.New(slog.DiscardHandler), Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		tr.exporter.http.Transport = hanging{}
		for range 3 * batchSpans {
			tr.Sending("orders", properties(parent), 5, netip.AddrPort{}).Answered(0, "")
		}
		from := time.Now()
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
		if took := time.Since(from); took != exportLimit {
			t.Errorf("Close took %v", took)
		}
		if st := tr.Stats(); st.Failed != 3*batchSpans {
			t.Errorf("%+v", st)
		}
	})
}

type hanging struct{}

func (hanging) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// A collector that is busy is asked again, with pauses.
func TestCollectorIsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr, err := New(Config{Endpoint: "http://collector/v1/traces", PerSecond: 1, Logger: slog.New(slog.DiscardHandler), Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		busy := &busy{until: 2}
		tr.exporter.http.Transport = busy
		tr.Sending("orders", properties(parent), 5, netip.AddrPort{}).Answered(0, "")
		time.Sleep(10 * time.Second) // of the bubble
		synctest.Wait()
		if st := tr.Stats(); busy.asked != 3 || st.Failed != 0 {
			t.Errorf("asked %d times, %+v", busy.asked, st)
		}
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
	})
}

type busy struct{ until, asked int }

func (b *busy) RoundTrip(*http.Request) (*http.Response, error) {
	b.asked++
	status := http.StatusServiceUnavailable
	if b.asked > b.until {
		status = http.StatusOK
	}
	return &http.Response{StatusCode: status, Status: http.StatusText(status), Body: http.NoBody}, nil
}

// Configurations that can't be.
func TestNewRefuses(t *testing.T) {
	for _, cfg := range []Config{{Endpoint: "http://x", PerSecond: 0}, {Endpoint: "http://x", PerSecond: 1, OneIn: -1}} {
		if tr, err := New(cfg); err == nil || tr != nil {
			t.Errorf("%+v: %v", cfg, tr)
		}
	}
}

func BenchmarkNotFollowed(b *testing.B) {
	tr, err := New(Config{Endpoint: "http://127.0.0.1:1/v1/traces", PerSecond: 1, Logger: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		b.Fatal(err)
	}
	defer tr.Close()
	p := message.AppendProperty(message.AppendProperty(nil, message.PropertyUniqueKey, "7F00000133A14E0E2F2A6F7A29A90149"), message.PropertyTags, "TagA")
	b.ReportAllocs()
	for b.Loop() {
		tr.Sending("orders", p, 5, netip.AddrPort{})
	}
}

func BenchmarkFollowed(b *testing.B) {
	tr, err := New(Config{Endpoint: "http://127.0.0.1:1/v1/traces", PerSecond: 1 << 40, Logger: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		b.Fatal(err)
	}
	defer tr.Close()
	p := properties(parent)
	b.ReportAllocs()
	for b.Loop() {
		s := tr.Sending("orders", p, 5, netip.AddrPort{})
		s.Appending()
		s.Stored(1, 2, 3)
		s.Answered(0, "")
	}
}
