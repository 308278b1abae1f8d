// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"cmp"
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/twostage/twostage/internal/broker/stats"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
)

// counted is what the statistics read of the broker.
func (b *Broker) counted() stats.Source {
	return stats.Source{
		Puts:  b.store.Puts,
		Topic: func(name string) bool { _, ok := b.topics.Get(name); return ok },
		Group: func(name string) bool { _, ok := b.groups.Get(name); return ok },
		Timed: func() (in, out int64) {
			if b.timers == nil {
				return 0, 0
			}
			return b.timers.Position(), b.timers.Delivered()
		},
	}
}

// lanes are those of the requests that RocketMQ has a pool of threads for.
type lanes struct{ query, ack, admin *remoting.Lane }

// runtimeInfo is the broker's figures under RocketMQ's names, those of 4.9 and of
// 5.x (GET_BROKER_RUNTIME_INFO). docs/compatibility.md has those that mean something
// else here, or nothing.
func (b *Broker) runtimeInfo() map[string]string {
	info := info{}
	now := time.UnixMilli(b.o.NowMillis())
	info.str("brokerVersion", strconv.Itoa(int(wire.Version)))
	info.str("brokerVersionDesc", "V5_3_0")
	info.str("brokerActive", "true")
	info.num("bootTimestamp", b.booted)
	info.str("runtime", uptime(now.Sub(time.UnixMilli(b.booted))))
	info.num("startAcceptSendRequestTimeStamp", 0)
	info.num("totalMemKBytes", memory()>>10)
	b.putInfo(info)
	b.getInfo(info)
	b.storeInfo(info)
	b.waitInfo(info)
	return info
}

func (b *Broker) putInfo(i info) {
	puts, days, latency := b.store.Puts(), b.stats.Days(), b.stats.Latency()
	i.num("putMessageTimesTotal", puts.Records)
	i.num("putMessageSizeTotal", puts.Bytes)
	i.num("putMessageFailedTimes", puts.Failed)
	i.float("putMessageAverageSize", float64(puts.Bytes)/float64(max(puts.Records, 1)))
	i.num("putMessageEntireTimeMax", puts.Slowest.Milliseconds())
	i.str("putMessageDistributeTime", distribution(&latency))
	i.str("putLatency99", millis(latency.Quantile(0.99)))
	i.str("putLatency999", millis(latency.Quantile(0.999)))
	i.num("msgPutTotalYesterdayMorning", days.PutYesterday)
	i.num("msgPutTotalTodayMorning", days.PutToday)
	i.num("msgPutTotalTodayNow", days.Put)
	i.num("msgGetTotalYesterdayMorning", days.GivenYesterday)
	i.num("msgGetTotalTodayMorning", days.GivenToday)
	i.num("msgGetTotalTodayNow", days.Given)
}

func (b *Broker) getInfo(i info) {
	r := b.stats.Rates()
	given := rates(r.Given)
	i.str("putTps", rates(r.Put))
	i.str("getFoundTps", rates(r.Found))
	i.str("getMissTps", rates(r.Missed))
	i.str("getTotalTps", rates([3]float64{r.Found[0] + r.Missed[0], r.Found[1] + r.Missed[1], r.Found[2] + r.Missed[2]}))
	i.str("getTransferedTps", given)  // 4.9
	i.str("getTransferredTps", given) // 5.x
	i.num("getMessageEntireTimeMax", b.stats.SlowestGet().Milliseconds())
}

func (b *Broker) storeInfo(i info) {
	st, dir := b.store.Stats(), b.cfg.Store.Dir
	log := cmp.Or(b.cfg.Store.CommitLogDir, filepath.Join(dir, "commitlog"))
	i.num("commitLogMinOffset", st.Min)
	i.num("commitLogMaxOffset", st.End)
	i.num("earliestMessageTimeStamp", st.FirstTime)
	i.num("dispatchBehindBytes", max(st.End-st.Dispatched, 0))
	i.num("dispatchMaxBuffer", 0)
	i.num("pageCacheLockTimeMills", st.Writing.Milliseconds())
	i.num("remainTransientStoreBufferNumbs", math.MaxInt32) // there are none that could be used up, as in RocketMQ
	i.str("remainHowManyDataToFlush", size(st.Unflushed))
	i.float("commitLogDiskRatio", b.diskRatio(log))
	i.float("commitLogDiskRatio_"+log, b.diskRatio(log))
	i.float("consumeQueueDiskRatio", b.diskRatio(dir))
	if u, err := b.o.FS.Usage(dir); err == nil {
		i.str("commitLogDirCapacity", "Total : "+size(u.Total)+", Free : "+size(u.Free)+".")
	} else {
		b.log.Warn("how full the disk is can't be told", "directory", dir, "error", err)
		i.str("commitLogDirCapacity", "Total : 0 B, Free : 0 B.")
	}
	for _, lv := range b.delays.States() {
		i.str("scheduleMessageOffset_"+strconv.Itoa(lv.Level), strconv.FormatInt(lv.Next, 10)+","+strconv.FormatInt(max(lv.Max, lv.Next), 10))
	}
	r := b.stats.Rates()
	i.float("timerEnqueueTps", r.TimerIn[0])
	i.float("timerDequeueTps", r.TimerOut[0])
	var late, waiting, behind int64
	if t := b.timers; t != nil {
		late, waiting, behind = int64(t.Late()/time.Second), t.Waiting(), t.Behind()
	}
	i.num("timerReadBehind", late)
	i.num("timerCongestNum", waiting)
	i.num("timerOffsetBehind", behind)
}

