// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// usage is what the processes have used at some time.
type usage struct {
	at     time.Time
	own    time.Duration
	server time.Duration
	disk   int64 // bytes that the server had read; -1 when that can't be known
}

// cpu is the CPU time that the server has used; 0 when it is not to be measured.
func (l *Load) cpu() (time.Duration, error) {
	if l.PID == 0 {
		return 0, nil
	}
	d, err := ProcessCPU(l.PID)
	if err != nil {
		return 0, fmt.Errorf("bench: reading the server's CPU time: %w", err)
	}
	return d, nil
}

// usage reads what was used so far; of the server only when it is to be measured.
func (l *Load) usage() (u usage, err error) {
	u.disk = -1
	if l.PID != 0 {
		if n, err := processReads(l.PID); err == nil { // another user's process does not tell
			u.disk = n
		}
	}
	u.server, err = l.cpu()
	u.own, u.at = ownCPU(), time.Now()
	return u, err
}

// fill waits until full, if the load is to fill the queues, and tells how long
// that took.
func (l *Load) fill(ctx context.Context, full func() bool, done <-chan struct{}) (time.Duration, error) {
	if !l.Fill {
		return 0, nil
	}
	start := time.Now()
	for !full() {
		if err := wait(ctx, 10*time.Millisecond, done, nil); err != nil {
			return 0, err
		}
		select {
		case <-done:
			return 0, errors.New("bench: the senders ended before every queue had a message")
		default:
		}
	}
	return time.Since(start), nil
}

// measure waits through the warm-up, then counts for the load's duration, or
// until done.
func (l *Load) measure(ctx context.Context, total func() (n, bytes int64), measuring *atomic.Bool, done <-chan struct{}) (*Result, error) {
	if err := wait(ctx, l.Warmup, done, nil); err != nil {
		return nil, err
	}
	from, err := l.usage()
	if err != nil {
		return nil, err
	}
	var n0, bytes0 int64
	if l.Warmup > 0 {
		n0, bytes0 = total()
	}
	measuring.Store(true)
	err = wait(ctx, l.Duration, done, func() {
		if l.Progress != nil {
			e := time.Since(from.at)
			n, _ := total()
			l.Progress(e, float64(n-n0)/e.Seconds())
		}
	})
	if err != nil {
		return nil, err
	}
	measuring.Store(false)
	n, bytes := total()
	to, err := l.usage()
	if err != nil {
		return nil, err
	}
	res := &Result{
		Messages: n - n0, Bytes: bytes - bytes0, Elapsed: to.at.Sub(from.at), LoaderCPU: to.own - from.own,
		ServerCPU: to.server - from.server, DiskRead: -1,
	}
	if from.disk >= 0 && to.disk >= 0 {
		res.DiskRead = to.disk - from.disk
	}
	return res, nil
}

// wait lets d pass, calling tick every second, and ends early when ctx does or
// when done is closed.
func wait(ctx context.Context, d time.Duration, done <-chan struct{}, tick func()) error {
	end := time.NewTimer(d)
	defer end.Stop()
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-done:
			return context.Cause(ctx) // the error of the last one to end, if any
		case <-end.C:
			return nil
		case <-second.C:
			if tick != nil {
				tick()
			}
		}
	}
}
