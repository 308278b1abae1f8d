// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// delivery is one send on its way: a request that goes out as often as is needed,
// and the answer to it. Deliveries are used again, so that a send allocates no
// more than its result.
type delivery struct {
	p *Producer

	// What the answer is made of, together: another goroutine reads it.
	result     *SendResult
	topic      string
	id         string // the result's MessageID; "": props[idAt:]
	idAt       int
	queue      Queue
	addr       string // of queue's broker
	props, ids []byte // memory

	begin  time.Time // of the attempt: set by prepare and aim, and by who waits after them
	stale  time.Time // the attempt before says that a route of before this is out of date; zero: none is
	asks   bool      // for a reply
	read   func(*wire.Command) error
	req    wire.Request
	header header.SendRequest
	of     async // of SendAsync

	names, broker []byte // memory
}

func (p *Producer) newDelivery() any {
	d := &delivery{p: p}
	d.read = d.readAnswer
	d.of.answered = d.answered
	return d
}

// release gives d back. Its result stays valid.
func (d *delivery) release() {
	const keep = 64 << 10
	if cap(d.props) > keep {
		d.props = nil
	}
	d.names, d.broker, d.props, d.ids = d.names[:0], d.broker[:0], d.props[:0], d.ids[:0]
	d.id, d.req.Body, d.result, d.asks = "", nil, nil, false
	if d.of.ctx != nil {
		d.of = async{answered: d.of.answered}
	}
	d.p.deliveries.Put(d)
}

// prepare makes a delivery of a message, to be released. Errors are those that say
// that it can't be sent to any broker.
func (p *Producer) prepare(m *message.Message) (*delivery, error) {
	if err := p.check(m); err != nil {
		return nil, err
	}
	body, flag, err := p.compressor.compress(m.Body)
	if err != nil {
		return nil, err
	}
	if m.Prepared() {
		flag |= message.TransactionPrepared
	}
	d := p.deliveries.Get().(*delivery)
	d.begin = time.Now() // also of the id
	d.props = m.Properties.Append(d.props)
	if d.id = m.UniqueKey(); d.id == "" {
		if len(d.props) > 0 {
			d.props = append(d.props, '\x02')
		}
		d.props = append(d.props, message.PropertyUniqueKey+"\x01"...)
		d.idAt = len(d.props)
		d.props = p.ids.Append(d.props, d.begin)
	}
	if len(d.props) > message.MaxPropertiesLength {
		err := fmt.Errorf("%w: %d bytes, at most %d", message.ErrProperties, len(d.props), message.MaxPropertiesLength)
		d.release()
		return nil, err
	}
	d.address(m.Topic, wire.ReqSendMessageV2, body)
	d.header.SysFlag, d.header.Flag, d.header.Properties = int32(flag), m.Flag, d.props
	return d, nil
}

// address fills in what all sends have.
func (d *delivery) address(topic string, code int32, body []byte) {
	p := d.p
	d.topic, d.names = topic, append(d.names, topic...)
	d.header = header.SendRequest{Every: p.every, Topic: d.names, BornTimestamp: d.begin.UnixMilli()}
	d.req = wire.Request{Code: code, Header: &d.header, Body: body}
}

// CheckMessage tells why Send would refuse m without asking a broker, nil if it
// would not: for those that keep messages to send them later. The unique key, which
// Send adds to the properties where m has none, is not counted among them, nor is the
// sharding key that SendOrdered sets.
func (p *Producer) CheckMessage(m *message.Message) error { return p.check(m) }

// check tests a message against what brokers refuse.
func (p *Producer) check(m *message.Message) error {
	if err := m.Check(); err != nil {
		return err
	}
	switch {
	case len(m.Body) > p.cfg.maxMessageSize:
		return p.tooLarge(len(m.Body))
	case message.IsSendForbidden(m.Topic):
		return fmt.Errorf("%w: brokers keep the topic %q for themselves", message.ErrName, m.Topic)
	case m.Prepared() && m.Delayed():
		return fmt.Errorf("%w: a message cannot be both delayed and in a transaction", message.ErrProperty)
	case m.DelayLevel() > 0 && m.Property(message.PropertyTimerDeliver) != "":
		return fmt.Errorf("%w: a message has either a delay level or a time to be delivered at", message.ErrProperty)
	}
	return nil
}

func (p *Producer) tooLarge(size int) error {
	return fmt.Errorf("%w: %d bytes, at most %d (WithMaxMessageSize)", message.ErrTooLarge, size, p.cfg.maxMessageSize)
}

// to directs d to a queue of a broker at addr.
func (d *delivery) to(q Queue, addr string) {
	d.queue, d.addr = q, addr
	d.broker = append(d.broker[:0], q.Broker...)
	d.header.QueueID, d.header.BrokerName = q.ID, d.broker
}

// try sends d and waits for the answer, which becomes d.result. c has d's
// connection, or finds it.
func (d *delivery) try(ctx context.Context, c exchanger) error {
	err := c.Exchange(ctx, d.addr, &d.req, d.begin.Add(d.p.link.cfg.timeout), d.read)
	d.note(ctx, err)
	if err != nil {
		return fmt.Errorf("sending to broker %s: %w", d.queue.Broker, err)
	}
	return nil
}

// note has the broker be avoided when it was slow or failed, and looked up again when
// the failure says that the route is out of date. A broker that is busy is where it was.
func (d *delivery) note(ctx context.Context, err error) {
	failed := err != nil && elsewhere(err) && !d.abandoned(ctx, err)
	d.p.faults.note(d.queue.Broker, d.begin, time.Since(d.begin), failed)
	if !failed {
		return
	}
	code, answered := rpc.CodeOf(err)
	switch {
	case !answered, code == wire.NoPermission, code == wire.TopicNotExist:
		d.stale = d.begin
	case code == wire.ServiceNotAvailable: // a master that is a slave by now, or for long a full disk
		d.stale = d.begin.Add(-lookUpRest)
	default:
		return
	}
	d.p.link.renew(d.topic, d.stale)
}

// fairTime is what a broker is given to answer: that it did not in less says nothing
// of it.
const fairTime = 100 * time.Millisecond

// abandoned says that an attempt failed by its caller, who cancelled it or had no
// time for it.
func (d *delivery) abandoned(ctx context.Context, err error) bool {
	until, ok := ctx.Deadline()
	return errors.Is(err, context.Canceled) || ok && until.Sub(d.begin) < fairTime && errors.Is(err, context.DeadlineExceeded)
}

// readAnswer takes the answer over.
func (d *delivery) readAnswer(answer *wire.Command) error {
	var sent rpc.Sent
	if err := sent.Read(answer, &d.req, d.addr); err != nil {
		return err
	}
	h := &sent.Header
	d.ids = d.ids[:0]
	if d.id == "" {
		d.ids = append(d.ids, d.props[d.idAt:]...)
	}
	n := len(d.ids)
	d.ids = append(d.ids, h.MsgID...)
	ids := string(d.ids) // both ids in one
	d.result = &SendResult{
		Status: statusOf(sent.Code), MessageID: d.id, OffsetID: ids[n:], QueueOffset: h.QueueOffset, BrokerAddr: d.addr,
		Queue: Queue{Topic: d.topic, Broker: d.queue.Broker, ID: h.QueueID}, RecallHandle: string(h.RecallHandle),
	}
	if d.id == "" {
		d.result.MessageID = ids[:n]
	}
	return nil
}
