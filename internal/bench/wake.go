// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
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
// connection of its own. Messages are sent within some 50 us of when they are due. Bodies have Size bytes, at least 8. ctx ends it with an
// error.
func Wake(ctx context.Context, l Load) (*Wakes, error) {
	if len(l.Targets) != 1 || l.Targets[0].Queues < 1 || l.Rate <= 0 {
		return nil, errors.New("bench: wake-ups need one broker, queues and a rate above 0")
	}
	w := &waking{l: l, from: l.Warmup, to: l.Warmup + l.Duration, sent: newHistogram(), received: newHistogram()}
	producer := remoting.NewClient(remoting.ClientConfig{Version: wire.Version, Language: wire.LanguageJava})
	defer producer.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var begun atomic.Bool // what comes before is another's
	tail, err := startTail(ctx, cancel, &l, l.TopicName(0), func(rec *message.Record, now time.Time) {
		if begun.Load() && len(rec.Body) >= 8 {
			w.record(w.received, time.Duration(binary.BigEndian.Uint64(rec.Body)), now)
		}
	})
	if err != nil {
		return nil, err
	}
	defer tail.stop()
	w.epoch = time.Now()
	begun.Store(true)
	var sends, sender sync.WaitGroup
	defer moreProcs(1)()
	sender.Go(func() { w.send(ctx, cancel, producer, &sends) }) // its thread ends with it
	sender.Wait()
	sends.Wait()
	if err = context.Cause(ctx); err == nil {
		err = w.drain(ctx)
	}
	tail.stop()
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
	counting := false
	err := openLoop(ctx, w.epoch, w.l.Rate, w.to, func(i int, due time.Duration) {
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
			if err := sendDue(ctx, c, &w.l, w.l.TopicName(0), i, due); err != nil {
				cancel(err)
				return
			}
			w.record(w.sent, due, time.Now())
		})
	})
	if err != nil {
		cancel(err)
	}
}

// sendDue sends message i to a queue of a topic of the load's first target: its
// body, of Size bytes and at least 8, begins with when it was due.
func sendDue(ctx context.Context, c rpc.Caller, l *Load, topic string, i int, due time.Duration) error {
	body := make([]byte, max(l.Size, 8))
	binary.BigEndian.PutUint64(body, uint64(due))
	h := &header.SendRequest{
		ProducerGroup: []byte(ConsumerGroup), Topic: []byte(topic), DefaultTopic: []byte(message.TopicAutoCreate),
		QueueID: int32(i) % l.Targets[0].Queues, BornTimestamp: time.Now().UnixMilli(),
	}
	if _, err := rpc.Send(ctx, c, l.Targets[0].Addr, h, body); err != nil {
		return fmt.Errorf("bench: send: %w", err)
	}
	return nil
}

// record notes that something has happened to the message that was due then.
func (w *waking) record(h *hdrhistogram.Histogram, due time.Duration, now time.Time) {
	late := now.Sub(w.epoch) - due
	if due < w.from || due >= w.to { // the latter is another's
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
