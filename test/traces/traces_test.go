// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package traces

import (
	"compress/gzip"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/internal/proctest"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/test/rig"
)

// collector takes spans.
type collector struct {
	*httptest.Server
	mu    sync.Mutex
	spans []*tracepb.Span
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var data tracepb.TracesData
		z, err := gzip.NewReader(r.Body)
		if err == nil {
			var b []byte
			if b, err = io.ReadAll(z); err == nil {
				err = proto.Unmarshal(b, &data)
			}
		}
		if err != nil {
			t.Error(err)
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, r := range data.ResourceSpans {
			for _, s := range r.ScopeSpans {
				c.spans = append(c.spans, s.Spans...)
			}
		}
	}))
	t.Cleanup(c.Close)
	return c
}

// of are the spans of a trace as "name < parent's name", "?" where nobody has sent
// the parent, sorted.
func (c *collector) of(trace [16]byte) (list []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	names := map[string]string{}
	for _, s := range c.spans {
		names[string(s.SpanId)] = s.Name
	}
	for _, s := range c.spans {
		if string(s.TraceId) != string(trace[:]) {
			continue
		}
		parent := names[string(s.ParentSpanId)]
		switch {
		case len(s.ParentSpanId) == 0:
			parent = "none"
		case parent == "":
			parent = "producer " + hex.EncodeToString(s.ParentSpanId)
		}
		if s.EndTimeUnixNano < s.StartTimeUnixNano {
			parent += ", ends before it begins"
		}
		list = append(list, s.Name+" < "+parent)
	}
	slices.Sort(list)
	return list
}

// serve runs a server that traces.
func serve(t *testing.T, c *collector, keys ...string) *proctest.Server {
	t.Helper()
	args := []string{"server", "--data", t.TempDir(), "--namesrv-set", "listenPort=0", "--namesrv-set", "bindAddress=127.0.0.1"}
	for _, kv := range append([]string{
		"listenPort=0", "httpListenPort=0", "bindAddress=127.0.0.1", "brokerIP1=127.0.0.1", "brokerName=broker-a", "mappedFileSizeCommitLog=1048576",
		"maxHashSlotNum=1000", "maxIndexNum=4000", "otlpTracesEndpoint=" + c.URL,
	}, keys...) {
		args = append(args, "--set", kv)
	}
	return proctest.Start(t, args...)
}

// spans gives every send the same context.
type spans message.TraceContext

func (s spans) Sending(context.Context, *message.Message) (message.TraceContext, string, func(*client.SendResult, error)) {
	return message.TraceContext(s), "", nil
}

func committed(context.Context, *message.Received) client.Outcome { return client.Commit }

func always(context.Context, *client.Half) client.Outcome { return client.Commit }

// From the send of a client through the store to pulls, pops and acks: one trace.
func TestTraceOfAMessage(t *testing.T) {
	for _, flush := range []string{"ASYNC_FLUSH", "SYNC_FLUSH"} {
		t.Run(flush, func(t *testing.T) {
			t.Parallel()
			c := newCollector(t)
			s := serve(t, c, "flushDiskType="+flush)
			ctx, net := rig.Context(t), rig.Client(t)
			if err := rpc.CreateTopic(ctx, net, s.Broker, rig.TopicHeader("orders", 1)); err != nil {
				t.Fatal(err)
			}
			g := body.NewSubscriptionGroupConfig("billing")
			if err := rpc.CreateGroup(ctx, net, s.Broker, &g); err != nil {
				t.Fatal(err)
			}
			plain := message.TraceContext{TraceID: [16]byte{1}, SpanID: [8]byte{0xAA}, Sampled: true}
			p, err := client.NewProducer("shop", client.WithNameServers(s.Namesrv), client.WithSpans(spans(plain)))
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			if _, err := p.Send(ctx, message.New("orders", []byte("one"))); err != nil {
				t.Fatal(err)
			}
			paid := message.TraceContext{TraceID: [16]byte{2}, SpanID: [8]byte{0xBB}, Sampled: true}
			tx, err := client.NewTransactionProducer("tills", committed, client.WithNameServers(s.Namesrv), client.WithSpans(spans(paid)))
			if err != nil {
				t.Fatal(err)
			}
			defer tx.Close()
			if _, err := tx.SendInTransaction(ctx, message.New("orders", []byte("two")), always); err != nil {
				t.Fatal(err)
			}
			if _, err := rpc.Send(ctx, net, s.Broker, rig.SendHeader("orders", 0, "untraced"), []byte("three")); err != nil {
				t.Fatal(err)
			}

			n := 0 // pulled
			if _, err := rig.Drain(ctx, net, s.Broker, "orders", 0, 0, func(*message.Record) error { n++; return nil }); err != nil || n != 3 {
				t.Fatalf("%d messages, %v", n, err)
			}
			popAndAck(t, s.Broker, 3)
			if spans, err := rig.Metric(s.HTTP, "twostage_trace_spans_total"); spans != 11 || err != nil {
				t.Errorf("twostage_trace_spans_total %v, %v", spans, err)
			}
			if err := s.Stop(); err != nil { // what waits is sent
				t.Fatal(err)
			}
			for trace, producer := range map[[16]byte]string{plain.TraceID: "aa00000000000000", paid.TraceID: "bb00000000000000"} {
				from := " < producer " + producer
				want := []string{"ack orders" + from, "deliver orders" + from, "deliver orders" + from, "send orders" + from, "store orders < send orders"}
				if trace == paid.TraceID {
					want = slices.Insert(want, 1, "commit orders"+from)
				}
				if have := c.of(trace); !slices.Equal(have, want) {
					t.Errorf("trace %d:\n%s\nwant\n%s", trace[0], strings.Join(have, "\n"), strings.Join(want, "\n"))
				}
			}
			if total := len(c.of(plain.TraceID)) + len(c.of(paid.TraceID)); total != len(c.spans) {
				t.Errorf("%d spans, %d of them of messages that are traced", len(c.spans), total)
			}
		})
	}
}

