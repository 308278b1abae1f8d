// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"github.com/prometheus/client_golang/prometheus"
)

// Metrics is the broker's figures that there are few of, read when they are asked
// for. AppendMetrics has the others.
func (b *Broker) Metrics() prometheus.Collector { return &collector{b} }

type collector struct{ b *Broker }

var nodeLabels = []string{"cluster", "node_type", "node_id"}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("rocketmq_"+name, help, append(append([]string(nil), nodeLabels...), labels...), nil)
}

var (
	descPermission = desc("broker_permission", "Permission of the broker: 4 read, 2 write.")
	descTopics     = desc("topic_number", "Topics.")
	descGroups     = desc("consumer_group_number", "Consumer groups.")
	descDiscard    = desc("discarded_transactions_total", "Transactions discarded since the start: nobody decided.")
	descRefused    = desc("refused_outcomes_total", "Decisions refused since the start: another outcome than the first, or not the half message's own.")
	descChecks     = desc("transaction_checks_total", "Checks written to connections of producers since the start.")
	descWaiting    = desc("transactions_waiting", "Undecided transactions that are due for a check, by what they wait for: a producer of their group, or their group's turn.", "for")
	descStoryLost  = desc("transaction_story_lost_total", "Events of the story of transactions that the disk did not take in time.")
	descDamage     = desc("storage_damaged_bytes", "Bytes of the commit log that the last start found damaged.")
	descDamaged    = desc("storage_damaged_reads_total", "Records that were found damaged when they were read, and skipped, since the start.")
	descDisk       = desc("storage_disk_used", "How full the disk of the store is, 0 to 1, as retention sees it; -1 when that is not known.")
	descRefusing   = desc("storage_refusing", "1 while messages are refused, by what for: an I/O error, no space for a file, or the disk counts as full.", "because")
	descDeleted    = desc("storage_deleted_files_total", "Commit log files that retention has deleted since the start.")
	descUnexpired  = desc("storage_deleted_unexpired_files_total", "Of them, those that fileReservedTime would have kept: the disk was too full.")
	descUnconsumed = desc("storage_deleted_unconsumed_messages_total", "Messages in those that a group had not consumed, for each group, since the start.")
	descPopHeld    = desc("held_pops", "Pops and notifications that wait for a message.", "kind")
	descHeld       = desc("held_pulls", "Pulls that wait for a message.")
	descTimerGone  = desc("timer_recalled_total", "Messages that were taken back before their time since the start.")
	descTimerBad   = desc("timer_skipped_total", "Messages with a time of delivery that could not be delivered since the start: damaged, lost, or without a possible target.")
	descReadOnly   = desc("storage_read_only", "1 after an I/O error: no message is stored any more.")
)

// Describe is part of prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect is part of prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	b := c.b
	node := []string{b.cfg.Identity.Cluster, "broker", b.cfg.Identity.Name}
	emit := func(d *prometheus.Desc, t prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, t, v, append(append([]string(nil), node...), labels...)...)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) { emit(d, prometheus.GaugeValue, v, labels...) }
	total := func(d *prometheus.Desc, v float64, labels ...string) {
		emit(d, prometheus.CounterValue, v, labels...)
	}
	gauge(descPermission, float64(b.live.Now().Identity.Permission))
	if !b.opened.Load() {
		return
	}
	gauge(descTopics, float64(b.topics.Len()))
	gauge(descGroups, float64(b.groups.Len()))
	gauge(descHeld, float64(b.holds.Len()))
	if t := b.timers; t != nil {
		total(descTimerGone, float64(t.Recalled()))
		total(descTimerBad, float64(t.Skipped()))
	}
	gauge(descPopHeld, float64(b.popHeld.Len()), "pop")
	gauge(descPopHeld, float64(b.noted.Len()), "notification")

	tx := b.txn.Stats()
	total(descDiscard, float64(tx.Discarded))
	total(descRefused, float64(tx.Refused))
	total(descChecks, float64(tx.Checks))
	gauge(descWaiting, float64(tx.NoProducer), "producer")
	gauge(descWaiting, float64(tx.Paced), "turn")
	total(descStoryLost, float64(tx.StoryLost))

	st := b.store.Stats()
	gauge(descDamage, float64(st.DamagedBytes))
	is := func(err error) float64 {
		if err != nil {
			return 1
		}
		return 0
	}
	gauge(descReadOnly, is(b.store.ReadOnly()))
	gauge(descRefusing, is(b.store.ReadOnly()), "error")
	gauge(descRefusing, is(b.store.NoSpace()), "space")
	gauge(descRefusing, is(b.store.DiskFull()), "full")
	gauge(descDisk, st.DiskUsed)
	total(descDamaged, float64(st.DamagedReads))
	total(descDeleted, float64(st.DeletedFiles))
	total(descUnexpired, float64(st.DeletedUnexpired))
	total(descUnconsumed, float64(b.unconsumed.Load()))
}
