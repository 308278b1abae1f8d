// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"github.com/twostage/twostage/internal/broker/pop"
	"github.com/twostage/twostage/internal/config"
)

// openPops opens pop consumption, once nothing is appended to the log by the
// recovery of others any more.
func (b *Broker) openPops() error {
	c := b.cfg
	var delays pop.Delays // none: records do not wait
	if b.timers != nil {
		delays = b.waits()
	}
	var err error
	b.pops, err = pop.Open(pop.Config{
		Log: b.store, Delays: delays, Offsets: b.offsets, Topics: b.topics, Groups: b.groups,
		FS: b.o.FS, Dir: b.configDir(), Cluster: c.Identity.Cluster, Broker: c.Identity.Name, Host: b.advertised,
		ReviveQueues: c.Pop.ReviveQueues, RetryV2: c.Pop.RetryV2, RetryProbability: c.Pop.RetryProbability,
		ActualRetryTopic: c.Pop.ActualRetryTopic, MaxBytes: c.Pull.MaxBytesInMemory, Sync: c.Flush.Policy == config.SyncFlush,
		NowMillis: b.o.NowMillis, Logger: b.log, Wake: b.freed, Revived: b.stats.In, GivenUp: b.inflow.DeadLetter,
	})
	if err != nil {
		return err
	}
	b.group.Defer("pops", b.pops.Close)
	return nil
}