// popAndAck consumes messages by pop.
func popAndAck(t *testing.T, broker string, want int) {
	t.Helper()
	ctx, net := rig.Context(t), rig.Client(t)
	ask := func(code int32, fields ...string) *wire.Command {
		req := &wire.Request{Code: code}
		for i := 0; i < len(fields); i += 2 {
			req.Fields = append(req.Fields, wire.Field{Key: []byte(fields[i]), Value: []byte(fields[i+1])})
		}
		answer, err := net.Invoke(ctx, broker, req)
		if err != nil {
			t.Fatal(err)
		}
		if answer.Code != wire.Success {
			t.Fatalf("%s is answered %s: %s", wire.CodeName(code), wire.ResponseName(answer.Code), answer.Remark)
		}
		return answer
	}
	answer := ask(wire.ReqPopMessage, "consumerGroup", "billing", "topic", "orders", "queueId", "0", "maxMsgNums", "32", "invisibleTime", "60000", "pollTime", "0",
		"bornTime", strconv.FormatInt(time.Now().UnixMilli(), 10), "initMode", "0", "order", "false")
	get := func(name string) string { v, _ := answer.Ext.Get(name); return string(v) }
	n := 0
	if err := message.RangeRecords(answer.Body, true, func(r *message.Record) error {
		n++
		start, _, _ := strings.Cut(get("startOffsetInfo"), ";")
		handle := fmt.Sprintf("%s %s %s %s 0 broker-a %d %d", start[strings.LastIndexByte(start, ' ')+1:], get("popTime"), get("invisibleTime"), get("reviveQid"), r.QueueID, r.QueueOffset)
		ask(wire.ReqAckMessage, "consumerGroup", "billing", "topic", "orders", "queueId", strconv.Itoa(int(r.QueueID)), "extraInfo", handle, "offset", strconv.FormatInt(r.QueueOffset, 10))
		return nil
	}); err != nil || n != want {
		t.Fatalf("popped %d messages, %v", n, err)
	}
}

// A message of a client that does not trace begins a trace in the broker when it is
// told to, and carries it to its consumers.
func TestTraceThatTheBrokerBegins(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	s := serve(t, c, "otlpTracesOneIn=1")
	ctx, net := rig.Context(t), rig.Client(t)
	if err := rpc.CreateTopic(ctx, net, s.Broker, rig.TopicHeader("orders", 1)); err != nil {
		t.Fatal(err)
	}
	if _, err := rpc.Send(ctx, net, s.Broker, rig.SendHeader("orders", 0, "key"), []byte("one")); err != nil {
		t.Fatal(err)
	}
	var trace message.TraceContext
	if _, err := rig.Drain(ctx, net, s.Broker, "orders", 0, 0, func(r *message.Record) error {
		text, _ := r.Property(message.PropertyTraceparent)
		trace, _ = message.ParseTraceparent(text)
		return nil
	}); err != nil || !trace.Sampled {
		t.Fatalf("traceparent %s, %v", trace, err)
	}
	// It comes without waiting for the end.
	rig.Poll(t, "the spans", func() error {
		if have := c.of(trace.TraceID); !slices.Equal(have, []string{"deliver orders < send orders", "send orders < none", "store orders < send orders"}) {
			return fmt.Errorf("%q", have)
		}
		return nil
	})
}

// Without a collector everything works, and the log says once that it is not there.
func TestNoCollector(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	c.Close()
	s := serve(t, c, "otlpTracesOneIn=1")
	ctx, net := rig.Context(t), rig.Client(t)
	if err := rpc.CreateTopic(ctx, net, s.Broker, rig.TopicHeader("orders", 1)); err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		if _, err := rpc.Send(ctx, net, s.Broker, rig.SendHeader("orders", 0, fmt.Sprint("key", i)), []byte("one")); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(s.Log(), "the collector takes no spans"); n != 1 {
		t.Errorf("the log says so %d times\n%s", n, s.Log())
	}
}
