// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"net"
	"time"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// registering is how many first heartbeats are on their way at a time.
const registering = 64

// register sends the first heartbeat of each consumer.
func (r *clientsRun) register() (time.Duration, error) {
	start := time.Now()
	err := Several(r.ctx, r.load.Consumers, registering, func(ctx context.Context, i int) error { return r.beat(ctx, i) })
	return time.Since(start), err
}

func (r *clientsRun) group(i int) string {
	return fmt.Sprintf("%s%08x_%d", ClientsGroupPrefix, r.id, i%r.load.Groups)
}

// beat sends the heartbeat of a consumer. The members of one group are on
// different connections.
func (r *clientsRun) beat(ctx context.Context, i int) error {
	if err := rpc.Heartbeat(ctx, r.links[(i/r.load.Groups+i%r.load.Groups)%len(r.links)], r.addr, r.heartbeat(i)); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	return nil
}

// heartbeat is what the Go client v2.1.2 says: its own producer group, and the
// group with its subscription and that to its retry topic.
func (r *clientsRun) heartbeat(i int) *body.HeartbeatData {
	group := r.group(i)
	subscription := func(topic string) body.SubscriptionData {
		return body.SubscriptionData{Topic: topic, SubString: "*", ExpressionType: "TAG", SubVersion: int64(r.id)}
	}
	return &body.HeartbeatData{
		ClientID: fmt.Sprintf("127.0.0.1@%d#%d", r.id, i), ProducerDataSet: []body.ProducerData{{GroupName: "CLIENT_INNER_PRODUCER"}},
		ConsumerDataSet: []body.ConsumerData{{
			GroupName: group, ConsumeType: body.ConsumePassively, MessageModel: body.Clustering, ConsumeFromWhere: body.ConsumeFromLastOffset,
			SubscriptionDataSet: []body.SubscriptionData{subscription(r.load.TopicName(1)), subscription(message.RetryPrefix + group)},
		}},
	}
}

// start begins all that goes on until the end.
func (r *clientsRun) start() error {
	l := r.load
	ends := map[string][]int64{}
	for _, topic := range []string{l.TopicName(1), l.TopicName(2)} {
		for q := range l.Targets[0].Queues {
			end, err := rpc.MaxOffset(r.ctx, r.links[0], r.addr, topic, q)
			if err != nil {
				return fmt.Errorf("bench: %w", err)
			}
			ends[topic] = append(ends[topic], end)
		}
	}
	r.epoch = time.Now()
	for g := range l.Groups {
		for q, at := range ends[l.TopicName(1)] {
			r.wg.Go(func() { r.consume(g, r.pullRequest(g, l.TopicName(1), q, at)) })
		}
	}
	for i := range l.Polls {
		q := i % int(l.Targets[0].Queues)
		r.wg.Go(func() { r.poll(r.links[i%len(r.links)], r.pullRequest(i, l.TopicName(2), q, ends[l.TopicName(2)][q])) })
	}
	for range l.Stalled {
		r.wg.Go(r.stall)
	}
	for i := range l.Scans {
		r.wg.Go(func() { r.scan(r.links[i%len(r.links)]) })
	}
	if l.Consumers > 0 {
		rate := float64(l.Consumers) / l.Beat.Seconds()
		r.open(rate, func(i int, due time.Duration) error {
			if err := r.beat(r.ctx, i%l.Consumers); err != nil {
				return err
			}
			r.record(r.heartbeats, due, time.Now())
			return nil
		})
	}
	if l.HotRate > 0 && l.Groups > 0 {
		r.open(l.HotRate, func(i int, due time.Duration) error {
			if r.stopHot.Load() {
				return nil
			}
			r.sent.Add(1)
			return sendDue(r.ctx, r.hot, &l.Load, l.TopicName(1), i, due)
		})
	}
	return nil
}

