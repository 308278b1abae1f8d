// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// counted are the messages and bytes of all topics.
func (w *world) counted() map[string][2]int64 {
	m := map[string][2]int64{}
	w.stats.EachTopic(func(topic string, n, bytes int64) { m[topic] = [2]int64{n, bytes} })
	return m
}

// TestMessagesCountOnce: what is counted in is what came to a topic, whichever way it
// took, in bytes of records.
func TestMessagesCountOnce(t *testing.T) {
	w := start(t, vfs.NewMem(), "messageDelayLevel", "1s 2h 3h 4h")
	c := w.client()
	c.heartbeat("c", "g", "T", "*")
	c.send(sendHeader("T", "TAGS", "plain"), "x")
	batch := sendHeader("T")
	batch.Batch = true
	packed := message.AppendBatch(message.AppendBatch(nil, 0, []byte("one"), nil), 0, []byte("two"), nil)
	c.send(batch, string(packed))
	c.send(sendHeader("T", "DELAY", "2"), "waits")
	end := func(what message.SysFlag, props ...string) {
		h := sendHeader("T", append([]string{"TRAN_MSG", "true", "PGROUP", "p"}, props...)...)
		h.SysFlag = int32(message.TransactionPrepared)
		sent := c.send(h, "transaction")
		_, physical, err := message.ParseOffsetID(string(sent.Header.MsgID))
		if err != nil {
			t.Fatal(err)
		}
		if err := rpc.EndTransaction(w.ctx, c, w.addr, &header.EndTransactionRequest{ProducerGroup: "p", TranStateTableOffset: sent.Header.QueueOffset,
			CommitLogOffset: physical, CommitOrRollback: int32(what), MsgID: "u"}); err != nil {
			t.Fatal(err)
		}
	}
	end(message.TransactionCommit)
	end(message.TransactionCommit, "DELAY", "2")
	end(message.TransactionRollback)
	first := w.stored("T", 0)[0]
	for _, level := range []int32{4, -1} { // a later try, and the dead letters
		if err := rpc.SendBack(w.ctx, c, w.addr, &header.SendBackRequest{Offset: first.PhysicalOffset, Group: "g", DelayLevel: level, OriginTopic: "T"}); err != nil {
			t.Fatal(err)
		}
	}
	again := sendHeader("%RETRY%g", "DELAY", "2")
	again.ReconsumeTimes, again.MaxReconsumeTimes, again.HasMaxReconsumeTimes = 3, 2, true
	c.send(again, "no more tries")

	w.wantCounted(map[string]int{"T": 4, "%DLQ%g": 2, message.TopicHalf: 3, message.TopicSchedule: 3})
	c.send(sendHeader("T", "DELAY", "1"), "soon")
	if p := c.pull("g", "T", 0, 4, time.Minute); p.Code != wire.Success {
		t.Fatalf("the delayed message: %d", p.Code)
	}
	for w.counted()["T"][0] < 5 && w.ctx.Err() == nil {
		runtime.Gosched() // it is counted right after it was stored
	}
	w.wantCounted(map[string]int{"T": 5, "%DLQ%g": 2, message.TopicHalf: 3, message.TopicSchedule: 4})
}

// wantCounted compares what is counted with the messages in queues of topics.
func (w *world) wantCounted(want map[string]int) {
	w.t.Helper()
	got := w.counted()
	for topic, n := range want {
		size := int64(0)
		list := w.stored(topic, 0)
		for queue := int32(1); queue < 4; queue++ {
			list = append(list, w.stored(topic, queue)...)
		}
		for _, rec := range list {
			size += int64(rec.Size)
		}
		if len(list) != n || got[topic] != [2]int64{int64(n), size} {
			w.t.Errorf("%s: counted %v, %d stored of %d bytes, want %d", topic, got[topic], len(list), size, n)
		}
	}
	if len(got) != len(want) {
		w.t.Errorf("counted %v, want %v", got, want)
	}
}

// TestMetricsAreDocumented holds the names of metrics against the operators' lists.
func TestMetricsAreDocumented(t *testing.T) {
	read := func(path string) string {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	docs, n := read("../../docs/operations.md")+read("../../docs/metrics.md"), 0
	for _, name := range metricNames(t) {
		if n++; !regexp.MustCompile("`" + name + "[`{]").MatchString(docs) {
			t.Errorf("neither docs/operations.md nor docs/metrics.md names %s", name)
		}
	}
	if n < 130 {
		t.Errorf("only %d metrics were found", n)
	}
}

// metricNames are the names of all metrics of the broker, as its sources have them.
func metricNames(t *testing.T) (names []string) {
	t.Helper()
	files, err := filepath.Glob("metrics*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(\bdesc\(|NewDesc\(|exported\(|Family\{Name: )"([a-z_]+[a-z])",`).FindAllStringSubmatch(string(text), -1) {
			name := m[2]
			if m[1] == "desc(" || m[1] == "exported(" {
				name = "rocketmq_" + name
			}
			names = append(names, name)
		}
	}
	for _, g := range runtimeGauges {
		names = append(names, "rocketmq_brokeruntime_"+g.name)
	}
	return names
}
