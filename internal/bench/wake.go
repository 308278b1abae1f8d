// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// wakeHold is how long a pull asks to be held.
const wakeHold = 15 * time.Second

// Wakes is what Wake measured.
type Wakes struct {
	Sent      *Result // one message each: from when it was due to its answer
	Delivered *Result // one message each: from when it was due to its arrival at the consumer
}

// waking is one run of Wake.
type waking struct {
	l        Load
	epoch    time.Time
	from, to time.Duration // what is due in between is counted
	server   time.Duration // CPU time at from
	own      time.Duration // likewise, of this process
	mu       sync.Mutex
	sent     *hdrhistogram.Histogram
	received *hdrhistogram.Histogram
}

// Wake sends Rate messages a second to the queues of one topic of one broker in
// turn, each in an open loop, while a consumer holds a pull at each queue, on a
// connection of its own. Bodies have Size bytes, at least 8. ctx ends it with an
// error.
func Wake(ctx context.Context, l Load) (*Wakes, error) {
	if len(l.Targets) != 1 || l.Targets[0].Queues < 1 || l.Rate <= 0 {
		return nil, errors.New("bench: wake-ups need one broker, queues and a rate above 0")
	}
	w := &waking{l: l, from: l.Warmup, to: l.Warmup + l.Duration, sent: newHistogram(), received: newHistogram()}
	t := l.Targets[0]
	config := remoting.ClientConfig{Version: wire.Version, Language: wire.LanguageJava}
	producer, consumer := remoting.NewClient(config), remoting.NewClient(config)
	defer producer.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	starts := make([]int64, t.Queues)
	for q := range starts {
		var err error
		if starts[q], err = rpc.MaxOffset(ctx, consumer, t.Addr, l.TopicName(0), int32(q)); err != nil {
			_ = consumer.Close()
			return nil, fmt.Errorf("bench: %w", err)
		}
	}
	w.epoch = time.Now()
	var pulls, sends sync.WaitGroup
	for q, at := range starts {
		pulls.Go(func() {
			cancel(fmt.Errorf("bench: pull: %w", w.pull(ctx, consumer, t.Addr, int32(q), at))) // the first cause counts
		})
	}
	w.send(ctx, cancel, producer, &sends)
	sends.Wait()
	err := context.Cause(ctx)
	if err == nil {
		err = w.drain(ctx)
	}
	cancel(nil)
	_ = consumer.Close()
	pulls.Wait()
	if err != nil {
		return nil, err
	}
	res := &Wakes{Sent: w.result(w.sent), Delivered: w.result(w.received)}
	server, err := l.cpu()
	if err != nil {
		return nil, err
	}
	for _, r := range []*Result{res.Sent, res.Delivered} {
		r.ServerCPU, r.LoaderCPU = server-w.server, ownCPU()-w.own
	}
	return res, nil
}

// send sends what is due until the time is over.
func (w *waking) send(ctx context.Context, cancel context.CancelCauseFunc, c rpc.Caller, sends *sync.WaitGroup) {
	interval := float64(time.Second) / w.l.Rate
	timer := time.NewTimer(0)
	defer timer.Stop()
	counting := false
	for i := 0; ; i++ {
		due := time.Duration(float64(i) * interval)
		if due >= w.to {
			return
		}
		timer.Reset(max(due-time.Since(w.epoch), 0))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if !counting && due >= w.from {
			counting = true
			var err error
			if w.server, err = w.l.cpu(); err != nil {
				cancel(err)
				return
			}
			w.own = ownCPU()
		}
		sends.Go(func() {
			body := make([]byte, max(w.l.Size, 8))
			binary.BigEndian.PutUint64(body, uint64(due))
			h := &header.SendRequest{ProducerGroup: []byte(ConsumerGroup), Topic: []byte(w.l.TopicName(0)), DefaultTopic: []byte(message.TopicAutoCreate),
				QueueID: int32(i) % w.l.Targets[0].Queues, BornTimestamp: time.Now().UnixMilli()}
			if _, err := rpc.Send(ctx, c, w.l.Targets[0].Addr, h, body); err != nil {
				cancel(fmt.Errorf("bench: send: %w", err))
				return
			}
			w.record(w.sent, due)
		})
	}
}

// pull takes what comes to a queue until ctx ends, or an error comes.
func (w *waking) pull(ctx context.Context, c rpc.Caller, addr string, queue int32, at int64) error {
	for {
		p, err := rpc.Pull(ctx, c, addr, &header.PullRequest{
			ConsumerGroup: []byte(ConsumerGroup), Topic: []byte(w.l.TopicName(0)), QueueID: queue, QueueOffset: at, MaxMsgNums: defaultCount,
			SysFlag: header.PullSubscription | header.PullSuspend, SuspendTimeoutMillis: wakeHold.Milliseconds(), Subscription: []byte("*"),
		})
		if err != nil {
			return err
		}
		err = message.RangeRecords(p.Records, false, func(rec *message.Record) error {
			if len(rec.Body) >= 8 {
				w.record(w.received, time.Duration(binary.BigEndian.Uint64(rec.Body)))
			}
			return nil
		})
		if err != nil {
			return err
		}
		at = p.Header.NextBeginOffset
	}
}

// record notes that something has happened to the message that was due then.
func (w *waking) record(h *hdrhistogram.Histogram, due time.Duration) {
	late := time.Since(w.epoch) - due
	if due < w.from {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	_ = h.RecordValue(int64(min(max(late, 0), longest))) // in range
}

// drain waits until what was sent has come.
func (w *waking) drain(ctx context.Context) error {
	limit := time.NewTimer(wakeHold)
	defer limit.Stop()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for {
		w.mu.Lock()
		missing := w.sent.TotalCount() - w.received.TotalCount()
		w.mu.Unlock()
		if missing <= 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-limit.C:
			return fmt.Errorf("bench: %d messages did not come within %v", missing, wakeHold)
		case <-look.C:
		}
	}
}

func (w *waking) result(h *hdrhistogram.Histogram) *Result {
	n := h.TotalCount()
	return &Result{Messages: n, Bytes: n * int64(max(w.l.Size, 8)), Elapsed: w.l.Duration, Latency: h, DiskRead: -1}
}
