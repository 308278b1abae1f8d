// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"strconv"
	"strings"

	"github.com/twostage/twostage/internal/promtext"
	"github.com/twostage/twostage/internal/wire"
)

// runtimeGauges are the names rocketmq_brokeruntime_ of the exporter: what of which
// key of GET_BROKER_RUNTIME_INFO they are. part is the bucket of a distribution, or the
// number of a word.
//
// Source: BrokerRuntimeStats and RMQMetricsCollector of rocketmq-exporter.
var runtimeGauges = []struct{ name, key, part string }{
	{"pmdt_0ms", "putMessageDistributeTime", "<=0ms"},
	{"pmdt_0to10ms", "putMessageDistributeTime", "0~10ms"},
	{"pmdt_10to50ms", "putMessageDistributeTime", "10~50ms"},
	{"pmdt_50to100ms", "putMessageDistributeTime", "50~100ms"},
	{"pmdt_100to200ms", "putMessageDistributeTime", "100~200ms"},
	{"pmdt_200to500ms", "putMessageDistributeTime", "200~500ms"},
	{"pmdt_500to1s", "putMessageDistributeTime", "500ms~1s"},
	{"pmdt_1to2s", "putMessageDistributeTime", "1~2s"},
	{"pmdt_2to3s", "putMessageDistributeTime", "2~3s"},
	{"pmdt_3to4s", "putMessageDistributeTime", "3~4s"},
	{"pmdt_4to5s", "putMessageDistributeTime", "4~5s"},
	{"pmdt_5to10s", "putMessageDistributeTime", "5~10s"},
	{"pmdt_10stomore", "putMessageDistributeTime", "10s~"},
	{"msg_put_total_today_now", "msgPutTotalTodayNow", ""},
	{"msg_gettotal_today_now", "msgGetTotalTodayNow", ""},
	{"dispatch_behind_bytes", "dispatchBehindBytes", ""},
	{"put_message_size_total", "putMessageSizeTotal", ""},
	{"put_message_average_size", "putMessageAverageSize", ""},
	{"query_threadpool_queue_capacity", "queryThreadPoolQueueCapacity", ""},
	{"remain_transientstore_buffer_numbs", "remainTransientStoreBufferNumbs", ""},
	{"earliest_message_timestamp", "earliestMessageTimeStamp", ""},
	{"putmessage_entire_time_max", "putMessageEntireTimeMax", ""},
	{"start_accept_sendrequest_time", "startAcceptSendRequestTimeStamp", ""},
	{"send_threadpool_queue_size", "sendThreadPoolQueueSize", ""},
	{"putmessage_times_total", "putMessageTimesTotal", ""},
	{"getmessage_entire_time_max", "getMessageEntireTimeMax", ""},
	{"pagecache_lock_time_mills", "pageCacheLockTimeMills", ""},
	{"commitlog_disk_ratio", "commitLogDiskRatio", ""},
	{"consumequeue_disk_ratio", "consumeQueueDiskRatio", ""},
	{"getfound_tps600", "getFoundTps", "2"},
	{"getfound_tps60", "getFoundTps", "1"},
	{"getfound_tps10", "getFoundTps", "0"},
	{"gettotal_tps600", "getTotalTps", "2"},
	{"gettotal_tps60", "getTotalTps", "1"},
	{"gettotal_tps10", "getTotalTps", "0"},
	{"gettransfered_tps600", "getTransferedTps", "2"},
	{"gettransfered_tps60", "getTransferedTps", "1"},
	{"gettransfered_tps10", "getTransferedTps", "0"},
	{"getmiss_tps600", "getMissTps", "2"},
	{"getmiss_tps60", "getMissTps", "1"},
	{"getmiss_tps10", "getMissTps", "0"},
	{"put_tps600", "putTps", "2"},
	{"put_tps60", "putTps", "1"},
	{"put_tps10", "putTps", "0"},
	{"dispatch_maxbuffer", "dispatchMaxBuffer", ""},
	{"pull_threadpoolqueue_capacity", "pullThreadPoolQueueCapacity", ""},
	{"send_threadpoolqueue_capacity", "sendThreadPoolQueueCapacity", ""},
	{"pull_threadpoolqueue_size", "pullThreadPoolQueueSize", ""},
	{"query_threadpoolqueue_size", "queryThreadPoolQueueSize", ""},
	{"pull_threadpoolqueue_headwait_timemills", "pullThreadPoolQueueHeadWaitTimeMills", ""},
	{"query_threadpoolqueue_headwait_timemills", "queryThreadPoolQueueHeadWaitTimeMills", ""},
	{"send_threadpoolqueue_headwait_timemills", "sendThreadPoolQueueHeadWaitTimeMills", ""},
	{"msg_gettotal_yesterdaymorning", "msgGetTotalYesterdayMorning", ""},
	{"msg_puttotal_yesterdaymorning", "msgPutTotalYesterdayMorning", ""},
	{"msg_gettotal_todaymorning", "msgGetTotalTodayMorning", ""},
	{"msg_puttotal_todaymorning", "msgPutTotalTodayMorning", ""},
	{"commitlogdir_capacity_free", "commitLogDirCapacity", "Free"},
	{"commitlogdir_capacity_total", "commitLogDirCapacity", "Total"},
	{"commitlog_maxoffset", "commitLogMaxOffset", ""},
	{"commitlog_minoffset", "commitLogMinOffset", ""},
	{"remain_howmanydata_toflush", "remainHowManyDataToFlush", "0"},
	{"put_latency_99", "putLatency99", ""},
	{"put_latency_999", "putLatency999", ""},
}

