// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/route"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// A request is a message with a correlation id, the client id of its sender and the
// time it is good for (ms). Who consumes it sends a message with the same to the
// reply topic of the broker's cluster; the broker pushes that to the client of that
// id, on the connection that its heartbeats come over:
//
//	requester -- request --> broker -- request --> replier
//	requester <-- push 326 -- broker <-- reply 325 -- replier
//
// Source: DefaultMQProducerImpl.request and ReplyMessageProcessor of Apache RocketMQ.

// replyMark is the message type of replies.
const replyMark = "reply"

// requests are those that wait for their replies.
type requests struct {
	mu      sync.Mutex
	waiting map[string]chan *message.Received // by correlation id; capacity 1
}

func (r *requests) add(id string) chan *message.Received {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.waiting == nil {
		r.waiting = map[string]chan *message.Received{}
	}
	ch := make(chan *message.Received, 1)
	r.waiting[id] = ch
	return ch
}

func (r *requests) take(id string) chan *message.Received {
	r.mu.Lock()
	defer r.mu.Unlock()
	ch := r.waiting[id]
	delete(r.waiting, id)
	return ch
}

// Request sends a message and waits for the reply that one of its consumers gives,
// until ctx ends; a ctx without deadline is given the timeout of WithTimeout. An
// error that matches ErrNoReply says that the message was sent, but no reply came in
// time; others are those of Send. Replies reach this producer only: it is known to
// brokers by its heartbeat, which goes ahead of the request where that is needed. A
// broker that does not answer the heartbeat gets the request only when no other does.
func (p *Producer) Request(ctx context.Context, m *message.Message) (*message.Received, error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = p.link.request(ctx)
		defer cancel()
	}
	if err := p.check(m); err != nil { // before anything is sent
		return nil, err
	}
	until, _ := ctx.Deadline()
	if err := p.introduce(ctx, m.Topic); err != nil {
		return nil, err
	}
	var raw [16]byte
	rand.Read(raw[:]) // never fails
	id := hex.EncodeToString(raw[:])
	asking := withProperties(m, map[string]string{
		message.PropertyCorrelationID: id, message.PropertyReplyToClient: p.link.id,
		message.PropertyTTL: strconv.FormatInt(max(time.Until(until).Milliseconds(), 1), 10),
	})
	reply := p.requests.add(id)
	defer p.requests.take(id)
	if err := p.sendAsking(ctx, asking); err != nil {
		return nil, err
	}
	p.link.use(m.Topic, until) // so long are heartbeats to go out, which the reply comes by
	select {
	case got := <-reply:
		if err := Decompress(got, MaxBody); err != nil {
			return nil, fmt.Errorf("client: the reply of %s: %w", got.BornHost, err)
		}
		return got, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ErrNoReply, ctx.Err())
	case <-p.underWay.left:
		return nil, ErrClosed
	}
}

// sendAsking is Send, to a broker that knows the producer where there is one.
func (p *Producer) sendAsking(ctx context.Context, m *message.Message) error {
	m, done := p.traced(ctx, m)
	d, err := p.prepare(m)
	var res *SendResult
	if err == nil {
		d.asks = true
		res, err = p.send(ctx, d)
		d.release()
	}
	if done != nil {
		done(res, err)
	}
	return err
}

// introduce sees that the brokers of a topic, to any of which a reply may go, know
// the producer. That fails only when it does for all of them.
func (p *Producer) introduce(ctx context.Context, topic string) error {
	p.link.begin()
	r, err := p.link.route(ctx, topic, true)
	if err != nil {
		return err
	}
	var addrs []string
	for _, b := range r.Brokers() {
		if addr, ok := b.Addr(0); ok {
			addrs = append(addrs, addr)
		}
	}
	if len(addrs) == 0 {
		return fmt.Errorf("%w: %q", ErrNotWritable, topic)
	}
	_, err = p.link.meet(ctx, addrs, greetWait)
	return err
}

