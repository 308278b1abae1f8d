// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"maps"
	"math"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/broker/stats"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// runtimeKeys are those of GET_BROKER_RUNTIME_INFO of RocketMQ 4.9.8 and 5.3.3, but
// for those of the directory and of delay levels.
const runtimeKeys = `EndTransactionQueueSize EndTransactionThreadPoolQueueCapacity ackThreadPoolQueueCapacity ackThreadPoolQueueHeadWaitTimeMills
ackThreadPoolQueueSize bootTimestamp brokerActive brokerVersion brokerVersionDesc commitLogDirCapacity commitLogDiskRatio commitLogMaxOffset commitLogMinOffset
consumeQueueDiskRatio dispatchBehindBytes dispatchMaxBuffer earliestMessageTimeStamp getFoundTps getMessageEntireTimeMax getMissTps getTotalTps
getTransferedTps getTransferredTps litePullThreadPoolQueueCapacity litePullThreadPoolQueueHeadWaitTimeMills litePullThreadPoolQueueSize
msgGetTotalTodayMorning msgGetTotalTodayNow msgGetTotalYesterdayMorning msgPutTotalTodayMorning msgPutTotalTodayNow msgPutTotalYesterdayMorning
pageCacheLockTimeMills pullThreadPoolQueueCapacity pullThreadPoolQueueHeadWaitTimeMills pullThreadPoolQueueSize putLatency99 putLatency999
putMessageAverageSize putMessageDistributeTime putMessageEntireTimeMax putMessageFailedTimes putMessageSizeTotal putMessageTimesTotal putTps
queryThreadPoolQueueCapacity queryThreadPoolQueueHeadWaitTimeMills queryThreadPoolQueueSize remainHowManyDataToFlush remainTransientStoreBufferNumbs runtime
sendThreadPoolQueueCapacity sendThreadPoolQueueHeadWaitTimeMills sendThreadPoolQueueSize startAcceptSendRequestTimeStamp
timerCongestNum timerDequeueTps timerEnqueueTps timerOffsetBehind timerReadBehind`

