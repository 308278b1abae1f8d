// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package handler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twostage/twostage/internal/broker/inflow"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/session"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// maxUnanswered is how many replies may wait for one client. One that takes them and
// answers nothing then takes few of the places that the connection of who replies
// has for requests in flight.
const maxUnanswered = 2048

// caller is a connection that takes requests whose answers are not waited for;
// *remoting.Conn is one.
type caller interface {
	Call(req *wire.Request, timeout time.Duration, done func(*wire.Command, error)) error
}

// Requesters finds producers, which are who waits for replies.
type Requesters interface {
	Producer(clientID string) (session.Client, bool)
}

// Reply serves SEND_REPLY_MESSAGE and SEND_REPLY_MESSAGE_V2: the answer of a
// consumer to a request goes to the client that the property REPLY_TO_CLIENT
// names, and, if so configured, into the log. Whether the client has taken it is
// the answer; the copy in the log is not waited for.
//
// No goroutine waits for a client: however many are silent, others get their
// replies.
type Reply struct {
	Send       *Send // its rules for topics, and its log
	Requesters Requesters
	NowMillis  func() int64
	Logger     *slog.Logger

	mu      sync.Mutex
	waiting map[session.Conn]int // replies that wait for a client
}

// Handle serves one reply.
func (p *Reply) Handle(r *remoting.Request) {
	var h header.SendRequest
	if err := h.Decode(r.Code, r.Ext); err != nil {
		p.Send.refuse(r, wire.SystemError, err.Error())
		return
	}
	t, queue, ok := p.Send.target(r, &h)
	if !ok {
		return
	}
	o := &outcome{p: p, ticket: r.LightTicket(), topic: t.TopicName, answer: header.SendResponse{QueueID: queue, Every: p.Send.Every()}}
	o.left.Store(2)
	p.push(r, &h, o.pushed)
	if p.Send.Settings().Topics.StoreReplies {
		o.at, o.unstored = p.store(r, &h, t, queue)
	}
	o.end()
}

// outcome is what became of a reply, at its client and in the log. Both end it, in
// either order.
type outcome struct {
	p        *Reply
	ticket   remoting.Ticket
	topic    string
	answer   header.SendResponse
	left     atomic.Int32
	unpushed error // why the client has not taken it
	at       store.Appended
	unstored error
}

func (o *outcome) pushed(err error) {
	o.unpushed = err
	o.end()
}

// end answers, the second time.
func (o *outcome) end() {
	if o.left.Add(-1) > 0 {
		return
	}
	resp := &wire.Response{Code: wire.Success, Header: &o.answer}
	if o.unpushed != nil {
		resp.Code, resp.Remark = wire.SystemError, o.unpushed.Error()
		o.p.Logger.Warn("a reply did not reach its client", "topic", o.topic, "error", o.unpushed)
	} else {
		o.answer.MsgID = []byte("0") // where nothing is stored; clients want one
	}
	switch {
	case o.unstored != nil:
		o.p.Logger.Warn("a reply was not stored", "topic", o.topic, "error", o.unstored)
	case o.p.Send.Settings().Topics.StoreReplies:
		o.answer.MsgID = message.AppendOffsetID(nil, o.p.Send.Host, o.at.PhysicalOffset)
		o.answer.QueueOffset = o.at.QueueOffset
	}
	o.ticket.Reply(resp)
}