// replied takes a reply, which a broker pushes.
func (p *Producer) replied(r *remoting.Request) {
	m, err := decodeReply(r)
	if err != nil {
		p.log.Warn("client: reply refused", "broker", r.Conn.RemoteAddr(), "err", err)
		r.Reply(&wire.Response{Code: wire.SystemError, Remark: err.Error()})
		return
	}
	if ch := p.requests.take(m.Property(message.PropertyCorrelationID)); ch != nil {
		ch <- m
	} else {
		p.log.Info("client: a reply to a request that does not wait", "correlation", m.Property(message.PropertyCorrelationID), "from", m.BornHost)
	}
	r.Reply(&wire.Response{})
}

func decodeReply(r *remoting.Request) (*message.Received, error) {
	var h header.ReplyRequest
	if err := h.DecodeExt(r.Ext); err != nil {
		return nil, err
	}
	m := &message.Received{
		Message: message.Message{
			Topic: h.Topic, Flag: h.Flag, Properties: message.ParseProperties([]byte(h.Properties)), Body: append([]byte(nil), r.Body...),
		},
		QueueID: h.QueueID, SysFlag: message.SysFlag(h.SysFlag), ReconsumeTimes: h.ReconsumeTimes,
		BornTime: time.UnixMilli(h.BornTimestamp), StoreTime: time.UnixMilli(h.StoreTimestamp),
	}
	m.BornHost, _ = netip.ParseAddrPort(h.BornHost) // of use to people only
	m.StoreHost, _ = netip.ParseAddrPort(h.StoreHost)
	m.Properties[message.PropertyReplyArriveTime] = strconv.FormatInt(time.Now().UnixMilli(), 10)
	return m, nil
}

// Reply answers a request that was consumed: who waits in Request, here or in
// another of RocketMQ's clients, gets a message with body. An error that matches
// ErrNoRequest says that the message does not ask for a reply; others are those of
// Send.
func (p *Producer) Reply(ctx context.Context, request *message.Received, body []byte) error {
	cluster := request.Property(message.PropertyCluster)
	id, to := request.Property(message.PropertyCorrelationID), request.Property(message.PropertyReplyToClient)
	if cluster == "" || id == "" || to == "" {
		return fmt.Errorf("%w: message %s has cluster %q, correlation id %q, client %q", ErrNoRequest, request.ID(), cluster, id, to)
	}
	m := message.New(cluster+"_"+message.ReplySuffix, body)
	m = withProperties(m, map[string]string{
		message.PropertyMessageType: replyMark, message.PropertyCorrelationID: id, message.PropertyReplyToClient: to,
		message.PropertyTTL: request.Property(message.PropertyTTL),
	})
	m, done := p.traced(ctx, m)
	res, err := p.sendReply(ctx, request.BrokerName, m)
	if done != nil {
		done(res, err)
	}
	return err
}

// sendReply sends a reply, best to the broker that the request came from, which knows
// the requester.
func (p *Producer) sendReply(ctx context.Context, broker string, m *message.Message) (*SendResult, error) {
	d, err := p.prepare(m)
	if err != nil {
		return nil, err
	}
	defer d.release()
	d.req.Code = wire.ReqSendReplyMessageV2
	if r, err := p.link.route(ctx, m.Topic, false); err == nil {
		if q, addr, ok := sameBroker(r, broker); ok {
			d.to(q, addr)
			d.begin = time.Now()
			if err := d.try(ctx, p.link.net); err == nil || !elsewhere(err) || ctx.Err() != nil {
				return d.result, p.link.public(err)
			}
		}
	}
	d.begin = time.Now()
	return p.send(ctx, d)
}

// sameBroker is the first queue of a broker.
func sameBroker(r *route.Snapshot, broker string) (q Queue, addr string, ok bool) {
	for _, q := range r.WriteQueues() {
		if q.BrokerName == broker {
			addr, ok = r.MasterAddr(broker)
			return Queue{Topic: r.Topic(), Broker: broker, ID: q.QueueID}, addr, ok
		}
	}
	return Queue{}, "", false
}

// withProperties is m with more properties; m is not changed. Empty values are
// left out.
func withProperties(m *message.Message, more map[string]string) *message.Message {
	with := *m
	with.Properties = make(message.Properties, len(m.Properties)+len(more))
	for _, from := range []map[string]string{m.Properties, more} {
		for name, value := range from {
			if value != "" {
				with.Properties[name] = value
			}
		}
	}
	return &with
}
