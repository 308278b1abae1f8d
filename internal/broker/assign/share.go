// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package assign

import (
	"cmp"
	"slices"

	"github.com/twostage/twostage/internal/allocate"
	"github.com/twostage/twostage/internal/wire/body"
)

// A strategy gives the share of the client with an index among n of the queues,
// which are sorted.
type strategy func(queues []body.MessageQueue, index, n int) []body.MessageQueue

// strategies are those of 5.3.3's broker, by the names that clients send.
var strategies = map[string]strategy{"AVG": allocate.Averagely[body.MessageQueue], "AVG_BY_CIRCLE": allocate.ByCircle[body.MessageQueue]}

// popShare is the share of a client that pops. With shared neighbours or none it
// is every queue of every broker, named by the queue -1; otherwise its own share
// and that of the next clients. Where there are more clients than queues each
// still gets one.
func popShare(s strategy, queues []body.MessageQueue, index, n int, shared int32) []body.MessageQueue {
	if shared <= 0 || int(shared) >= n-1 {
		var all []body.MessageQueue
		for _, q := range queues {
			all = append(all, body.MessageQueue{Topic: q.Topic, BrokerName: q.BrokerName, QueueID: -1})
		}
		return unique(all)
	}
	if index < 0 {
		return nil
	}
	if n > len(queues) {
		return []body.MessageQueue{queues[index%len(queues)]}
	}
	var share []body.MessageQueue
	for i := range int(shared) + 1 {
		share = append(share, s(queues, (index+i)%n, n)...)
	}
	return unique(share)
}

// unique sorts by broker and queue and drops what is there twice.
func unique(queues []body.MessageQueue) []body.MessageQueue {
	slices.SortFunc(queues, func(a, b body.MessageQueue) int {
		return cmp.Or(cmp.Compare(a.BrokerName, b.BrokerName), cmp.Compare(a.QueueID, b.QueueID))
	})
	return slices.Compact(queues)
}
