// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"path/filepath"
	"time"

	"github.com/twostage/twostage/internal/broker/delay"
	"github.com/twostage/twostage/internal/broker/group"
	"github.com/twostage/twostage/internal/broker/inflow"
	"github.com/twostage/twostage/internal/broker/offset"
	"github.com/twostage/twostage/internal/broker/topic"
	"github.com/twostage/twostage/internal/broker/txn"
	"github.com/twostage/twostage/internal/config"
	"github.com/twostage/twostage/internal/session"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

// configDir holds RocketMQ's JSON files.
func (b *Broker) configDir() string { return filepath.Join(b.cfg.Store.Dir, "config") }

// readChecks are the values of checkCRCOnRead.
var readChecks = map[string]store.ReadCheck{"NONE": store.CheckNone, "COLD": store.CheckCold, "ALL": store.CheckAll}

func (b *Broker) openStore() error {
	c := b.cfg
	levels := make([]int64, len(c.Delays.Levels))
	for i, d := range c.Delays.Levels {
		levels[i] = d.Milliseconds()
	}
	s, err := store.Open(store.Config{
		Dir: c.Store.Dir, CommitLog: c.Store.CommitLogDir, FS: b.o.FS, NowMillis: b.o.NowMillis,
		CommitLogFileSize: c.Store.CommitLogFileSize, ConsumeQueueFileSize: c.Store.ConsumeQueueFileSize,
		IndexSlots: c.Store.IndexSlots, IndexEntries: c.Store.IndexEntries, MaxMessageSize: c.Store.MaxMessageSize,
		SyncFlush: c.Flush.Policy == config.SyncFlush,
		// Zero means at once in RocketMQ, the default in store.Config.
		FlushInterval: c.Flush.CommitLogInterval, FlushLeastPages: max(c.Flush.CommitLogLeastPages, 1),
		FlushThoroughInterval: max(c.Flush.CommitLogThoroughInterval, time.Millisecond),
		ViewFlushInterval:     max(c.Flush.ConsumeQueueInterval, time.Second),
		DelayLevels:           levels,
		ColdDistance:          max(memory()*int64(c.Pull.MemoryPercent)/100, 1),
		ColdBytes:             c.Pull.MaxBytesOnDisk, ColdCount: c.Pull.MaxCountOnDisk,
		PropertyCRC: c.Store.PropertyCRC, CheckReads: readChecks[c.Store.CheckReads],
		Retention: b.retentionPolicy(), RetentionInterval: c.Retention.Interval, BeforeDelete: b.beforeDelete,
		Logger:   b.log,
		OnArrive: b.arrived,
		OnReplay: b.replayed,
	})
	if err != nil {
		return err
	}
	b.store = s
	b.group.Defer("store", s.Close)
	return nil
}

// arrived is told of each new queue entry, by the store.
func (b *Broker) arrived(q *store.Queue, at, tagsCode, storeTimestamp int64, props []byte) {
	b.holds.Arrive(q, at, tagsCode, props)
	b.popHeld.Arrive(q.Topic(), q.ID(), at, tagsCode, props)
	b.noted.Arrive(q.Topic(), q.ID(), at, tagsCode, props)
	if b.opened.Load() {
		b.delays.Arrived(q, at, tagsCode, storeTimestamp, props)
		if b.timers != nil {
			b.timers.Arrived(q, at, tagsCode, storeTimestamp, props)
		}
		b.pops.Arrived(q, at, props)
	}
}