// TestRuntimeInfo: every key of RocketMQ is there, in the form in which its tools and
// its exporter read it, with what happened.
func TestRuntimeInfo(t *testing.T) {
	var now atomic.Int64
	w := walled(t, vfs.NewMem(), &now)
	c := w.client()
	c.heartbeat("c", "g", "T", "*")
	for range 8 {
		c.send(sendHeader("T"), strings.Repeat("x", 100))
	}
	c.send(sendHeader("T", "DELAY", "3"), "waits")
	c.send(sendHeader("T", "TIMER_DELAY_SEC", "3600"), "waits, too")
	w.stored("T", 0)
	for w.timers.Waiting() != 1 && w.ctx.Err() == nil {
		runtime.Gosched() // it is put into the wheel
	}
	if p := c.pull("g", "T", 0, 0, 0); p.Code != wire.Success {
		t.Fatal(p.Code)
	}
	c.pull("g", "T", 0, 8, 0)
	now.Add((24*3600 + 2*3600 + 3*60 + 4) * 1000)
	info, err := rpc.RuntimeInfo(w.ctx, c, w.addr)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range strings.Fields(runtimeKeys) {
		if v, ok := info[key]; !ok || v == "" {
			t.Errorf("%s is missing: %q", key, v)
		}
	}
	number := func(key string) float64 {
		t.Helper()
		v, err := strconv.ParseFloat(strings.Fields(info[key])[0], 64)
		if err != nil {
			t.Errorf("%s: %q", key, info[key])
		}
		return v
	}
	puts := w.store.Puts()
	if got := w.store.EarliestTime(); got < 1_700_000_000_000 {
		t.Errorf("the first message was stored at %d", got)
	}
	for key, want := range map[string]float64{
		"putMessageTimesTotal": 10, "msgPutTotalTodayNow": 10, "putMessageFailedTimes": 0, "putMessageSizeTotal": float64(puts.Bytes),
		"putMessageAverageSize": float64(puts.Bytes) / 10, "msgGetTotalTodayNow": 8, "commitLogMaxOffset": float64(w.store.MaxPhysical()),
		"commitLogMinOffset": 0, "brokerVersion": 473, "bootTimestamp": 1_700_000_000_000, "earliestMessageTimeStamp": float64(w.store.EarliestTime()),
		"dispatchBehindBytes": 0, "timerCongestNum": 1, "timerOffsetBehind": 0, "timerReadBehind": 0, "remainTransientStoreBufferNumbs": math.MaxInt32, "startAcceptSendRequestTimeStamp": 0,
	} {
		if got := number(key); math.Abs(got-want) > 0.001 {
			t.Errorf("%s: %q, want %v", key, info[key], want)
		}
	}
	for key, v := range map[string]string{"runtime": "[ 1 days, 2 hours, 3 minutes, 4 seconds ]", "brokerActive": "true", "brokerVersionDesc": "V5_3_0", "scheduleMessageOffset_3": "0,1", "scheduleMessageOffset_4": "0,0"} {
		if info[key] != v {
			t.Errorf("%s: %q, want %q", key, info[key], v)
		}
	}
	for _, key := range []string{"putTps", "getFoundTps", "getMissTps", "getTotalTps", "getTransferedTps", "getTransferredTps"} {
		if n := strings.Split(info[key], " "); len(n) != 3 || number(key) <= 0 || !strings.Contains(n[0], ".") {
			t.Errorf("%s: %q", key, info[key])
		}
	}
	if f := strings.Split(info["commitLogDirCapacity"], " "); len(f) != 8 || f[3] == "B," || !strings.HasSuffix(f[7], "B.") { // as the exporter takes it apart
		t.Errorf("commitLogDirCapacity: %q", info["commitLogDirCapacity"])
	}
	sum := 0
	buckets := strings.Fields(info["putMessageDistributeTime"])
	for _, text := range buckets {
		_, n, _ := strings.Cut(text, ":")
		count, err := strconv.Atoi(n)
		if err != nil {
			t.Error(err)
		}
		sum += count
	}
	if len(buckets) != 13 || sum != 10 || !strings.HasPrefix(info["putMessageDistributeTime"], "[<=0ms]:") || number("putLatency99") <= 0 {
		t.Errorf("%d puts in %q, 99%% below %s", sum, info["putMessageDistributeTime"], info["putLatency99"])
	}
	for key, v := range info { // the others are for machines
		if key != "runtime" && key != "commitLogDirCapacity" && key != "putMessageDistributeTime" && !strings.HasPrefix(key, "scheduleMessageOffset") &&
			key != "brokerActive" && key != "brokerVersionDesc" {
			number(key)
		}
		if strings.ContainsAny(v, "\n\t") {
			t.Errorf("%s: %q", key, v)
		}
	}
}

// TestDistributionHasTheStoresBounds: RocketMQ's buckets are sums of the store's.
func TestDistributionHasTheStoresBounds(t *testing.T) {
	var h stats.Histogram
	for i := range h {
		h[i] = 1 << i
	}
	total, from := int64(0), time.Duration(0)
	for _, d := range distributed[:len(distributed)-1] {
		to := time.Duration(d.below) * time.Millisecond
		if !slices.Contains(store.PutBounds[:], to) {
			t.Errorf("%s ends at %v, which the store does not tell from others", d.name, to)
		}
		total += h.Between(from, to)
		from = to
	}
	if total += h.Between(from, math.MaxInt64); total != 1<<len(h)-1 {
		t.Errorf("the buckets are not all: %b", total)
	}
}

