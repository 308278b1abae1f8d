// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"github.com/twostage/twostage/internal/broker/handler"
	"github.com/twostage/twostage/internal/broker/topic"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
)

// handlers serve the requests of the table.
type handlers struct {
	send        *handler.Send
	pull        *handler.Pull
	offsets     *handler.Offset
	query       *handler.Query
	client      *handler.Client
	back        *handler.SendBack
	locks       *handler.Lock
	recall      *handler.Recall
	end         *handler.Transaction
	inspect     *handler.Inspect
	admin       *handler.Admin
	reset       *handler.Reset
	clone       *handler.Clone
	consumption *handler.Consumption
	relay       *handler.Relay
	progress    *handler.Progress
	reply       *handler.Reply
	notify      *handler.Notify
	pops        *handler.Pop
	share       *handler.Assign
	config      *handler.Config
	stats       *handler.Stats
}

func (b *Broker) handlers() handlers {
	var h handlers
	c := b.cfg
	settings := b.live.Now
	writable := func() bool { return settings().Identity.Permission&int(topic.PermWrite) != 0 }
	readable := func() bool { return settings().Identity.Permission&int(topic.PermRead) != 0 }
	groups := &handler.GroupMaker{Groups: b.groups, Quota: b.newGroups}
	h.send = &handler.Send{
		Log: b.store, Topics: b.topics, Groups: groups, Halves: b.txn, Delays: b.waits(), Stats: b.stats, Inflow: b.inflow,
		Host: b.advertised, Cluster: c.Identity.Cluster, Broker: c.Identity.Name, Every: everyAnswer(settings),
		Settings: settings, Writable: writable, Created: b.spread.add, NewTopics: b.newTopics, Ordered: b.locks.Held,
		Tracer: b.o.Tracer,
	}
	filters := handler.NewFilters(c.Pull.PropertyFilter)
	h.pull = &handler.Pull{
		Log: b.store, Topics: b.topics, Groups: groups, Subs: b.session, Holder: b.holds, Offsets: b.offsets, Resets: b.offsets, Stats: b.stats, Filters: filters,
		Readable: readable, Settings: settings,
		Tracer: b.o.Tracer,
	}
	h.offsets = &handler.Offset{Log: b.store, Topics: b.topics, Offsets: b.offsets, Groups: b.groups, NewGroups: b.newGroups}
	var mayRead handler.MayRead
	var mayDecide func(*remoting.Request, []byte) bool
	var sender func(*remoting.Request) string
	if b.access.Enabled() {
		mayRead, mayDecide, sender = b.access.MayRead, b.access.MayDecide, b.access.Sender
	}
	h.query = &handler.Query{Log: b.store, MayRead: mayRead, Settings: settings}
	h.client = &handler.Client{Sessions: b.session, Groups: groups, Topics: b.topics, Published: b.naming.announce, Filters: filters, Settings: settings, ProducerOnline: b.txn.Online, Sender: sender}
	h.back = &handler.SendBack{MayRead: mayRead, Log: b.store, Topics: b.topics, Groups: groups, Delays: b.waits(), Stats: b.stats, Inflow: b.inflow, Writable: writable, Host: b.advertised, Settings: settings}
	if b.timers != nil {
		h.back.MaxWait = c.Timers.MaxDelay
	}
	h.locks = &handler.Lock{Locks: b.locks, Broker: c.Identity.Name}
	h.recall = &handler.Recall{
		Log: b.store, Topics: b.topics, Delays: b.waits(), Settings: settings, Writable: writable,
		Broker: c.Identity.Name, Region: c.Identity.Region, Host: b.advertised, MaxDelay: c.Timers.MaxDelay.Milliseconds(), Now: b.o.NowMillis,
	}
	h.end = &handler.Transaction{Decisions: b.txn, Log: b.store, Tracer: b.o.Tracer, MayDecide: mayDecide}
	h.inspect = &handler.Inspect{Transactions: b.txn, Broker: c.Identity.Name}
	h.admin = &handler.Admin{Topics: b.topics, Groups: b.groups, Offsets: b.offsets, Queues: b.store, Published: b.naming.publish, Settle: b.settle,
		Pops: b.pops, Stats: b.stats, Deleted: b.letGoDeleted, NewTopics: b.newTopics, NewGroups: b.newGroups}

	h.reset = &handler.Reset{Log: b.store, Topics: b.topics, Groups: b.groups, Online: b.session, Offsets: b.offsets, Pops: b.pops, LetGo: b.letGo,
		Settings: settings, Broker: c.Identity.Name, Logger: b.log}
	h.consumption = &handler.Consumption{Log: b.store, Topics: b.topics, Subs: b.session, Offsets: b.offsets, NowMillis: b.o.NowMillis,
		Broker: c.Identity.Name, Address: b.Advertised()}
	h.clone = &handler.Clone{Log: b.store, Topics: b.topics, Subs: b.session, Offsets: b.offsets, Pops: b.pops}
	h.relay = &handler.Relay{MayRead: mayRead, Members: b.session, Log: b.store, Topics: b.topics, Groups: b.groups, Broker: c.Identity.Name}
	h.progress = &handler.Progress{Log: b.store, Topics: b.topics, Groups: b.groups, Subs: b.session, Offsets: b.offsets, PerSecond: b.stats.GroupPerSecond,
		Broker: c.Identity.Name, Addr: b.Advertised()}
	h.stats = &handler.Stats{Log: b.store, Topics: b.topics, Counters: b.stats, Offsets: b.offsets, Runtime: b.runtimeInfo, Broker: c.Identity.Name, NowMillis: b.o.NowMillis}
	h.reply = &handler.Reply{Send: h.send, Requesters: b.session, NowMillis: b.o.NowMillis, Logger: b.log}

	h.notify = &handler.Notify{Topics: b.topics, Groups: groups, Ready: b.pops, Waiter: b.noted, Held: b.popHeld.Held, Readable: readable}
	h.pops = &handler.Pop{
		Pops: b.pops, Topics: b.topics, Groups: groups, Queues: b.store, Filters: filters, Waiter: b.popHeld, Freed: b.freed, Stats: b.stats,
		Readable: readable, NowMillis: b.o.NowMillis, Tracer: b.o.Tracer,
	}
	h.config = handler.NewConfig(b.live, b.o.NowMillis, b.log)
	h.share = &handler.Assign{Assignments: b.assign, Topics: b.topics, Groups: groups}
	return h
}

// everyAnswer gives the fields of every answer to a send, which are written once for
// traceOn and once without.
func everyAnswer(settings handler.Settings) func() *wire.ExtConst {
	region := settings().Identity.Region
	traced, untraced := header.EveryAnswer(region, true), header.EveryAnswer(region, false)
	return func() *wire.ExtConst {
		if settings().Trace.On {
			return traced
		}
		return untraced
	}
}

// settle has delayed delivery note how far it is, and revivals of what was deleted
// come to their end.
func (b *Broker) settle() {
	b.pops.Settle()
	if err := b.delays.Persist(); err != nil {
		b.log.Error("the offsets of delayed delivery can't be written", "error", err)
	}
}