func (b *Broker) openTables() error {
	dir, now := b.configDir(), b.o.NowMillis
	if err := vfs.MkdirAllSync(b.o.FS, dir); err != nil {
		return err
	}
	c := b.cfg
	var err error
	system := topic.System{
		Cluster: c.Identity.Cluster, Broker: c.Identity.Name, AutoCreate: c.Topics.AutoCreate,
		DefaultQueues: int32(c.Topics.DefaultQueues), ClusterTopic: c.Topics.Cluster, BrokerTopic: c.Topics.Broker, Timers: c.Timers.Enable,
	}
	if c.Trace.TopicEnable {
		system.TraceTopic = c.Trace.Topic
	}
	b.naming = newNaming(b)
	b.spread = newSpread(b)
	if b.topics, err = topic.Open(topic.Config{FS: b.o.FS, Dir: dir, Now: now, Logger: b.log, System: system,
		OnChange: func([]string) { b.naming.changed() }}); err != nil {
		return err
	}
	if b.groups, err = group.Open(group.Config{FS: b.o.FS, Dir: dir, Now: now, Logger: b.log, AutoCreate: c.Groups.AutoCreate}); err != nil {
		return err
	}
	if b.offsets, err = offset.Open(offset.Config{FS: b.o.FS, Dir: dir, Logger: b.log}); err != nil {
		return err
	}
	b.group.Defer("offsets", b.offsets.Flush)
	return nil
}

func (b *Broker) openServices() error {
	c := b.cfg
	b.session = session.New(session.Config{OnChange: b.notify, Expiry: c.Groups.ClientExpiry, Logger: b.log})
	err := b.openAssignments()
	if err != nil {
		return err
	}
	if b.delays, err = delay.Open(delay.Config{
		Log: b.store, FS: b.o.FS, Path: filepath.Join(b.configDir(), "delayOffset.json"),
		Levels: c.Delays.Levels, FlushInterval: c.Delays.OffsetFlushInterval, NowMillis: b.o.NowMillis, Logger: b.log,
		TopicExists: func(name string) bool { _, ok := b.topics.Get(name); return ok },
		Delivered:   b.countedAs(inflow.Delay),
	}); err != nil {
		return err
	}
	b.group.Defer("delayed delivery", b.delays.Close)
	if err = b.openTimers(); err != nil {
		return err
	}
	var deciders func(group, topic string) (txn.Producer, bool)
	if b.access.Enabled() {
		deciders = b.decider
	}
	if b.txn, err = txn.Open(txn.Config{
		Log: b.store, Offsets: b.offsets, Delays: taken{b.waits()}, Producers: b.producer, Deciders: deciders,
		Topic: func(name string) error {
			_, err := b.topics.Ensure(name, 1, topic.PermRead|topic.PermWrite, 0)
			return err
		},
		FS: b.o.FS, Dir: c.Store.Dir, NowMillis: b.o.NowMillis, Now: time.Now, Logger: b.log, Came: b.countedAs(inflow.Transaction),
		Host: b.advertised, Sync: c.Transactions.Flush == config.SyncFlush || c.Flush.Policy == config.SyncFlush,
		Timeout: c.Transactions.Timeout, Checks: c.Transactions.MaxChecks, Interval: c.Transactions.CheckInterval,
		MaxAge: c.Transactions.MaxAge, Rate: c.Transactions.CheckRate,
	}); err != nil {
		return err
	}
	b.group.Defer("transactions", b.txn.Close)
	if err = b.txn.Repair(b.replay); err == nil {
		b.store.ReplayDone()
	}
	b.replay = nil
	if err != nil {
		return err
	}
	return b.openPops()
}

// replayed is told of each record that the recovery of the store reads.
func (b *Broker) replayed(rec *message.Record) {
	if r, ok := txn.Outcomes(rec); ok {
		b.replay = append(b.replay, r)
	}
}

// producer is a live connection of a producer group.
func (b *Broker) producer(group string) (txn.Producer, bool) {
	c, ok := b.session.PickProducer(group, nil)
	return c, ok
}

// decider is a live connection of a producer group whose owner may decide about
// messages to the topic.
func (b *Broker) decider(group, topic string) (txn.Producer, bool) {
	name := []byte(topic)
	c, ok := b.session.PickProducer(group, func(c *session.Client) bool {
		return b.access.MayBeAsked(c.AccessKey, c.Conn.RemoteAddr().Addr(), name)
	})
	return c, ok
}
