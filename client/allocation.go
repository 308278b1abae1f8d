// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"fmt"
	"slices"
	"strings"

	"github.com/twostage/twostage/internal/allocate"
)

// Strategy works out which queues of a topic are self's: each member of a group
// does it for itself, so all must have the same strategy. queues are sorted by
// broker and id, members, client ids, by name; neither may be changed. It must not
// keep anything and may be called from several goroutines.
type Strategy func(queues []Queue, members []string, self string) []Queue

// Averagely gives each member a run of neighbouring queues (RocketMQ's AVG, the
// default of all its clients).
func Averagely(queues []Queue, members []string, self string) []Queue {
	return allocate.Averagely(queues, slices.Index(members, self), len(members))
}

// ByCircle deals the queues out one by one (AVG_BY_CIRCLE), so that each member has
// some of every broker.
func ByCircle(queues []Queue, members []string, self string) []Queue {
	return allocate.ByCircle(queues, slices.Index(members, self), len(members))
}

// ConsistentHash moves few queues when a member comes or goes (CONSISTENT_HASH).
// places is how often each member stands on the ring; RocketMQ's default is 10, and
// less than 1 counts as 1.
func ConsistentHash(places int) Strategy {
	return func(queues []Queue, members []string, self string) []Queue {
		return allocate.ConsistentHash(queues, javaName, members, self, max(places, 1))
	}
}

// javaName is how RocketMQ's Java client prints a queue, which it hashes.
func javaName(q Queue) string {
	return fmt.Sprintf("MessageQueue [topic=%s, brokerName=%s, queueId=%d]", q.Topic, q.Broker, q.ID)
}

// ByConfig gives the member the queues that it names, of those that there are,
// whoever else may have them (CONFIG).
func ByConfig(mine ...Queue) Strategy {
	mine = slices.Clone(mine)
	return func(queues []Queue, _ []string, _ string) (share []Queue) {
		for _, q := range queues {
			if slices.Contains(mine, q) {
				share = append(share, q)
			}
		}
		return share
	}
}

// ByMachineRoom shares the queues of the brokers in some machine rooms out, those
// named room@name (MACHINE_ROOM). Nobody of this strategy has the others.
func ByMachineRoom(rooms ...string) Strategy {
	rooms = slices.Clone(rooms)
	return func(queues []Queue, members []string, self string) []Queue {
		var in []Queue
		for _, q := range queues {
			room, name, named := strings.Cut(q.Broker, "@")
			if named && name != "" && !strings.Contains(name, "@") && slices.Contains(rooms, room) {
				in = append(in, q)
			}
		}
		return allocate.EndToLast(in, slices.Index(members, self), len(members))
	}
}

// NearestMachineRoom has the queues of a machine room shared by the members that
// are in it, by another strategy, and those of a room without members by all
// (MACHINE_ROOM_NEARBY). The functions tell the room of a broker and of a member by
// its client id.
func NearestMachineRoom(share Strategy, brokerRoom, memberRoom func(name string) string) Strategy {
	return func(queues []Queue, members []string, self string) []Queue {
		return allocate.Nearest(queues, members, self, allocate.Share[Queue](share), func(q Queue) string { return brokerRoom(q.Broker) }, memberRoom)
	}
}
