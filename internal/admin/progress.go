// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire/body"
)

// QueueProgress is how far a consumer group has come in a queue.
type QueueProgress struct {
	Queue
	Next int64 `json:"next"` // the offset that is consumed next, -1: the group has none yet
	End  int64 `json:"end"`  // of the queue's next message
	Lag  int64 `json:"lag"`  // messages not yet consumed
	// Consumed is the store time of the last message that was consumed, zero when it
	// is not known.
	Consumed time.Time `json:"consumed,omitzero"`
	// Waiting is the store time of the oldest message not yet consumed, zero when
	// there is none, or when it can't be read.
	Waiting time.Time `json:"waiting,omitzero"`
}

// Progress is how far a consumer group has come.
type Progress struct {
	Group  string          `json:"group"`
	Queues []QueueProgress `json:"queues"` // by topic, broker and id
	Lag    int64           `json:"lag"`
	Rate   float64         `json:"rate"` // messages that were consumed a second lately
}

// Waiting is the store time of the oldest message that was not consumed yet, zero
// when there is none.
func (p *Progress) Waiting() (oldest time.Time) {
	for _, q := range p.Queues {
		if !q.Waiting.IsZero() && (oldest.IsZero() || q.Waiting.Before(oldest)) {
			oldest = q.Waiting
		}
	}
	return oldest
}

// Progress gives how far a group has come in a topic, or in all its topics when
// topic is empty, at the masters of a cluster, or of all when that is empty. With
// ages, each queue with a lag is asked for its oldest message. ErrNoProgress when the
// group has no place anywhere; brokers that do not answer are errors beside what the
// others say.
func (a *Admin) Progress(ctx context.Context, cluster, group, topic string, ages bool) (*Progress, error) {
	p := &Progress{Group: group, Queues: []QueueProgress{}}
	errs := a.everyMaster(ctx, cluster, func(ctx context.Context, n Node) error {
		s, err := rpc.ConsumeStats(ctx, a.caller, n.Addr, group, topic)
		if err != nil {
			return err
		}
		p.Rate += s.ConsumeTps
		for q, w := range s.OffsetTable {
			if w.ConsumerOffset, err = a.stored(ctx, n.Addr, group, q, w); err != nil {
				return err
			}
			p.Queues = append(p.Queues, progress(n, q, w))
		}
		return nil
	})
	slices.SortFunc(p.Queues, func(x, y QueueProgress) int {
		return cmp.Or(cmp.Compare(x.Topic, y.Topic), cmp.Compare(x.Broker, y.Broker), cmp.Compare(x.ID, y.ID))
	})
	for i := range p.Queues {
		q := &p.Queues[i]
		p.Lag += q.Lag
		if !ages || q.Lag == 0 {
			continue
		}
		list, _, err := a.pull(ctx, q.Queue, max(q.Next, 0), 1)
		switch {
		case ctx.Err() != nil:
			return p, context.Cause(ctx)
		case err != nil:
			errs = errors.Join(errs, err)
		case len(list) > 0:
			q.Waiting = list[0].StoreTime
		}
	}
	if len(p.Queues) == 0 && errs == nil {
		return nil, fmt.Errorf("%w: %s", ErrNoProgress, group)
	}
	return p, errs
}

// ErrNoProgress: a consumer group has consumed nothing yet, nor has its place been
// set.
var ErrNoProgress = errors.New("the consumer group has no offsets")

// stored is a group's offset in a queue, -1 where it has none. Statistics of a broker
// say 0 for both the first message and none: then it is asked again. Who may not ask
// for that, and brokers before 5.0, leave it at 0.
func (a *Admin) stored(ctx context.Context, addr, group string, q body.MessageQueue, w body.OffsetWrapper) (int64, error) {
	if w.ConsumerOffset != 0 {
		return w.ConsumerOffset, nil
	}
	offset, err := rpc.StoredOffset(ctx, a.caller, addr, group, q.Topic, q.QueueID)
	switch {
	case errors.Is(err, rpc.QueryNotFound):
		return -1, nil
	case errors.Is(err, rpc.NoPermission):
		return 0, nil
	}
	return offset, err
}

func progress(n Node, q body.MessageQueue, w body.OffsetWrapper) QueueProgress {
	p := QueueProgress{
		Queue: Queue{Topic: q.Topic, Broker: q.BrokerName, ID: q.QueueID, addr: n.Addr},
		Next:  w.ConsumerOffset, End: w.BrokerOffset, Lag: max(w.BrokerOffset-max(w.ConsumerOffset, 0), 0),
	}
	if w.LastTimestamp > 0 {
		p.Consumed = time.UnixMilli(w.LastTimestamp)
	}
	return p
}

// everyMaster calls fn for the masters of a cluster, or of all when it is empty, one
// after the other, and joins the errors, each with the name of its broker.
func (a *Admin) everyMaster(ctx context.Context, cluster string, fn func(ctx context.Context, n Node) error) error {
	nodes, err := a.Nodes(ctx, cluster)
	if err != nil {
		return err
	}
	return a.eachNode(ctx, Masters(nodes), fn)
}
