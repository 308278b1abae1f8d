// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
)

// exported are the samples of a scrape whose names are rocketmq-exporter's.
func (w *world) exported() map[string]string {
	w.t.Helper()
	m := map[string]string{}
	plain := map[string]bool{}
	for line := range strings.Lines(string(w.AppendMetrics(nil, Names{}))) {
		name, _, _ := strings.Cut(line, "{")
		plain[name] = true
	}
	for line := range strings.Lines(string(w.AppendMetrics(nil, Names{Exporter: true}))) {
		name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "} ")
		if family, _, _ := strings.Cut(name, "{"); ok && !plain[family] && line[0] != '#' {
			m[name] = value
		}
	}
	return m
}

// TestExporterNames: names=exporter adds those of rocketmq-exporter, with its labels.
func TestExporterNames(t *testing.T) {
	var now atomic.Int64
	now.Store(1_700_000_000_000)
	w := startAt(t, vfs.NewMem(), now.Load)
	c := w.client()
	c.heartbeat("10.0.0.1@7", "g", "T", "*", "%RETRY%g", "*")
	c.produces("p", "pg")
	for range 3 {
		c.send(sendHeader("T"), "x")
		now.Add(1000)
	}
	c.send(sendHeader("%RETRY%g"), "again")
	w.stored("T", 0)
	w.offsets.Commit("g", "T", 0, 1)
	w.offsets.Commit("g", "%RETRY%g", 0, 0)
	addr := ""
	if members, _ := w.session.ConsumerClients("g"); len(members) == 1 {
		addr = members[0].Conn.RemoteAddr().String()
	}
	const at = `{cluster="DefaultCluster",broker="broker-a",`
	wantMetrics(t, w.exported(),
		`rocketmq_producer_offset`+at+`topic="T"`, "3",
		`rocketmq_topic_retry_offset`+at+`topic="%RETRY%g"`, "1",
		`rocketmq_producer_count`+at+`group="pg"`, "1",
		`rocketmq_group_count{caddr="`+addr+`",localaddr="10.0.0.1",group="g"`, "1",
		`rocketmq_group_diff{group="g",topic="T",countOfOnlineConsumers="1",msgModel="1"`, "2",
		`rocketmq_group_retrydiff{group="g",topic="%RETRY%g",countOfOnlineConsumers="1",msgModel="1"`, "1",
		`rocketmq_consumer_offset`+at+`topic="T",group="g"`, "1",
		`rocketmq_group_get_latency_by_storetime`+at+`topic="T",group="g"`, "2000",
	)
	have := w.exported()
	whole := `{cluster="DefaultCluster",brokerIP="` + w.Advertised() + `",`
	for _, name := range []string{"rocketmq_broker_tps" + whole + `broker="broker-a"`, "rocketmq_broker_qps" + whole + `broker="broker-a"`, "rocketmq_producer_tps" + at + `topic="T"`,
		"rocketmq_producer_message_size" + at + `topic="T"`} {
		if _, ok := have[name]; !ok {
			t.Errorf("there is no %s", name)
		}
	}
	own := whole + `brokerHost="",des="` + w.runtimeInfo()["brokerVersionDesc"] + `",boottime="` + w.runtimeInfo()["bootTimestamp"] + `",broker_version="473"`
	for _, g := range runtimeGauges {
		if _, ok := have["rocketmq_brokeruntime_"+g.name+own]; !ok {
			t.Errorf("there is no rocketmq_brokeruntime_%s", g.name)
		}
	}
	wantMetrics(t, have, "rocketmq_brokeruntime_commitlog_maxoffset"+own, fmt.Sprint(w.store.MaxPhysical()), "rocketmq_brokeruntime_putmessage_times_total"+own, "4")
}

// TestRuntimeFigures: the numbers in the texts of GET_BROKER_RUNTIME_INFO.
func TestRuntimeFigures(t *testing.T) {
	for _, tc := range []struct {
		text, part string
		want       float64
		ok         bool
	}{
		{"77", "", 77, true},
		{"1.5 2.5 3.5", "2", 3.5, true},
		{"12 B", "0", 12, true},
		{"[<=0ms]:4 [0~10ms]:5 ", "<=0ms", 4, true},
		{"[<=0ms]:4 [0~10ms]:5 ", "0~10ms", 5, true},
		{"Total : 2.0 GiB, Free : 512.0 MiB.", "Total", 2 << 30, true},
		{"Total : 2.0 GiB, Free : 512.0 MiB.", "Free", 512 << 20, true},
		{"Total : 0 B, Free : 0 B.", "Free", 0, true},
		{"", "", 0, false},
		{"1.5", "2", 0, false},
		{"null", "", 0, false},
		{"Total : 2.0", "Total", 0, false},
	} {
		if v, ok := runtimeFigure(tc.text, tc.part); v != tc.want || ok != tc.ok {
			t.Errorf("%q, %q: %v, %t", tc.text, tc.part, v, ok)
		}
	}
}