// open begins an open loop, each call on a goroutine of its own.
func (r *clientsRun) open(rate float64, fn func(i int, due time.Duration) error) {
	r.wg.Go(func() {
		err := openLoop(r.ctx, r.epoch, rate, math.MaxInt64, func(i int, due time.Duration) {
			r.wg.Go(func() { r.ended(fn(i, due)) })
		})
		r.ended(err)
	})
}

// ended ends the run by an error that is not that of its end.
func (r *clientsRun) ended(err error) {
	if err != nil && r.ctx.Err() == nil {
		r.fail(err)
	}
}

func (r *clientsRun) pullRequest(group int, topic string, queue int, at int64) *header.PullRequest {
	name := ConsumerGroup
	if r.load.Groups > 0 {
		name = r.group(group)
	}
	return &header.PullRequest{
		ConsumerGroup: []byte(name), Topic: []byte(topic), QueueID: int32(queue), QueueOffset: at, MaxMsgNums: defaultCount,
		SysFlag: header.PullSubscription | header.PullSuspend, SuspendTimeoutMillis: r.load.Hold.Milliseconds(), Subscription: []byte("*"),
	}
}

// consume takes what comes to a queue, for a group.
func (r *clientsRun) consume(group int, p *header.PullRequest) {
	r.ended(follow(r.ctx, r.links[group%r.load.Links], r.addr, p, func(rec *message.Record, now time.Time) {
		if len(rec.Body) >= 8 {
			r.received.Add(1)
			r.record(r.delivered, time.Duration(binary.BigEndian.Uint64(rec.Body)), now)
		}
	}))
}

// poll holds a pull, and another when it is over.
func (r *clientsRun) poll(c rpc.Caller, p *header.PullRequest) {
	for {
		asked := time.Now()
		got, err := rpc.Pull(r.ctx, c, r.addr, p)
		if err != nil {
			r.ended(fmt.Errorf("bench: pull: %w", err))
			return
		}
		p.QueueOffset = got.Header.NextBeginOffset
		if got.Code == wire.PullNotFound && time.Since(asked) < r.load.Hold/2 {
			r.unheld.Add(1)
			if wait(r.ctx, r.load.Hold/2, nil, nil) != nil { // or it would be asked over and over
				return
			}
		}
	}
}

// scan reads all topics and groups, over and over.
func (r *clientsRun) scan(c rpc.Caller) {
	for r.ctx.Err() == nil {
		_, err := rpc.AllTopics(r.ctx, c, r.addr)
		if err == nil {
			_, err = rpc.AllGroups(r.ctx, c, r.addr)
		}
		if err != nil {
			r.ended(fmt.Errorf("bench: %w", err))
			return
		}
		if r.measuring.Load() {
			r.scanned.Add(1)
		}
	}
}

const (
	stalledPulls = 4096        // pulls that a stalled connection asks for
	stalledPause = time.Second // until it dials again
)

// stall asks for more messages than a connection's buffers hold, and reads none of
// the answers. Where the broker closes the connection while it asks, it asks on
// another.
func (r *clientsRun) stall() {
	var frames []byte
	for i := range stalledPulls {
		frames = wire.AppendRequest(frames, &wire.Request{
			Code: wire.ReqPullMessage, Opaque: firstOpaque + int32(i), Encoding: r.load.Encoding, Language: wire.LanguageGo, Version: wire.Version,
			Header: &header.PullRequest{
				ConsumerGroup: []byte(ConsumerGroup), Topic: []byte(r.load.TopicName(0)), QueueID: int32(i) % r.load.Targets[0].Queues,
				MaxMsgNums: defaultCount, SysFlag: header.PullSubscription, Subscription: []byte("*"),
			},
		})
	}
	for r.ctx.Err() == nil {
		conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(r.ctx, "tcp", r.addr)
		if err == nil {
			stop := context.AfterFunc(r.ctx, func() { _ = conn.Close() })
			if _, err := conn.Write(frames); err == nil { // blocks when the broker does not read on
				<-r.ctx.Done()
			}
			stop()
			_ = conn.Close()
		}
		if wait(r.ctx, stalledPause, nil, nil) != nil {
			return
		}
	}
}