// diskRatio is how full a file system is, 0 to 1; -1 when that can't be told.
func (b *Broker) diskRatio(dir string) float64 {
	u, err := b.o.FS.Usage(dir)
	if err != nil {
		return -1
	}
	return u.Ratio()
}

// waitInfo tells what waits for a worker. Sends, pulls and ends of transactions run
// on the reader of their connection and wait for none.
func (b *Broker) waitInfo(i info) {
	for _, name := range []string{"send", "pull", "litePull"} {
		i.num(name+"ThreadPoolQueueSize", 0)
		i.num(name+"ThreadPoolQueueCapacity", 0)
		i.num(name+"ThreadPoolQueueHeadWaitTimeMills", 0)
	}
	i.num("EndTransactionQueueSize", 0)
	i.num("EndTransactionThreadPoolQueueCapacity", 0)
	l := b.table().lanes
	for name, lane := range map[string]*remoting.Lane{"query": l.query, "ack": l.ack, "adminBroker": l.admin} {
		i.num(name+"ThreadPoolQueueSize", int64(lane.Waiting()))
		i.num(name+"ThreadPoolQueueCapacity", int64(lane.Depth()))
		i.num(name+"ThreadPoolQueueHeadWaitTimeMills", lane.Waited().Milliseconds())
	}
}

// info is figures by name, as text.
type info map[string]string

func (i info) str(name, v string)           { i[name] = v }
func (i info) num(name string, v int64)     { i[name] = strconv.FormatInt(v, 10) }
func (i info) float(name string, v float64) { i[name] = decimal(v) }

// decimal is v as Java writes small ones, with a decimal point.
func decimal(v float64) string {
	text := strconv.FormatFloat(v, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}

func rates(r [3]float64) string { return decimal(r[0]) + " " + decimal(r[1]) + " " + decimal(r[2]) }

func millis(d time.Duration) string {
	return strconv.FormatFloat(float64(d)/float64(time.Millisecond), 'f', 2, 64)
}

func uptime(d time.Duration) string {
	s := int64(max(d, 0) / time.Second)
	return fmt.Sprintf("[ %d days, %d hours, %d minutes, %d seconds ]", s/86400, s/3600%24, s/60%60, s%60)
}

// size is a number of bytes as RocketMQ's tools write it.
func size(n int64) string {
	if n < 1024 {
		return strconv.FormatInt(n, 10) + " B"
	}
	v, unit := float64(n), -1
	for v >= 1024 && unit < 5 {
		v, unit = v/1024, unit+1
	}
	return strconv.FormatFloat(v, 'f', 1, 64) + " " + "KMGTPE"[unit:unit+1] + "iB"
}

// distributed are RocketMQ's buckets of how long a put takes: those below a bound, in
// milliseconds, and not below the one before.
var distributed = []struct {
	name  string
	below int64
}{
	{"[<=0ms]", 1}, {"[0~10ms]", 10}, {"[10~50ms]", 50}, {"[50~100ms]", 100}, {"[100~200ms]", 200}, {"[200~500ms]", 500},
	{"[500ms~1s]", 1000}, {"[1~2s]", 2000}, {"[2~3s]", 3000}, {"[3~4s]", 4000}, {"[4~5s]", 5000}, {"[5~10s]", 10_000}, {"[10s~]", math.MaxInt64 / int64(time.Millisecond)},
}

func distribution(h *stats.Histogram) string {
	var text strings.Builder
	from := time.Duration(0)
	for _, d := range distributed {
		to := time.Duration(d.below) * time.Millisecond
		fmt.Fprintf(&text, "%s:%d ", d.name, h.Between(from, to))
		from = to
	}
	return text.String()
}
