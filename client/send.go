// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"fmt"
	"time"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
)

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

// statusOf is the status of an answer's code.
func statusOf(code int32) SendStatus {
	switch code {
	case wire.FlushDiskTimeout:
		return FlushDiskTimeout
	case wire.FlushSlaveTimeout:
		return FlushSlaveTimeout
	case wire.SlaveNotAvailable:
		return SlaveNotAvailable
	}
	return Stored
}

// SendResult says where a message was stored. Of a batch the two ids are those of
// its messages, in their order and separated by commas, and QueueOffset is the
// first one's.
type SendResult struct {
	Status       SendStatus
	MessageID    string // the producer's, UNIQ_KEY
	OffsetID     string // the broker's: its address and the place in its commit log
	Queue        Queue
	QueueOffset  int64
	BrokerAddr   string // host:port
	RecallHandle string // of a timed message, for Recall; "" where the broker gave none
}

// exchanger sends a request and lends the answer.
type exchanger interface {
	Exchange(ctx context.Context, addr string, req *wire.Request, deadline time.Time, read func(*wire.Command) error) error
}

// connCaller sends requests over one connection.
type connCaller struct{ conn *remoting.Conn }

func (c connCaller) Invoke(ctx context.Context, _ string, req *wire.Request) (*wire.Command, error) {
	return c.conn.Invoke(ctx, req)
}

func (c connCaller) OneWay(_ context.Context, _ string, req *wire.Request) error {
	return c.conn.Push(req)
}

func (c connCaller) Exchange(ctx context.Context, _ string, req *wire.Request, deadline time.Time, read func(*wire.Command) error) error {
	return c.conn.Exchange(ctx, req, deadline, read)
}

// aim directs d to the next queue of its topic: best of a broker that is not to be
// avoided and is not last, which failed just now. When that says that the route is out
// of date it waits a while for a younger one, as it does where no queue can be written
// to by a route of before the call.
func (p *Producer) aim(ctx context.Context, d *delivery, last string) error {
	since, stale := d.begin, d.stale
	d.stale = time.Time{}
	k := p.link.recent(d.topic, since)
	if last != "" || k == nil {
		var err error
		switch {
		case last != "" && !stale.IsZero():
			k, err = p.link.newer(ctx, d.topic, stale)
		case k == nil:
			k, err = p.link.find(ctx, d.topic, time.Time{}, true)
		}
		if err != nil {
			return err
		}
		d.begin = time.Now() // that may have taken long
	}
	q, addr, err := p.choose(k, d, last)
	if err != nil && last == "" && k.at.Before(since) {
		if k, err = p.link.newer(ctx, d.topic, since); err != nil {
			return err
		}
		d.begin = time.Now()
		q, addr, err = p.choose(k, d, last)
	}
	if err != nil {
		return err
	}
	d.to(Queue{Topic: d.topic, Broker: q.BrokerName, ID: q.QueueID}, addr)
	return nil
}

// choose takes the next queue, see aim.
func (p *Producer) choose(k *known, d *delivery, last string) (q body.MessageQueue, addr string, err error) {
	queues := k.route.WriteQueues()
	first := k.of.turn.Add(1)
	const worst = 4
	best := worst
	for i := range queues {
		candidate := queues[(first+uint64(i))%uint64(len(queues))]
		at, ok := k.route.MasterAddr(candidate.BrokerName)
		if !ok {
			continue
		}
		rank := 0
		switch {
		case candidate.BrokerName == last:
			rank = 3
		case d.asks && !p.link.knownAt(at):
			rank = 2
		case p.faults.avoided(candidate.BrokerName, d.begin):
			rank = 1
		}
		if rank < best {
			q, addr, best = candidate, at, rank
		}
		if best == 0 {
			break
		}
	}
	if best == worst {
		return q, "", fmt.Errorf("%w: %q", ErrNotWritable, d.topic)
	}
	return q, addr, nil
}
