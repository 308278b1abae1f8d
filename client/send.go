// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/route"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// compressLevel is that of RocketMQ's producers.
const compressLevel = 5

// Queue is a queue of a topic on one broker.
type Queue struct {
	Topic  string
	Broker string // its name
	ID     int32
}

func (q Queue) String() string { return fmt.Sprintf("%s/%s/%d", q.Topic, q.Broker, q.ID) }

// SendStatus says how safely a message was stored.
type SendStatus uint8

// The statuses. All but Stored fall short of what the broker is set up for.
const (
	Stored SendStatus = iota
	FlushDiskTimeout
	FlushSlaveTimeout
	SlaveNotAvailable
)

func (s SendStatus) String() string {
	switch s {
	case Stored:
		return "stored"
	case FlushDiskTimeout:
		return "stored, not yet on disk"
	case FlushSlaveTimeout:
		return "stored, not yet on a slave"
	case SlaveNotAvailable:
		return "stored, no slave available"
	}
	return fmt.Sprintf("status %d", uint8(s))
}

// SendResult says where a message was stored.
type SendResult struct {
	Status      SendStatus
	MessageID   string // the producer's, UNIQ_KEY
	OffsetID    string // the broker's: its address and the place in its commit log
	Queue       Queue
	QueueOffset int64
	BrokerAddr  string // host:port
}

// connCaller sends requests over one connection.
type connCaller struct{ conn *remoting.Conn }

func (c connCaller) Invoke(ctx context.Context, _ string, req *wire.Request) (*wire.Command, error) {
	return c.conn.Invoke(ctx, req)
}

func (c connCaller) OneWay(_ context.Context, _ string, req *wire.Request) error {
	return c.conn.Push(req)
}

// envelope is a message ready to be sent, to any queue.
type envelope struct {
	header header.SendRequest
	body   []byte
	id     string
}

// envelope prepares a message.
func (p *Producer) envelope(m *message.Message) (*envelope, error) {
	if err := m.Check(); err != nil {
		return nil, err
	}
	props := maps.Clone(m.Properties)
	if props == nil {
		props = message.Properties{}
	}
	if props[message.PropertyUniqueKey] == "" {
		props[message.PropertyUniqueKey] = p.ids.Next()
	}
	e := &envelope{body: m.Body, id: props[message.PropertyUniqueKey]}
	var flag message.SysFlag
	if p.cfg.compressAbove > 0 && len(m.Body) > p.cfg.compressAbove {
		small, err := message.Deflate(m.Body, compressLevel)
		if err != nil {
			return nil, err
		}
		if len(small) < len(m.Body) {
			e.body, flag = small, message.FlagCompressed
		}
	}
	if m.Prepared() {
		flag |= message.TransactionPrepared
	}
	text := props.Append(nil)
	if len(text) > message.MaxPropertiesLength {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", message.ErrProperties, len(text), message.MaxPropertiesLength)
	}
	e.header = header.SendRequest{
		ProducerGroup: []byte(p.group), Topic: []byte(m.Topic), DefaultTopic: []byte(message.TopicAutoCreate),
		DefaultTopicQueueNums: standInQueues, SysFlag: int32(flag), BornTimestamp: time.Now().UnixMilli(),
		Flag: m.Flag, Properties: text,
	}
	return e, nil
}

// choose takes the next queue, of a broker other than avoid where there is one.
func (p *Producer) choose(r *route.Snapshot, avoid string) (q Queue, addr string, err error) {
	queues := r.WriteQueues()
	first := p.turn.Add(1)
	found := false
	for i := range queues {
		candidate := queues[(first+uint64(i))%uint64(len(queues))]
		at, ok := r.MasterAddr(candidate.BrokerName)
		if !ok || found && candidate.BrokerName == avoid {
			continue
		}
		q, addr, found = Queue{Topic: r.Topic(), Broker: candidate.BrokerName, ID: candidate.QueueID}, at, true
		if candidate.BrokerName != avoid {
			break
		}
	}
	if !found {
		return q, "", fmt.Errorf("%w: %q", ErrNotWritable, r.Topic())
	}
	return q, addr, nil
}

// deliver sends an envelope to a queue once.
func (p *Producer) deliver(ctx context.Context, c rpc.Caller, addr string, q Queue, e *envelope) (*SendResult, error) {
	h := e.header
	h.QueueID, h.BrokerName = q.ID, []byte(q.Broker)
	sent, err := rpc.Send(ctx, c, addr, &h, e.body)
	if err != nil {
		return nil, fmt.Errorf("sending to broker %s: %w", q.Broker, err)
	}
	res := &SendResult{
		MessageID: e.id, OffsetID: string(sent.Header.MsgID), QueueOffset: sent.Header.QueueOffset, BrokerAddr: addr,
		Queue: Queue{Topic: q.Topic, Broker: q.Broker, ID: sent.Header.QueueID},
	}
	switch sent.Code {
	case wire.FlushDiskTimeout:
		res.Status = FlushDiskTimeout
	case wire.FlushSlaveTimeout:
		res.Status = FlushSlaveTimeout
	case wire.SlaveNotAvailable:
		res.Status = SlaveNotAvailable
	}
	return res, nil
}
