// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package handler

import (
	"math"
	"slices"
	"strings"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// GroupOffsets is what comparing and cloning groups needs of the consumer offsets.
type GroupOffsets interface {
	Queues(group, topic string) map[int32]int64
	Topics(group string) []string
	Groups(topic string) []string
	Set(group, topic string, queue int32, offset int64) error
}

// Clone serves CLONE_GROUP_OFFSET and QUERY_CORRECTION_OFFSET.
type Clone struct {
	Log     QueueLog
	Topics  Topics
	Subs    Subscriptions
	Offsets GroupOffsets
	Pops    Putter
}

// Clone serves CLONE_GROUP_OFFSET: a group gets the offsets of another one, in a
// topic or in all of its topics. Topics that the source is online for without a
// subscription are left out, unless the request says offline. A reset of the
// group's offsets that its consumers do not know of yet becomes one to what is
// cloned. It is answered when the offsets are on disk.
func (c *Clone) Clone(r *remoting.Request) {
	var h header.CloneGroupOffsetRequest
	if !decode(r, &h) {
		return
	}
	if err := message.CheckGroup(h.DestGroup); err != nil {
		fail(r, wire.SystemError, "destGroup: %s", err)
		return
	}
	if h.DestGroup == message.GroupTransCheck {
		fail(r, wire.NoPermission, "the offsets of group %s are the broker's own: nothing was cloned", h.DestGroup)
		return
	}
	topics := []string{h.Topic}
	if strings.TrimSpace(h.Topic) == "" {
		topics = c.Offsets.Topics(h.SrcGroup)
	} else if _, ok := c.Topics.Get(h.Topic); !ok {
		fail(r, wire.TopicNotExist, "topic[%s] not exist: nothing was cloned", h.Topic)
		return
	}
	if err := c.Pops.Put(h.DestGroup, c.cloned(&h, topics), c.Offsets.Set); err != nil {
		fail(r, wire.SystemError, "not all offsets of group %s were cloned to group %s and are on disk: %s; clone them again", h.SrcGroup, h.DestGroup, err)
		return
	}
	r.Reply(&wire.Response{Code: wire.Success})
}

// cloned are the offsets to set, by topic and queue.
func (c *Clone) cloned(h *header.CloneGroupOffsetRequest, topics []string) map[string]map[int32]int64 {
	offsets := make(map[string]map[int32]int64)
	for _, topic := range topics {
		if _, ok := c.Topics.Get(topic); !ok {
			continue
		}
		if sub, online, _ := c.Subs.Subscription(h.SrcGroup, topic); online && sub == nil && !h.Offline {
			continue
		}
		offsets[topic] = c.Offsets.Queues(h.SrcGroup, topic)
	}
	return offsets
}

// Correct serves QUERY_CORRECTION_OFFSET: for each queue of a topic the least
// offset of all groups but some, of those that still point to messages. Where the
// group to compare with is behind it, the greatest number there is.
func (c *Clone) Correct(r *remoting.Request) {
	var h header.CorrectionOffsetRequest
	if !decode(r, &h) {
		return
	}
	least := map[int32]int64{}
	without := strings.Split(h.FilterGroups, ",")
	for _, group := range c.Offsets.Groups(h.Topic) {
		if slices.Contains(without, group) {
			continue
		}
		for queue, at := range c.Offsets.Queues(group, h.Topic) {
			if q := c.Log.LookupQueue(h.Topic, queue); q != nil && at < q.Min() {
				continue
			}
			if old, ok := least[queue]; !ok || at < old {
				least[queue] = at
			}
		}
	}
	for queue, at := range c.Offsets.Queues(h.CompareGroup, h.Topic) {
		if low, ok := least[queue]; ok && low > at {
			least[queue] = math.MaxInt64
		}
	}
	succeedBody(r, &body.QueryCorrectionOffsetBody{CorrectionOffsets: least})
}