func TestSizesAreWrittenAsRocketMQDoes(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 1 << 20: "1.0 MiB", 252 << 30: "252.0 GiB", math.MaxInt64: "8.0 EiB"} {
		if got := size(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

// TestTopicStats: the ends of all queues, and when the last message came.
func TestTopicStats(t *testing.T) {
	var now atomic.Int64
	w := startAt(t, vfs.NewMem(), now.Load)
	c := w.client()
	if err := rpc.CreateTopic(w.ctx, c, w.addr, &header.CreateTopicRequest{Topic: "T", ReadQueueNums: 3, WriteQueueNums: 2, Perm: 6}); err != nil {
		t.Fatal(err)
	}
	for _, at := range []int64{2000, 3000} {
		now.Store(at)
		c.send(sendHeader("T"), "x")
	}
	w.stored("T", 0)
	s, err := rpc.TopicStats(w.ctx, c, w.addr, "T")
	if err != nil {
		t.Fatal(err)
	}
	want := map[body.MessageQueue]body.TopicOffset{}
	for id := range int32(3) {
		want[body.MessageQueue{Topic: "T", BrokerName: "broker-a", QueueID: id}] = body.TopicOffset{}
	}
	want[body.MessageQueue{Topic: "T", BrokerName: "broker-a"}] = body.TopicOffset{MaxOffset: 2, LastUpdateTimestamp: 3000}
	if !maps.Equal(s.OffsetTable, want) || s.TopicPutTps <= 0 {
		t.Errorf("%+v", s)
	}
	if _, err := rpc.TopicStats(w.ctx, c, w.addr, "none"); code(err) != wire.TopicNotExist {
		t.Errorf("a topic that there is not: %v", err)
	}
}

// TestBrokerStats: what went through the broker is in the counters that tools ask for,
// until what they are of is deleted.
func TestBrokerStats(t *testing.T) {
	w := start(t, vfs.NewMem())
	c := w.client()
	c.heartbeat("c", "g", "T", "*")
	batch := sendHeader("T")
	batch.Batch = true
	c.send(batch, string(message.AppendBatch(message.AppendBatch(nil, 0, []byte("one"), nil), 0, []byte("two"), nil)))
	c.send(sendHeader("T"), "three")
	first := w.stored("T", 0)[0]
	if p := c.pull("g", "T", 0, 0, 0); p.Code != wire.Success {
		t.Fatal(p.Code)
	}
	if err := rpc.SendBack(w.ctx, c, w.addr, &header.SendBackRequest{Offset: first.PhysicalOffset, Group: "g", DelayLevel: -1, OriginTopic: "T"}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		c.send(sendHeader("P"), "popped")
	}
	for i, h := range c.popSoon(popRequest("P", -1)).handles("broker-a") {
		if cmd := c.ack("P", &h); i == 1 || cmd.Code != wire.Success {
			break
		}
	}
	minute := func(name, key string) body.BrokerStatsItem {
		t.Helper()
		d, err := rpc.BrokerStats(w.ctx, c, w.addr, name, key)
		if err != nil {
			t.Error(err)
			return body.BrokerStatsItem{}
		}
		if d.StatsMinute.Sum != d.StatsDay.Sum || d.StatsMinute.Sum != d.StatsHour.Sum || (d.StatsMinute.Sum > 0) != (d.StatsMinute.Tps > 0) {
			t.Errorf("%s %s: %+v", name, key, d)
		}
		return d.StatsMinute
	}
	bytes := int64(0)
	for _, rec := range w.stored("T", 0) {
		bytes += int64(rec.Size)
	}
	for _, tc := range []struct {
		name, key string
		sum       int64
		average   float64
	}{
		{"TOPIC_PUT_NUMS", "T", 3, 1.5},
		{"TOPIC_PUT_SIZE", "T", bytes, float64(bytes) / 2},
		{"GROUP_GET_NUMS", "T@g", 3, 3},
		{"GROUP_GET_SIZE", "T@g", bytes, float64(bytes)},
		{"SNDBCK_PUT_NUMS", "T@g", 1, 1},
		{"DLQ_PUT_NUMS", "g", 1, 1},
		{"GROUP_GET_NUMS", "P@g", 3, 3},
		{"GROUP_CK_NUMS", "P@g", 1, 1},
		{"GROUP_ACK_NUMS", "P@g", 2, 1},
		{"BROKER_PUT_NUMS", "DefaultCluster", 7, 0},
		{"BROKER_GET_NUMS", "DefaultCluster", 6, 0},
		{"BROKER_ACK_NUMS", "DefaultCluster", 2, 0},
	} {
		if got := minute(tc.name, tc.key); got.Sum != tc.sum || got.Avgpt != tc.average {
			t.Errorf("%s %s: %+v, want %d, %v each time", tc.name, tc.key, got, tc.sum, tc.average)
		}
	}
	if got := minute("TOPIC_PUT_LATENCY", "T"); got.Avgpt <= 0 {
		t.Errorf("a send took %v ms", got.Avgpt)
	}
	refused := func(name, key, says string) {
		t.Helper()
		if _, err := rpc.BrokerStats(w.ctx, c, w.addr, name, key); code(err) != wire.SystemError || !strings.Contains(err.Error(), says) {
			t.Errorf("%s %s: %v, want %q", name, key, err, says)
		}
	}
	refused("TOPIC_PUT_NUMS", "U", "The stats <TOPIC_PUT_NUMS> <U> not exist")
	refused("NO_NUMS", "T", "there are TOPIC_PUT_NUMS")
	if err := rpc.DeleteGroup(w.ctx, c, w.addr, "g", false); err != nil {
		t.Fatal(err)
	}
	refused("GROUP_GET_NUMS", "T@g", "nothing was counted")
	refused("SNDBCK_PUT_NUMS", "T@g", "nothing was counted")
	minute("TOPIC_PUT_NUMS", "P")
	if err := rpc.DeleteTopic(w.ctx, c, w.addr, "T"); err != nil {
		t.Fatal(err)
	}
	refused("TOPIC_PUT_NUMS", "T", "nothing was counted")
	if got := minute("BROKER_PUT_NUMS", "DefaultCluster"); got.Sum != 7 {
		t.Errorf("the broker forgot: %+v", got)
	}
}

// TestBrokerConsumeStats: each group with the topics in which it has offsets.
func TestBrokerConsumeStats(t *testing.T) {
	w, c := resetWorld(t, vfs.NewMem())
	w.offset("g", 1, 2)
	for _, name := range []string{"Ordered", "U"} {
		if err := rpc.CreateTopic(w.ctx, c, w.addr, &header.CreateTopicRequest{Topic: name, ReadQueueNums: 1, WriteQueueNums: 1, Perm: 6, Order: name == "Ordered"}); err != nil {
			t.Fatal(err)
		}
		c.send(sendHeader(name), "x")
		w.stored(name, 0)
		w.offsets.Commit("g", name, 0, 0) // it does not subscribe to it
	}
	if _, err := w.groups.Ensure("offline"); err != nil {
		t.Fatal(err)
	}
	w.offsets.Commit("offline", "Ordered", 0, 0)
	w.offsets.Commit("offline", "U", 0, 1)
	w.offsets.Commit("offline", "Gone", 0, 1)
	text := func(ordered bool) (text string, diff int64) {
		t.Helper()
		l, err := rpc.BrokerConsumeStats(w.ctx, c, w.addr, ordered)
		if err != nil {
			t.Fatal(err)
		}
		if l.BrokerAddr != w.Advertised() {
			t.Errorf("the broker is at %q", l.BrokerAddr)
		}
		for _, one := range l.ConsumeStatsList {
			for group, list := range one {
				if group != "g" && group != "offline" {
					continue // of the broker
				}
				text += group
				for _, s := range list {
					topics := map[string]int64{}
					for q, o := range s.OffsetTable {
						topics[q.Topic] += o.BrokerOffset - o.ConsumerOffset
					}
					for topic, n := range topics {
						text += " " + topic + ":" + strconv.FormatInt(n, 10)
					}
				}
				text += ";"
			}
		}
		return text, l.TotalDiff
	}
	if got, diff := text(false); got != "g T:2;offline Ordered:1 U:0;" || diff != 3 {
		t.Errorf("%s %d", got, diff)
	}
	if got, diff := text(true); got != "g;offline Ordered:1;" || diff != 1 {
		t.Errorf("ordered: %s %d", got, diff)
	}
}

// TestFallBehind: how far a group is behind is told of now, from its offset.
func TestFallBehind(t *testing.T) {
	w, c := resetWorld(t, vfs.NewMem()) // four messages of 1 to 4 s in two queues; it is 10 s
	w.offset("g", 1, 2)
	records := w.stored("T", 1)
	for key, want := range map[string][2]int64{ // bytes, ms
		"1@T@g": {w.store.MaxPhysical() - records[2].PhysicalOffset, 7000},
		"0@T@g": {},
	} {
		for i, name := range []string{"GROUP_GET_FALL_SIZE", "GROUP_GET_FALL_TIME"} {
			d, err := rpc.BrokerStats(w.ctx, c, w.addr, name, key)
			if err != nil || d.StatsMinute.Sum != want[i] || d.StatsDay != d.StatsMinute {
				t.Errorf("%s %s: %+v, %v, want %d", name, key, d, err, want[i])
			}
		}
	}
	for _, key := range []string{"9@T@g", "1@T@other", "1@None@g", "T@g", "x@T@g", "", "@@", "4294967297@T@g"} {
		if _, err := rpc.BrokerStats(w.ctx, c, w.addr, "GROUP_GET_FALL_SIZE", key); code(err) != wire.SystemError || !strings.Contains(err.Error(), "queue@topic@group") {
			t.Errorf("%q: %v", key, err)
		}
	}
}
