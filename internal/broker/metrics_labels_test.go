// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
)

// speaks gives a client of a language and version.
func (w *world) speaks(language wire.Language, version int32) *client {
	c := &client{w: w, pushed: make(chan *wire.Command, 1000)}
	c.Client = remoting.NewClient(remoting.ClientConfig{Version: version, Language: language, Routes: func(int32) (remoting.Route, bool) {
		return remoting.Route{Handler: func(r *remoting.Request) { c.pushed <- r.Clone() }}, true
	}})
	w.t.Cleanup(func() { _ = c.Close() })
	return c
}

// TestWhatIsFoldedHasItsOwnLabel: topics and groups with the name other are not those
// that stand for what is too much. metrics fails where a line is there twice.
func TestWhatIsFoldedHasItsOwnLabel(t *testing.T) {
	w := start(t, vfs.NewMem(), "metricsOtelCardinalityLimit", "1")
	c := w.client()
	c.send(sendHeader("other"), "x")
	half := func(topic string) {
		h := sendHeader(topic, "TRAN_MSG", "true", "PGROUP", "p")
		h.SysFlag = int32(message.TransactionPrepared)
		c.send(h, "x")
	}
	half("other")
	c.heartbeat("one", "other", "other", "*")
	c.produces("one", "other")
	w.stored("other", 0)
	w.offsets.Commit("other", "other", 0, 0)
	w.metrics(Names{Exporter: true}) // it is listed, and stays so
	for _, name := range []string{"a", "b"} {
		c.send(sendHeader(name), "x")
		half(name)
		c.heartbeat(name, name, name, "*")
		c.produces(name, name)
		w.stored(name, 0)
		w.offsets.Commit(name, name, 0, 0)
	}
	const at = `{cluster="DefaultCluster",broker="broker-a",`
	wantMetrics(t, w.metrics(Names{Exporter: true}),
		`rocketmq_messages_in_total{topic="other",message_type="normal",is_system="false"`, "1",
		`rocketmq_messages_in_total{topic="(other)",message_type="(other)",is_system="false"`, "2",
		`rocketmq_half_messages{topic="other"`, "1", `rocketmq_half_messages{topic="(other)"`, "2",
		`rocketmq_producer_connections{producer_group="(other)",language="(other)",version="(other)",protocol_type="remoting"`, "2",
		`rocketmq_consumer_lag_messages{consumer_group="(other)",topic="(other)",is_retry="false",is_system="false"`, "2",
		`rocketmq_producer_count`+at+`group="other"`, "1", `rocketmq_producer_count`+at+`group="(other)"`, "2",
		`rocketmq_group_count{caddr="(other)",localaddr="(other)",group="(other)"`, "2",
	)
}

// TestConnectionsOfOneLabelAreOneLine: several versions have one name, and groups
// that no name is allowed for are one.
func TestConnectionsOfOneLabelAreOneLine(t *testing.T) {
	w := start(t, vfs.NewMem())
	for i, c := range []*client{w.speaks(wire.LanguageJava, 5000), w.speaks(wire.LanguageJava, 6000), w.speaks(100, 400), w.speaks(101, 400)} {
		id := fmt.Sprint("c", i)
		c.produces(id, "pg")
		c.produces(id, "\xff")
		c.produces(id, "\xfe"+strings.Repeat("long", 1000))
		c.heartbeat(id, "g", "T", "*")
	}
	have := w.metrics(Names{Exporter: true})
	wantMetrics(t, have,
		`rocketmq_producer_connections{producer_group="pg",language="java",version="higher_version",protocol_type="remoting"`, "2",
		`rocketmq_producer_connections{producer_group="pg",language="other",version="v4_9_4_snapshot",protocol_type="remoting"`, "2",
		`rocketmq_producer_connections{producer_group="(invalid)",language="java",version="higher_version",protocol_type="remoting"`, "4",
		`rocketmq_consumer_connections{consumer_group="g",language="java",version="higher_version",consume_mode="push",protocol_type="remoting",is_system="false"`, "2",
		`rocketmq_producer_count{cluster="DefaultCluster",broker="broker-a",group="(invalid)"`, "8",
	)
}

// wantMeasured is wantMetrics for requests, which are measured when their answers
// were written, so that clients may have them before.
func (w *world) wantMeasured(want ...string) {
	w.t.Helper()
	for w.ctx.Err() == nil {
		have, all := w.metrics(Names{}), true
		for i := 0; i+1 < len(want); i += 2 {
			all = all && (have[want[i]] == want[i+1] || have[want[i]] == "" && want[i+1] == "nothing")
		}
		if all {
			return
		}
		runtime.Gosched()
	}
	wantMetrics(w.t, w.metrics(Names{}), want...)
}

// TestUnknownRequestsAreOneLine: a peer's own codes leave the codes of requests theirs.
func TestUnknownRequestsAreOneLine(t *testing.T) {
	w := start(t, vfs.NewMem())
	c := w.client()
	for i := range int32(1001) {
		if _, err := c.Invoke(w.ctx, w.addr, &wire.Request{Code: 50_000 + i}); err != nil {
			t.Fatal(err)
		}
	}
	c.send(sendHeader("T"), "one")
	const rest = `,response_code="%s",is_long_polling="false",result="success"`
	of := func(request, response string) string {
		return `rocketmq_rpc_latency_count{protocol_type="remoting",request_code="` + request + `"` + fmt.Sprintf(rest, response)
	}
	w.wantMeasured(of("(other)", "request_code_not_supported"), "1001", of("send_message_v2", "success"), "1", of("50000", "request_code_not_supported"), "nothing")
}

// TestCreationsOfSeveralAreMeasured: requests for a list are as those for one.
func TestCreationsOfSeveralAreMeasured(t *testing.T) {
	w := start(t, vfs.NewMem())
	c := w.client()
	topic := func(name string) body.TopicConfig {
		return body.TopicConfig{TopicName: name, ReadQueueNums: 1, WriteQueueNums: 1, Perm: 6}
	}
	if err := rpc.CreateTopics(w.ctx, c, w.addr, []body.TopicConfig{topic("a"), topic("b")}); err != nil {
		t.Fatal(err)
	}
	if err := rpc.CreateGroups(w.ctx, c, w.addr, []body.SubscriptionGroupConfig{{GroupName: "g", ConsumeEnable: true}}); err != nil {
		t.Fatal(err)
	}
	labels := `_count{invocation_status="success",is_system="false"`
	w.wantMeasured("rocketmq_topic_create_execution_time"+labels, "1", "rocketmq_consumer_group_create_execution_time"+labels, "1")
}

// TestStorageSizeIsTheFileSystems as in RocketMQ; the log has a metric of its own.
func TestStorageSizeIsTheFileSystems(t *testing.T) {
	fs := vfs.NewMem()
	w := start(t, fs)
	c := w.client()
	c.send(sendHeader("T"), "one")
	u, err := fs.Usage("/store")
	if err != nil {
		t.Fatal(err)
	}
	st := w.store.Stats()
	labels := `{storage_type="local",storage_medium="disk"`
	if u.Used == st.End-st.Min {
		t.Fatal("nothing but the log is there")
	}
	wantMetrics(t, w.metrics(Names{}), "rocketmq_storage_size"+labels, fmt.Sprint(u.Used), "twostage_storage_log_bytes"+labels, fmt.Sprint(st.End-st.Min))
}
