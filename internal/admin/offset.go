// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
)

// Position is a place in a queue. The zero Position is the first message.
type Position struct {
	kind   uint8
	millis int64
	offset int64
}

const (
	positionFirst uint8 = iota
	positionEnd
	positionTime
	positionOffset
)

// Earliest is the first message of a queue.
func Earliest() Position { return Position{} }

// Latest is behind the last message of a queue.
func Latest() Position { return Position{kind: positionEnd, millis: -1} }

// AtTime is the first message that was stored at t, in whole milliseconds, or later;
// behind the last one where there is none.
func AtTime(t time.Time) Position {
	return Position{kind: positionTime, millis: max(t.UnixMilli(), 0)}
}

// AtOffset is an offset of a queue.
func AtOffset(offset int64) Position { return Position{kind: positionOffset, offset: offset} }

// Reset says where to send a consumer group in a topic.
type Reset struct {
	Cluster, Group, Topic string // Cluster "": the only one there is
	To                    Position
	Broker                string // "": all queues; otherwise only Queue of this broker
	Queue                 int32
	RewindOnly            bool // queues that would pass over messages stay where they are
}

// Move is where a reset sends a consumer group in a queue.
type Move struct {
	Queue
	From  int64 `json:"from"` // -1: the group has no offset there; brokers before 5.0 say 0
	To    int64 `json:"to"`
	First int64 `json:"first"` // of the queue
	End   int64 `json:"end"`   // of the queue's next message
}

// Again is how many messages are consumed a second time.
func (m Move) Again() int64 { return max(min(m.From, m.End)-max(m.To, m.First), 0) }

// Skipped is how many messages are passed over, where the group has no offset those
// before the one it is sent to.
func (m Move) Skipped() int64 { return max(m.To-max(m.From, m.First), 0) }

// Moves gives what a reset would do by now, and changes nothing. Errors match
// ErrCluster, ErrNoGroup, ErrNoTopic and ErrNoQueue.
func (a *Admin) Moves(ctx context.Context, r Reset) ([]Move, error) {
	masters, err := a.masters(ctx, r.Cluster)
	if err != nil {
		return nil, err
	}
	if g, err := a.Group(ctx, masters[0].Cluster, r.Group); g == nil {
		return nil, err
	}
	queues, err := a.Queues(ctx, masters[0].Cluster, r.Topic)
	if err != nil {
		return nil, err
	}
	from := map[string]map[body.MessageQueue]body.OffsetWrapper{} // by broker
	var moves []Move
	for _, q := range queues {
		if r.Broker != "" && (q.Broker != r.Broker || q.ID != r.Queue) {
			continue
		}
		if from[q.Broker] == nil {
			err := a.request(ctx, q.addr, func(ctx context.Context, addr string) error {
				s, err := rpc.ConsumeStats(ctx, a.caller, addr, r.Group, r.Topic)
				if err == nil {
					from[q.Broker] = s.OffsetTable
				}
				return err
			})
			if err != nil {
				return nil, fmt.Errorf("broker %s: %w", q.Broker, err)
			}
		}
		m, err := a.move(ctx, q, r)
		if err != nil {
			return nil, err
		}
		if w, ok := from[q.Broker][q.wire()]; ok {
			err := a.request(ctx, q.addr, func(ctx context.Context, addr string) (err error) {
				m.From, err = a.stored(ctx, addr, r.Group, q.wire(), w)
				return err
			})
			if err != nil {
				return nil, q.wrap(err)
			}
		}
		if r.RewindOnly && m.From >= 0 && m.To > m.From {
			m.To = m.From
		}
		moves = append(moves, m)
	}
	if len(moves) == 0 {
		return nil, fmt.Errorf("%w: %s has no queue %d at broker %s", ErrNoQueue, r.Topic, r.Queue, r.Broker)
	}
	return moves, nil
}