// push gives the reply to the client that waits for it, and calls done once, maybe
// on another goroutine, with what the sender of the reply is told when that client
// has not taken it.
func (p *Reply) push(r *remoting.Request, h *header.SendRequest, done func(error)) {
	name, ok := message.Property(h.Properties, message.PropertyReplyToClient)
	if !ok || len(name) == 0 {
		done(fmt.Errorf("reply message properties[%s] is null", message.PropertyReplyToClient))
		return
	}
	id := string(name)
	c, ok := p.Requesters.Producer(id)
	conn, takes := c.Conn.(caller)
	switch {
	case !ok:
		done(fmt.Errorf("push reply message fail, channel of <%s> not found: no producer with this client id is connected to this broker", id))
		return
	case !takes:
		done(fmt.Errorf("push reply message to %s fail: it takes no requests", id))
		return
	case !p.enter(c.Conn):
		done(fmt.Errorf("push reply message to %s fail: it has not answered %d replies yet", id, maxUnanswered))
		return
	}
	now := p.NowMillis()
	props := message.DeleteProperty(nil, h.Properties, message.PropertyPushReplyTime)
	props = message.AppendProperty(props, message.PropertyPushReplyTime, strconv.FormatInt(now, 10))
	answered := func(cmd *wire.Command, err error) {
		p.leave(c.Conn)
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			err = fmt.Errorf("push reply message to %s fail: it gave no answer within %v", id, relayTimeout)
		case err != nil:
			err = fmt.Errorf("push reply message to %s fail: %w", id, err)
		case cmd.Code != wire.Success:
			err = fmt.Errorf("push reply message to %s fail: it answered %d %s", id, cmd.Code, cmd.Remark)
		}
		done(err)
	}
	err := conn.Call(&wire.Request{Code: wire.ReqPushReplyMessageToClient, Body: r.Body, Header: &header.ReplyRequest{
		ProducerGroup: string(h.ProducerGroup), Topic: string(h.Topic), DefaultTopic: string(h.DefaultTopic),
		DefaultTopicQueueNums: h.DefaultTopicQueueNums, QueueID: h.QueueID, SysFlag: h.SysFlag, BornTimestamp: h.BornTimestamp,
		Flag: h.Flag, Properties: strings.TrimSuffix(string(props), "\x02"), ReconsumeTimes: h.ReconsumeTimes, UnitMode: h.UnitMode,
		BornHost: hostPort(r.Conn.RemoteAddr()), StoreHost: hostPort(p.Send.Host), StoreTimestamp: now,
	}}, relayTimeout, answered)
	if err != nil {
		answered(nil, err)
	}
}

// store appends the reply as it was sent.
func (p *Reply) store(r *remoting.Request, h *header.SendRequest, t *body.TopicConfig, queue int32) (store.Appended, error) {
	b := store.Batch{Wait: p.Send.Settings().Flush.SendWait}
	err := b.Add(p.Send.Log.Queue(t.TopicName, queue), &message.Record{
		Flag: h.Flag, SysFlag: message.SysFlag(h.SysFlag).WithTransaction(message.TransactionNone), BornTimestamp: h.BornTimestamp,
		BornHost: r.Conn.RemoteAddr(), StoreHost: p.Send.Host, ReconsumeTimes: h.ReconsumeTimes, Body: r.Body, Properties: h.Properties,
	})
	if err == nil {
		err = p.Send.Log.Append(&b)
	}
	if err != nil {
		return store.Appended{}, err
	}
	at := b.Result(0)
	p.Send.Stats.In(t.TopicName, 1, int(at.Size))
	var one inflow.Tally
	one.Add(1, int64(at.Size))
	p.Send.Inflow.Add(t.TopicName, inflow.Normal, &one)
	return at, nil
}

// enter counts a reply that waits for a client, false when it has too many.
func (p *Reply) enter(c session.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting[c] >= maxUnanswered {
		return false
	}
	if p.waiting == nil {
		p.waiting = map[session.Conn]int{}
	}
	p.waiting[c]++
	return true
}

func (p *Reply) leave(c session.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting[c]--; p.waiting[c] == 0 {
		delete(p.waiting, c)
	}
}

// hostPort is an address as RocketMQ writes it: that of IPv6 has no brackets.
func hostPort(a netip.AddrPort) string {
	return a.Addr().Unmap().WithZone("").String() + ":" + strconv.Itoa(int(a.Port()))
}
