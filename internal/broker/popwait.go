// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"runtime"

	"github.com/twostage/twostage/internal/broker/popwait"
	"github.com/twostage/twostage/internal/config"
	"github.com/twostage/twostage/internal/lifecycle"
	"github.com/twostage/twostage/internal/store"
)

func waitLimits(c config.PopWait) popwait.Limits {
	return popwait.Limits{Waits: c.MaxWaits, Keys: c.MaxKeys, OneKey: c.MaxPerKey, Every: c.ForceEvery}
}

// runWaits runs the hubs of what waits for messages. Parts stop in reverse order:
// the hubs before who answers what they let go.
func (b *Broker) runWaits(g *lifecycle.Group) {
	for range max(runtime.GOMAXPROCS(0), 2) {
		g.Go("answers to held pulls", b.holds.Serve)
		g.Go("answers to held pops", b.popHeld.Serve)
	}
	g.Go("answers to notifications", b.noted.Serve)
	g.Go("held pulls", b.holds.Run)
	g.Go("held pops", b.popHeld.Run)
	g.Go("held notifications", b.noted.Run)
}

// freed wakes who waits for what a group may have again at a topic, though no
// message came: an orderly queue that is free, or more than a pop could take.
func (b *Broker) freed(group, topic string, queue int32) {
	b.popHeld.Notify(group, topic, queue)
	b.noted.Notify(group, topic, queue)
}

// letGo lets go who waits at queues of a topic: the offsets of a group were set.
// Pops and notifications of other groups, and for other queues, look in vain.
func (b *Broker) letGo(topic string, queues map[int32]int64) {
	b.holds.LetGo(func(q *store.Queue) bool {
		_, ok := queues[q.ID()]
		return ok && q.Topic() == topic
	})
	at := func(_, name string) bool { return name == topic }
	b.popHeld.LetGo(at)
	b.noted.LetGo(at)
}

// letGoDeleted answers who waits at queues that are gone, or for a group that is.
func (b *Broker) letGoDeleted() {
	b.holds.LetGo((*store.Queue).Deleted)
	gone := func(group, topic string) bool {
		_, there := b.topics.Get(topic)
		_, known := b.groups.Get(group)
		return !there || !known
	}
	b.popHeld.LetGo(gone)
	b.noted.LetGo(gone)
}
