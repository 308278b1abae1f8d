// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// tail is a consumer of all that comes to a topic's queues from now on: a held
// pull at each, on a connection of its own.
type tail struct {
	cancel context.CancelFunc
	client *remoting.Client
	wg     sync.WaitGroup
	once   sync.Once
}

// tailCount is how many messages a tail asks for at once; the broker's own limit
// comes before it.
const tailCount = 1024

// startTail begins to consume a topic of the load's first target. visit gets each
// message, several at a time, with when the answer that held it came; the record
// is valid during the call. An error ends ctx by fail.
func startTail(ctx context.Context, fail context.CancelCauseFunc, l *Load, topic string, visit func(rec *message.Record, now time.Time)) (*tail, error) {
	t := l.Targets[0]
	s := &tail{client: remoting.NewClient(remoting.ClientConfig{Version: wire.Version, Language: wire.LanguageJava})}
	ctx, s.cancel = context.WithCancel(ctx)
	starts := make([]int64, t.Queues)
	for q := range starts {
		var err error
		if starts[q], err = rpc.MaxOffset(ctx, s.client, t.Addr, topic, int32(q)); err != nil {
			s.stop()
			return nil, fmt.Errorf("bench: %w", err)
		}
	}
	for q, at := range starts {
		s.wg.Go(func() {
			p := &header.PullRequest{
				ConsumerGroup: []byte(ConsumerGroup), Topic: []byte(topic), QueueID: int32(q), QueueOffset: at, MaxMsgNums: tailCount,
				SysFlag: header.PullSubscription | header.PullSuspend, SuspendTimeoutMillis: wakeHold.Milliseconds(), Subscription: []byte("*"),
			}
			if err := follow(ctx, s.client, t.Addr, p, visit); ctx.Err() == nil {
				fail(fmt.Errorf("bench: pull: %w", err))
			}
		})
	}
	return s, nil
}

// follow pulls again and again from p.QueueOffset on, until an error comes, which it
// returns; the end of ctx is one.
func follow(ctx context.Context, c rpc.Caller, addr string, p *header.PullRequest, visit func(rec *message.Record, now time.Time)) error {
	for {
		got, err := rpc.Pull(ctx, c, addr, p)
		if err != nil {
			return err
		}
		now := time.Now()
		err = message.RangeRecords(got.Records, false, func(rec *message.Record) error {
			visit(rec, now)
			return nil
		})
		if err != nil {
			return err
		}
		if got.Code == wire.PullOffsetMoved && got.Header.NextBeginOffset < p.QueueOffset {
			return errors.New("the broker says that the queue has become shorter")
		}
		p.QueueOffset = got.Header.NextBeginOffset
	}
}

// stop ends the consumer and waits for it.
func (s *tail) stop() {
	s.once.Do(func() {
		s.cancel()
		_ = s.client.Close()
		s.wg.Wait()
	})
}
