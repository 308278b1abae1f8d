// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package handler

import (
	"fmt"
	"time"

	"github.com/twostage/twostage/internal/broker/pop"
	"github.com/twostage/twostage/internal/broker/popwait"
	"github.com/twostage/twostage/internal/broker/topic"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
)

// Waiter holds pops and notifications; *popwait.Hub is one.
type Waiter interface {
	Hold(w *popwait.Wait) popwait.Result
}

// Ready tells whether a pop of a group would find something now.
type Ready interface {
	Ready(group, topic string, queue int32) bool // queue -1: in any
}

// Notify serves NOTIFICATION, which waits until there is something to pop, and
// POLLING_INFO, which counts the pops that wait.
type Notify struct {
	Topics   Topics
	Groups   *GroupMaker
	Ready    Ready
	Waiter   Waiter
	Held     func(group, topic string, queue int32) int // pops
	Readable func() bool                                // the broker's own read permission
}

// pollUntil is when a request that may be held for pollTime milliseconds from now
// on is answered, in any case.
func pollUntil(pollTime int64) time.Time {
	return time.Now().Add(time.Duration(min(max(pollTime, 0), maxHold.Milliseconds())) * time.Millisecond)
}

// allowed answers a request about a queue that the group may not read.
func (n *Notify) allowed(r *remoting.Request, group, name string, queue int32) bool {
	if !n.Readable() {
		fail(r, wire.NoPermission, "this broker gives no messages (brokerPermission)")
		return false
	}
	t, ok := n.Topics.Get(name)
	switch {
	case !ok:
		fail(r, wire.TopicNotExist, "topic[%s] not exist, apply first please!", name)
		return false
	case t.Perm&topic.PermRead == 0:
		fail(r, wire.NoPermission, "the topic[%s] peeking message is forbidden: its perm has no read bit", name)
		return false
	case queue >= t.ReadQueueNums:
		fail(r, wire.InvalidParameter, "queueId[%d] is illegal, topic:[%s] topicConfig.readQueueNums:[%d] consumer:[%s]",
			queue, name, t.ReadQueueNums, r.Conn.RemoteAddr())
		return false
	}
	g, err := n.Groups.Of(r, group)
	switch {
	case err != nil:
		fail(r, refused(err, wire.SubscriptionGroupNotExist), "subscription group [%s] does not exist: %s", group, err)
		return false
	case !g.ConsumeEnable:
		fail(r, wire.NoPermission, "subscription group no permission, %s: its consumeEnable is false", group)
		return false
	}
	return true
}

// gone is the answer to a held request whose topic or group is not there any more,
// or can't be read, nil when all is well.
func (n *Notify) gone(w *popwait.Wait) *wire.Response {
	if t, ok := n.Topics.Get(w.Topic); !ok || t.Perm&topic.PermRead == 0 {
		return &wire.Response{Code: wire.TopicNotExist, Remark: "topic[" + w.Topic + "] not exist: it was deleted, or can't be read any more, while the request was held"}
	}
	if _, ok := n.Groups.Get(w.Group); !ok {
		return &wire.Response{Code: wire.SubscriptionGroupNotExist, Remark: "subscription group [" + w.Group + "] does not exist: it was deleted while the request was held"}
	}
	return nil
}

// failed answers a held request whose code panics, and leaves the panic to who
// serves it. It must be the deferred function itself.
func failed(ticket remoting.Ticket) {
	if p := recover(); p != nil {
		ticket.Reply(&wire.Response{Code: wire.SystemError, Remark: fmt.Sprintf("internal error while serving a held request: %v", p)})
		panic(p)
	}
}

// Notification serves NOTIFICATION.
func (n *Notify) Notification(r *remoting.Request) {
	var h header.NotificationRequest
	if !decode(r, &h) || !n.allowed(r, h.ConsumerGroup, h.Topic, h.QueueID) {
		return
	}
	if err := pop.CheckAttempt(h.AttemptID); err != nil {
		r.Reply(popFailure(err))
		return
	}
	queue := max(h.QueueID, popwait.AnyQueue)
	ready := func() bool { return n.Ready.Ready(h.ConsumerGroup, h.Topic, queue) }
	if ready() {
		succeed(r, &header.NotificationResponse{HasMsg: true})
		return
	}
	ticket := r.Ticket().Held()
	answer := func(h header.NotificationResponse) {
		ticket.Reply(&wire.Response{Code: wire.Success, Header: &h})
	}
	w := &popwait.Wait{
		Group: h.ConsumerGroup, Topic: h.Topic, Queue: queue, Deadline: pollUntil(h.PollTime), Ready: ready, Owner: r.Conn,
	}
	hold := func() {
		switch n.Waiter.Hold(w) {
		case popwait.Full:
			answer(header.NotificationResponse{PollingFull: true})
		case popwait.Due:
			answer(header.NotificationResponse{})
		}
	}
	w.Wake = func(arrived bool) {
		defer failed(ticket)
		if refusal := n.gone(w); refusal != nil {
			ticket.Reply(refusal)
			return
		}
		switch {
		case ready():
			answer(header.NotificationResponse{HasMsg: true})
		case !arrived:
			answer(header.NotificationResponse{})
		default: // another took it, or it is not for the group yet
			hold()
		}
	}
	hold()
}

// PollingInfo serves POLLING_INFO.
func (n *Notify) PollingInfo(r *remoting.Request) {
	var h header.PollingInfoRequest
	if !decode(r, &h) || !n.allowed(r, h.ConsumerGroup, h.Topic, h.QueueID) {
		return
	}
	succeed(r, &header.PollingInfoResponse{PollingNum: int32(n.Held(h.ConsumerGroup, h.Topic, max(h.QueueID, popwait.AnyQueue)))})
}