// move finds where a reset goes in a queue.
func (a *Admin) move(ctx context.Context, q Queue, r Reset) (m Move, err error) {
	m = Move{Queue: q, From: -1}
	if m.First, m.End, err = a.Ends(ctx, q); err != nil {
		return m, err
	}
	switch r.To.kind {
	case positionFirst:
		m.To = m.First
	case positionEnd:
		m.To = m.End
	case positionTime:
		m.To, err = a.offsetAt(ctx, q, r.To.millis)
	case positionOffset:
		if m.To = r.To.offset; m.To < m.First || m.To > m.End {
			err = q.wrap(fmt.Errorf("offset %d: it has those from %d to %d", m.To, m.First, m.End))
		}
	}
	return m, err
}

// ErrWholeTopic: a broker moves online groups in a whole topic only.
var ErrWholeTopic = errors.New("the broker moves groups that are online in a whole topic only")

// Reset sends a consumer group elsewhere, and gives where it went in each queue.
// Consumers need not be online. With an error come the queues of the brokers that
// did it.
//
// A place by time, the first message and the end are found by each broker at the
// moment of the reset, but with RewindOnly. Brokers that leave resets to the consumers,
// all before 5.0 and others with useServerSideResetOffset=false, would move every queue
// where a single one or an offset is meant: they are not asked for that. While the
// group is not online its offsets are set there; otherwise ErrWholeTopic.
func (a *Admin) Reset(ctx context.Context, r Reset) ([]Move, error) {
	planned, err := a.Moves(ctx, r)
	if err != nil {
		return nil, err
	}
	byBroker := map[string][]Move{}
	var order []string
	for _, m := range planned {
		if byBroker[m.Queue.Broker] == nil {
			order = append(order, m.Queue.Broker)
		}
		byBroker[m.Queue.Broker] = append(byBroker[m.Queue.Broker], m)
	}
	var done []Move
	var errs []error
	for _, name := range order {
		moved, err := a.resetAt(ctx, r, byBroker[name])
		done = append(done, moved...)
		if err != nil {
			errs = append(errs, fmt.Errorf("broker %s: %w", name, err))
		}
	}
	return done, errors.Join(errs...)
}

// resetAt resets the queues of one broker.
func (a *Admin) resetAt(ctx context.Context, r Reset, moves []Move) (done []Move, err error) {
	addr := moves[0].addr
	byTime := &header.ResetOffsetRequest{Topic: r.Topic, Group: r.Group, Timestamp: r.To.millis, Force: !r.RewindOnly}
	whole := r.Broker == "" && r.To.kind != positionOffset
	if whole && !r.RewindOnly {
		return a.invokeReset(ctx, addr, byTime, moves)
	}
	itself, err := a.resetsItself(ctx, addr)
	switch {
	case err != nil:
		return nil, err
	case whole && !itself: // brokers that do it themselves may not look at Force
		return a.invokeReset(ctx, addr, byTime, moves)
	case !itself:
		if err := a.mustBeOffline(ctx, addr, r.Group); err != nil {
			return nil, err
		}
		return a.setOffsets(ctx, addr, r.Group, moves)
	}
	for _, m := range moves {
		some := []Move{m}
		if !r.RewindOnly || m.To != m.From {
			h := &header.ResetOffsetRequest{
				Topic: r.Topic, Group: r.Group, Force: true, QueueID: m.ID, HasQueueID: true, Offset: m.To, HasOffset: true,
			}
			if some, err = a.invokeReset(ctx, addr, h, some); err != nil {
				return done, err
			}
		}
		done = append(done, some...)
	}
	return done, nil
}

