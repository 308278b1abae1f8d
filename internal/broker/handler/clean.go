// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package handler

import (
	"maps"
	"slices"
	"strings"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/message"
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

// CleanTopics serves CLEAN_UNUSED_TOPIC: queues of topics that are not there any more
// go, with the offsets in them and what is popped of them, as after a deletion that
// stopped halfway; also offsets that are all that is left.
func (a *Admin) CleanTopics(r *remoting.Request) {
	a.deleting.Lock()
	defer a.deleting.Unlock()
	defer a.Deleted()
	a.Settle()
	topics := a.queued()
	a.Offsets.Range(func(_, topic string, _ map[int32]int64) {
		if !strings.HasPrefix(topic, message.RetryPrefix) { // whose offsets go with their queues only
			topics[topic] = true
		}
	})
	for _, name := range slices.Sorted(maps.Keys(topics)) {
		if a.unlisted(name) {
			continue
		}
		if err := a.Topics.Without(name, func() error { return a.erase(name) }); err != nil {
			fail(r, wire.SystemError, "what is left of topic %s is not deleted: %s", name, err)
			return
		}
	}
	r.Reply(&wire.Response{Code: wire.Success})
}

// unlisted tells whether a topic may be in use though it is not in the table: a light
// message queue, and the retry topic of a group that is there, or of one and a topic
// that are, whatever the name is taken to mean.
func (a *Admin) unlisted(topic string) bool {
	if strings.HasPrefix(topic, message.LightPrefix) {
		return true
	}
	rest, retry := strings.CutPrefix(topic, message.RetryPrefix)
	if !retry {
		return false
	}
	if _, there := a.Groups.Get(rest); there {
		return true
	}
	for i := range len(rest) {
		if rest[i] != '_' && rest[i] != '+' {
			continue
		}
		_, group := a.Groups.Get(rest[:i])
		_, of := a.Topics.Get(rest[i+1:])
		if group && of {
			return true
		}
	}
	return false
}