// exportRuntime is the broker's own figures. What the broker does not tell is left out.
func (s *scrape) exportRuntime() {
	info := s.b.runtimeInfo()
	var labels []byte
	for _, l := range [][2]string{
		{"cluster", s.b.cfg.Identity.Cluster}, {"brokerIP", s.b.Advertised()}, {"brokerHost", ""}, {"des", info["brokerVersionDesc"]},
		{"boottime", info["bootTimestamp"]}, {"broker_version", strconv.Itoa(int(wire.Version))},
	} {
		labels = promtext.AppendLabel(labels, l[0], l[1])
	}
	for _, g := range runtimeGauges {
		if v, ok := runtimeFigure(info[g.key], g.part); ok {
			s.w.Begin(exported("brokeruntime_"+g.name, g.key+" of the runtime information."))
			s.w.Sample(labels, v)
		}
	}
}

// runtimeFigure reads a number out of a text of GET_BROKER_RUNTIME_INFO:
//
//	12.5                                       part ""
//	0.1 0.2 0.3                                part 0, 1, 2
//	[<=0ms]:5 [0~10ms]:7                       part 0~10ms
//	Total : 50.0 GiB, Free : 20.1 GiB.         part Total, Free; in bytes
func runtimeFigure(text, part string) (float64, bool) {
	words := strings.Fields(text)
	if n, err := strconv.Atoi(part); err == nil || part == "" {
		if n >= len(words) {
			return 0, false
		}
		v, err := strconv.ParseFloat(words[n], 64)
		return v, err == nil
	}
	for i, w := range words {
		if number, ok := strings.CutPrefix(w, "["+part+"]:"); ok {
			v, err := strconv.ParseFloat(number, 64)
			return v, err == nil
		}
		if w == part && i+3 < len(words) {
			v, err := strconv.ParseFloat(words[i+2], 64)
			return v * byteUnit(words[i+3]), err == nil
		}
	}
	return 0, false
}

// byteUnit is how many bytes a unit such as GiB has; text may follow it.
func byteUnit(unit string) float64 {
	v := 1.0
	if i := strings.IndexByte("KMGTPE", unit[0]); i >= 0 {
		for range i + 1 {
			v *= 1024
		}
	}
	return v
}
