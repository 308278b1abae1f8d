// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package handler

import (
	"maps"
	"slices"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/wire"
)

// maxRounds is how many rounds of deleting one request is worth, as in RocketMQ.
const maxRounds = 20

// CleanQueues serves CLEAN_EXPIRED_CONSUMEQUEUE. The store keeps its queues to what
// the log has by itself; here what was left after an error is tried again at once. No
// log file goes.
func (a *Admin) CleanQueues(r *remoting.Request) {
	if err := a.Queues.Follow(); err != nil {
		fail(r, wire.SystemError, "not everything is deleted: %s", err)
		return
	}
	r.Reply(&wire.Response{Code: wire.Success})
}

// DeleteLog serves DELETE_EXPIRED_COMMITLOG: log files older than fileReservedTime go,
// whatever deleteWhen says, and no others, however full the disk is. It is answered when they are gone.
func (a *Admin) DeleteLog(r *remoting.Request) {
	for range maxRounds {
		gone, err := a.Queues.Retain(true)
		if err != nil {
			fail(r, wire.SystemError, "not everything is deleted: %s", err)
			return
		}
		if gone.Files == 0 {
			break
		}
	}
	r.Reply(&wire.Response{Code: wire.Success})
}

// CleanTopics serves CLEAN_UNUSED_TOPIC: the queues of topics that are not there any
// more go, as after a deletion that stopped halfway.
func (a *Admin) CleanTopics(r *remoting.Request) {
	a.deleting.Lock()
	defer a.deleting.Unlock()
	defer a.Deleted()
	topics := map[string]bool{}
	a.Queues.RangeQueues(func(q *store.Queue) bool {
		topics[q.Topic()] = true
		return true
	})
	for _, name := range slices.Sorted(maps.Keys(topics)) {
		if err := a.Topics.Without(name, func() error { return a.Queues.DeleteTopic(name) }); err != nil {
			fail(r, wire.SystemError, "the queues of topic %s are not deleted: %s", name, err)
			return
		}
	}
	r.Reply(&wire.Response{Code: wire.Success})
}