// invokeReset has a broker reset queues. One that leaves that to consumers, of which
// none is there, has the offsets set instead.
func (a *Admin) invokeReset(ctx context.Context, addr string, h *header.ResetOffsetRequest, moves []Move) ([]Move, error) {
	var went map[body.MessageQueue]int64
	err := a.request(ctx, addr, func(ctx context.Context, addr string) (err error) {
		went, err = rpc.ResetOffsets(ctx, a.caller, addr, h)
		return err
	})
	if errors.Is(err, rpc.ConsumerNotOnline) {
		return a.setOffsets(ctx, addr, h.Group, moves)
	}
	if err != nil {
		return nil, err
	}
	var done []Move
	for _, m := range moves {
		// Brokers of 4.9 leave their own name out of some answers.
		to, ok := went[m.wire()]
		if !ok {
			to, ok = went[body.MessageQueue{Topic: m.Topic, QueueID: m.ID}]
		}
		if ok {
			m.To = to
			done = append(done, m)
		}
	}
	if len(done) < len(moves) {
		return done, fmt.Errorf("%d of %d queues were reset: reset the others again", len(done), len(moves))
	}
	return done, nil
}

// setOffsets stores offsets of a group that is not online.
func (a *Admin) setOffsets(ctx context.Context, addr, group string, moves []Move) (done []Move, err error) {
	for _, m := range moves {
		err := a.request(ctx, addr, func(ctx context.Context, addr string) error {
			return rpc.UpdateOffset(ctx, a.caller, addr, group, m.Topic, m.ID, m.To)
		})
		if err != nil {
			return done, m.wrap(err)
		}
		done = append(done, m)
	}
	return done, nil
}

// resetsItself tells whether a broker sets offsets itself when it is asked for a
// reset. Only then it looks at queue and offset.
func (a *Admin) resetsItself(ctx context.Context, addr string) (yes bool, err error) {
	err = a.request(ctx, addr, func(ctx context.Context, addr string) error {
		keys, _, err := rpc.BrokerConfig(ctx, a.caller, addr)
		yes = keys["useServerSideResetOffset"] == "true"
		return err
	})
	return yes, err
}

func (a *Admin) mustBeOffline(ctx context.Context, addr, group string) error {
	err := a.request(ctx, addr, func(ctx context.Context, addr string) error {
		_, err := rpc.ConsumerConnection(ctx, a.caller, addr, group)
		return err
	})
	switch {
	case errors.Is(err, rpc.ConsumerNotOnline):
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("%w: stop the clients of group %s, or reset all queues by time", ErrWholeTopic, group)
}

// CloneOffsets gives a consumer group the offsets that another one has at the
// masters of a cluster, the only one when it is not named: of one topic, or of all that
// the other one has when topic is empty. It gives the topics that were cloned anywhere;
// ErrNoGroup when no broker has the group that is to get them, ErrNoProgress when there
// is nothing to clone.
func (a *Admin) CloneOffsets(ctx context.Context, cluster, from, to, topic string) (topics []string, err error) {
	masters, err := a.masters(ctx, cluster)
	if err != nil {
		return nil, err
	}
	cluster = masters[0].Cluster
	if g, err := a.Group(ctx, cluster, to); g == nil {
		return nil, err
	}
	err = a.everyMaster(ctx, cluster, func(ctx context.Context, n Node) error {
		s, err := rpc.ConsumeStats(ctx, a.caller, n.Addr, from, topic)
		if err != nil {
			return err
		}
		here := map[string]bool{}
		for q, w := range s.OffsetTable {
			at, err := a.stored(ctx, n.Addr, from, q, w)
			if err != nil {
				return err
			}
			here[q.Topic] = here[q.Topic] || at >= 0
		}
		for _, name := range slices.Sorted(maps.Keys(here)) {
			if !here[name] {
				continue
			}
			h := &header.CloneGroupOffsetRequest{SrcGroup: from, DestGroup: to, Topic: name, Offline: true}
			if err := rpc.CloneOffsets(ctx, a.caller, n.Addr, h); err != nil {
				return fmt.Errorf("topic %s: %w", name, err)
			}
			topics = append(topics, name)
		}
		return nil
	})
	slices.Sort(topics)
	topics = slices.Compact(topics)
	if len(topics) == 0 && err == nil {
		return nil, fmt.Errorf("%w: %s", ErrNoProgress, from)
	}
	return topics, err
}
