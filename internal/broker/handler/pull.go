// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package handler

import (
	"fmt"
	"math"
	"net"
	"time"

	"github.com/twostage/twostage/internal/broker/longpoll"
	"github.com/twostage/twostage/internal/broker/topic"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/trace"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// PullLog is what pulling needs of the store.
type PullLog interface {
	Queue(topic string, id int32) *store.Queue
	Get(q *store.Queue, from int64, maxCount, maxBytes int, f store.Filter) (store.GetResult, error)
}

// Topics finds topics.
type Topics interface {
	Find(name []byte) (*body.TopicConfig, bool)
	Get(name string) (*body.TopicConfig, bool)
}

// Subscriptions tells what online consumers have subscribed to.
type Subscriptions interface {
	// Subscription is the subscription of a group to a topic. online is whether
	// the group has a consumer at all, broadcast whether its consumers broadcast.
	Subscription(group, topic string) (sub *body.SubscriptionData, online, broadcast bool)
}

// Holder keeps pulls that found nothing.
type Holder interface {
	Hold(q *store.Queue, p *longpoll.Pull, max func() int64) bool
}

// Offsets is the consumers' offsets.
type Offsets interface {
	Commit(group, topic string, queue int32, offset int64)
	CommitPull(group, topic string, queue int32, offset, pulled int64)
	Query(group, topic string, queue int32) (int64, bool)
}

// Resets tells where a group goes on after its offset in a queue was reset.
type Resets interface {
	// Redirect gives the offset that a pull from another one is sent to, false when
	// it is to be served. What a pull that is sent elsewhere commits does not count.
	Redirect(group, topic string, queue int32, from int64) (int64, bool)
	IsReset(group, topic string, queue int32) bool
}

// PullStats counts what consumers are given, in messages and bytes of records, and
// how long it was looked for.
type PullStats interface {
	Out(group, topic string, messages, bytes int, took time.Duration)
	// Missed counts a look that found nothing.
	Missed(took time.Duration)
	// Elapsed is a clock to measure a look by.
	Elapsed() time.Duration
}

// Pull serves PULL_MESSAGE and LITE_PULL_MESSAGE.
//
// What a pull brings goes from the mapped log to the socket. Only for a
// subscription to tags or by SQL92 are records looked at, by the store.
type Pull struct {
	Log     PullLog
	Topics  Topics
	Groups  *GroupMaker
	Subs    Subscriptions
	Holder  Holder
	Offsets Offsets
	Resets  Resets
	Stats   PullStats
	Filters *Filters
	Tracer  *trace.Tracer // nil: deliveries are not traced

	Readable func() bool // the broker's own read permission
	Settings Settings
}

// maxHold bounds how long a pull is held, whatever it asks for: clients ask for
// 15 to 30 s, and each held pull takes one of the broker's places for them.
const maxHold = 2 * time.Minute

// pulling is one pull: what is left of its header once it is checked.
type pulling struct {
	p        *Pull
	group    string
	topic    string
	queue    *store.Queue
	offset   int64
	max      int32
	maxBytes int
	sel      *Selection
	sent     bool  // elsewhere: the group's offset was reset
	next     int64 // behind what was given; 0: nothing was
}

// Handle serves one pull.
func (p *Pull) Handle(r *remoting.Request) {
	var h header.PullRequest
	if !decode(r, &h) {
		return
	}
	if !p.Readable() {
		refusePull(r, wire.NoPermission, "this broker gives no messages (brokerPermission)")
		return
	}
	g, err := p.Groups.OfBytes(r, h.ConsumerGroup)
	if err != nil {
		refusePull(r, refused(err, wire.SubscriptionGroupNotExist), "subscription group [%s] does not exist: %s", h.ConsumerGroup, err)
		return
	}
	if !g.ConsumeEnable {
		refusePull(r, wire.NoPermission, "subscription group no permission, %s: its consumeEnable is false", g.GroupName)
		return
	}
	t, ok := p.Topics.Find(h.Topic)
	if !ok {
		refusePull(r, wire.TopicNotExist, "topic[%s] not exist, apply first please!", h.Topic)
		return
	}
	if t.Perm&topic.PermRead == 0 {
		refusePull(r, wire.NoPermission, "the topic[%s] pulling message is forbidden: its perm has no read bit", t.TopicName)
		return
	}
	if p.Groups.ReadForbidden(h.ConsumerGroup, h.Topic) {
		refusePull(r, wire.NoPermission, "the consumer group[%s] is forbidden for topic[%s]", h.ConsumerGroup, h.Topic)
		return
	}
	if h.QueueID < 0 || h.QueueID >= t.ReadQueueNums {
		refusePull(r, wire.SystemError, "queueId[%d] is illegal, topic:[%s] topicConfig.readQueueNums:[%d] consumer:[%s]",
			h.QueueID, t.TopicName, t.ReadQueueNums, r.Conn.RemoteAddr())
		return
	}
	pl := pulling{p: p, group: g.GroupName, topic: t.TopicName, offset: h.QueueOffset, max: h.MaxMsgNums, maxBytes: int(h.MaxMsgBytes)}
	if !p.subscription(r, &h, g, &pl) {
		return
	}
	pl.queue = p.Log.Queue(t.TopicName, h.QueueID)
	pl.run(r, p.holdTime(&h))
	if h.SysFlag&header.PullCommitOffset != 0 && !pl.sent && pl.group != message.GroupTransCheck {
		p.Offsets.CommitPull(pl.group, pl.topic, h.QueueID, h.CommitOffset, max(h.QueueOffset, pl.next))
	}
}

// holdTime is for how long a pull that finds nothing is held.
func (p *Pull) holdTime(h *header.PullRequest) time.Duration {
	switch {
	case h.SysFlag&header.PullSuspend == 0:
		return 0
	case !p.Settings().Pull.LongPolling:
		return p.Settings().Pull.ShortPolling
	}
	return time.Duration(min(max(h.SuspendTimeoutMillis, 0), maxHold.Milliseconds())) * time.Millisecond
}

// subscription finds what the pull subscribes to, or answers why it can't be
// served.
func (p *Pull) subscription(r *remoting.Request, h *header.PullRequest, g *body.SubscriptionGroupConfig, pl *pulling) bool {
	var err error
	if h.SysFlag&header.PullSubscription != 0 {
		pl.sel, err = p.Filters.ofPull(r, pl.topic, h.ExpressionType, h.Subscription)
		return err == nil || refuseSelection(r, asRefusal(err))
	}
	sub, online, broadcast := p.Subs.Subscription(pl.group, pl.topic)
	switch {
	case !online:
		refusePull(r, wire.SubscriptionNotExist, "the consumer's group info not exist: no heartbeat of group %s has come yet", pl.group)
		return false
	case broadcast && !g.ConsumeBroadcastEnable:
		refusePull(r, wire.NoPermission, "the consumer group[%s] can not consume by broadcast way: its consumeBroadcastEnable is false", pl.group)
		return false
	case sub == nil:
		refusePull(r, wire.SubscriptionNotExist, "the consumer's subscription not exist: the consumers of group %s do not subscribe to topic %s", pl.group, pl.topic)
		return false
	case sub.SubVersion < h.SubVersion:
		refusePull(r, wire.SubscriptionNotLatest, "the consumer's subscription not latest")
		return false
	}
	if pl.sel, err = p.Filters.ofHeartbeat(r, sub); err == nil {
		return true
	}
	refused := asRefusal(err)
	if refused.Code == wire.SubscriptionParseFailed { // RocketMQ's code: the heartbeat has left no filter
		refused = &Refusal{wire.FilterDataNotExist, "The broker's consumer filter data is not exist!Your expression may be wrong! (topic " + pl.topic + ") " + refused.Remark}
	}
	return refuseSelection(r, refused)
}

// refuseSelection answers a pull whose subscription is none; it is false.
func refuseSelection(r *remoting.Request, refused *Refusal) bool {
	refusePull(r, refused.Code, "%s", refused.Remark)
	return false
}

// run answers the pull, or holds it for as long as it finds nothing.
func (pl *pulling) run(r *remoting.Request, hold time.Duration) {
	res, resp, ok := pl.get(pl.offset, pl.max)
	if !ok {
		r.Reply(resp)
		return
	}
	if resp.Code == wire.PullNotFound && hold > 0 {
		held := *pl
		ticket := r.Ticket().Held()
		if held.hold(ticket, time.Now().Add(hold)) {
			res.Release()
			return
		}
		ticket.ReplyBody(resp, nil, res.Release)
		return
	}
	r.ReplyBody(resp, net.Buffers(res.Records), res.Release)
}

// hold waits for a message, and then pulls again. A queue that is deleted ends
// the wait.
func (pl *pulling) hold(ticket remoting.Ticket, deadline time.Time) bool {
	conn, queue := ticket.Conn(), pl.queue
	most := func() int64 {
		// Between the look and the hold: nobody would wake it.
		if queue.Deleted() || pl.p.Resets.IsReset(pl.group, pl.topic, queue.ID()) {
			return math.MaxInt64
		}
		return queue.Max()
	}
	held := &longpoll.Pull{Offset: pl.offset, Deadline: deadline, Owner: conn}
	if !pl.sel.All() {
		held.Filter = pl.sel
	}
	held.Wake = func(w longpoll.Woken) {
		defer failed(ticket)
		select {
		case <-conn.Closed():
			return // nobody gets what would be counted as given
		default:
		}
		if _, ok := pl.p.Topics.Get(pl.topic); !ok {
			ticket.Reply(&wire.Response{Code: wire.TopicNotExist, Remark: "topic[" + pl.topic + "] not exist: it was deleted while the pull was held", Header: header.Empty{}})
			return
		}
		res, resp, ok := pl.again(w)
		if !ok {
			ticket.Reply(resp)
			return
		}
		ticket.ReplyBody(resp, net.Buffers(res.Records), res.Release)
	}
	return pl.p.Holder.Hold(queue, held, most)
}

// again is get for a pull that was held. It runs where others wait for it, so it
// evaluates no expression but for the message that is known to match: to look at
// what else has come is left to the next pull, which follows at once.
func (pl *pulling) again(w longpoll.Woken) (res store.GetResult, resp *wire.Response, ok bool) {
	count := pl.max
	if pl.sel.expr != nil {
		if count = 1; !w.Matched && w.From < pl.queue.Max() {
			return res, pl.noneMatched(w.From), true
		}
	}
	res, resp, ok = pl.get(w.From, count)
	if ok && resp.Code == wire.PullNotFound && w.From > pl.offset {
		resp = pl.noneMatched(w.From) // what came was not for it
	}
	return res, resp, ok
}

// noneMatched says that the pull goes on at an offset.
func (pl *pulling) noneMatched(next int64) *wire.Response {
	return &wire.Response{
		Code: pullCode(store.NoMatched, next), Remark: store.NoMatched.String(),
		Header: &header.PullResponse{NextBeginOffset: next, MinOffset: pl.queue.Min(), MaxOffset: pl.queue.Max()},
	}
}

// get looks into the queue from an offset on, for at most so many messages. ok is
// false when that failed; res is then released.
func (pl *pulling) get(from int64, count int32) (res store.GetResult, resp *wire.Response, ok bool) {
	if pl.queue.Deleted() {
		pl.queue = pl.p.Log.Queue(pl.topic, pl.queue.ID())
	}
	if to, ok := pl.p.Resets.Redirect(pl.group, pl.topic, pl.queue.ID(), pl.offset); ok {
		pl.sent = true
		return res, &wire.Response{Code: wire.PullOffsetMoved, Remark: "OFFSET_RESET",
			Header: &header.PullResponse{NextBeginOffset: to, MinOffset: pl.queue.Min(), MaxOffset: pl.queue.Max()}}, true
	}
	limits := &pl.p.Settings().Pull
	most := limits.MaxBytesInMemory
	if pl.maxBytes > 0 {
		most = min(most, pl.maxBytes)
	}
	began, begun := pl.p.Stats.Elapsed(), pl.p.Tracer.Now()
	res, err := pl.p.Log.Get(pl.queue, from, int(min(max(count, 1), int32(limits.MaxCountInMemory))), most, pl.sel.Store())
	if err != nil {
		return res, &wire.Response{Code: wire.SystemError, Remark: err.Error()}, false
	}
	if took := pl.p.Stats.Elapsed() - began; len(res.Records) > 0 {
		pl.next = res.NextOffset
		pl.p.Stats.Out(pl.group, pl.topic, len(res.Records), res.Bytes, took)
		pl.p.Tracer.Delivered("pull", pl.group, begun, res.Records)
	} else {
		pl.p.Stats.Missed(took)
	}
	return res, &wire.Response{
		Code: pullCode(res.Status, from), Remark: res.Status.String(),
		Header: &header.PullResponse{NextBeginOffset: res.NextOffset, MinOffset: res.Min, MaxOffset: res.Max},
	}, true
}

// pullCode is the answer's code for what the store found, as RocketMQ's.
func pullCode(s store.Status, offset int64) int32 {
	switch s {
	case store.Found:
		return wire.Success
	case store.NoMessageInQueue:
		if offset != 0 {
			return wire.PullOffsetMoved
		}
		return wire.PullNotFound
	case store.OffsetFoundNull, store.OffsetOverflowOne:
		return wire.PullNotFound
	case store.OffsetOverflowBadly, store.OffsetTooSmall:
		return wire.PullOffsetMoved
	}
	return wire.PullRetryImmediately
}

// refusePull answers a pull that could not be tried.
func refusePull(r *remoting.Request, code int32, format string, args ...any) {
	r.Reply(&wire.Response{Code: code, Remark: fmt.Sprintf(format, args...), Header: header.Empty{}})
}
