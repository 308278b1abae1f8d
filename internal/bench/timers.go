// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/twostage/twostage/message"
)

// TimerLoad sends messages that are to be delivered later, and consumes them.
// Sends are those of [Send], for Duration; there is no warm-up, for what it sends
// is delivered as well. Topics above 1 and several targets are refused.
type TimerLoad struct {
	Load
	// Delay is how long after it was sent a message is to be delivered, whole
	// milliseconds: by TIMER_DELIVER_MS, with Relative by TIMER_DELAY_MS, with Level
	// above 0 by that level, which means Delay on the broker.
	Delay    time.Duration
	Relative bool
	Level    int
	// Burst has all messages delivered in one second, which begins Delay after the
	// last was sent; not with Relative or Level.
	Burst  bool
	Linger time.Duration // how long after the last time messages are waited for
}

// TimerResult is how fast timers went in and out, and how exact they were.
// Lateness is when a message arrived at the consumer, less when it was asked for:
// its TIMER_DELIVER_MS, or the millisecond in which it was sent plus Delay. Both
// are the loader's clock, so that a broker on another machine must have the same.
type TimerResult struct {
	Sent       *Result // of sends; ServerCPU and LoaderCPU are those of sending
	Asked      int64   // messages that were sent, with those after Sent was measured
	Received   int64   // of these, each once
	Duplicated int64   // received again
	Early      int64   // received before they were to be
	Earliest   time.Duration
	Lateness   *hdrhistogram.Histogram // of those not early, in nanoseconds, those beyond two minutes as two minutes
	Latest     time.Duration
	Delivering time.Duration // from the first that was received to the last
	Elapsed    time.Duration // from the first send to the end
	ServerCPU  time.Duration // of all; 0: not measured
	LoaderCPU  time.Duration
}

// OutPerSecond is how many messages a second were received from the first to the
// last.
func (r *TimerResult) OutPerSecond() float64 {
	return float64(r.Received) / max(r.Delivering, time.Millisecond).Seconds()
}

// ServerMicros is the broker's CPU time for a message, in and out, in microseconds.
func (r *TimerResult) ServerMicros() float64 {
	return float64(r.ServerCPU) / float64(time.Microsecond) / float64(max(r.Received, 1))
}

// Err says what the broker did that it must not do, nil when there is nothing.
func (r *TimerResult) Err() error {
	var errs []error
	if r.Early > 0 {
		errs = append(errs, fmt.Errorf("%d messages were delivered before their time, by up to %v", r.Early, r.Earliest))
	}
	if r.Duplicated > 0 {
		errs = append(errs, fmt.Errorf("%d messages were delivered twice", r.Duplicated))
	}
	if n := r.Asked - r.Received; n > 0 {
		errs = append(errs, fmt.Errorf("%d of %d messages were not delivered", n, r.Asked))
	}
	return errors.Join(errs...)
}

// timersRun is one run of a TimerLoad.
type timersRun struct {
	load  *TimerLoad
	id    uint16
	burst int64         // ms since 1970: begin of the second of Burst
	sends []*timedSends // by connection

	mu          sync.Mutex
	res         TimerResult
	first, last time.Time // receipts
}

// timedSends are the messages of one connection. Their keys are, from the high
// end, 16 bits of the run, 16 of the connection and 32 of the message's number.
type timedSends struct {
	run   *timersRun
	conn  int
	mu    sync.Mutex
	asked []int64 // by number: ms since 1970; negative: was received
}

// property is what messages have behind their other properties.
func (r *timersRun) property() string {
	delay := strconv.FormatInt(r.load.Delay.Milliseconds(), 10)
	switch {
	case r.load.Level > 0:
		return "\x02" + message.PropertyDelay + "\x01" + strconv.Itoa(r.load.Level)
	case r.load.Relative:
		return "\x02" + message.PropertyTimerDelayMillis + "\x01" + delay
	}
	return "\x02" + message.PropertyTimerDeliver + "\x01" + deliverPlace
}

// next gives the key of the next message, and when it is to be delivered.
func (s *timedSends) next() (key uint64, millis int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.asked)
	if s.run.load.Burst {
		millis = s.run.burst + int64(n)%1000
	} else {
		millis = time.Now().UnixMilli() + s.run.load.Delay.Milliseconds()
	}
	s.asked = append(s.asked, millis)
	return uint64(s.run.id)<<48 | uint64(s.conn)<<32 | uint64(n), millis
}

// receive notes that a message has come.
func (r *timersRun) receive(key uint64, now time.Time) {
	conn, n := int(key>>32&0xFFFF), int(uint32(key))
	if uint16(key>>48) != r.id || conn >= len(r.sends) {
		return // of another run
	}
	s := r.sends[conn]
	s.mu.Lock()
	if n >= len(s.asked) {
		s.mu.Unlock()
		return
	}
	millis := s.asked[n]
	if millis > 0 {
		s.asked[n] = -millis
	}
	s.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	if millis < 0 {
		r.res.Duplicated++
		return
	}
	if r.res.Received == 0 {
		r.first = now
	}
	r.last = now
	r.res.Received++
	late := now.Sub(time.UnixMilli(millis))
	if late < 0 {
		r.res.Early++
		r.res.Earliest = max(r.res.Earliest, -late)
		return
	}
	r.res.Latest = max(r.res.Latest, late)
	_ = r.res.Lateness.RecordValue(int64(min(late, longest))) // in range
}

// sent is how many messages there are, and the last time of delivery.
func (r *timersRun) sent() (n, last int64) {
	for _, s := range r.sends {
		s.mu.Lock()
		n += int64(len(s.asked))
		for _, ms := range s.asked {
			last = max(last, ms, -ms)
		}
		s.mu.Unlock()
	}
	return n, last
}

func (l *TimerLoad) check() error {
	switch {
	case len(l.Targets) != 1 || l.Targets[0].Queues < 1 || l.Topics > 1:
		return errors.New("bench: timers need one broker and one topic with queues")
	case l.Conns > 1<<16:
		return fmt.Errorf("bench: %d connections: at most %d", l.Conns, 1<<16)
	case l.Delay < time.Millisecond || l.Delay%time.Millisecond != 0:
		return fmt.Errorf("bench: a delay of %v: whole milliseconds, at least one", l.Delay)
	case l.Burst && (l.Relative || l.Level > 0):
		return errors.New("bench: all in one second goes by TIMER_DELIVER_MS only")
	case l.Fill:
		return errors.New("bench: timers do not fill queues")
	}
	return nil
}

// Timers runs the load. Its error says that it could not be run; what the broker
// did wrong is in [TimerResult.Err].
func Timers(ctx context.Context, l TimerLoad) (*TimerResult, error) {
	if err := l.check(); err != nil {
		return nil, err
	}
	l.Warmup = 0
	r := &timersRun{load: &l, id: uint16(rand.Uint32()), res: TimerResult{Lateness: newHistogram()}}
	for i := range l.Conns {
		r.sends = append(r.sends, &timedSends{run: r, conn: i})
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	tail, err := startTail(ctx, cancel, &l.Load, l.TopicName(0), func(rec *message.Record, now time.Time) {
		if key, ok := keyOf(rec); ok {
			r.receive(key, now)
		}
	})
	if err != nil {
		return nil, err
	}
	defer tail.stop()
	from, err := l.usage()
	if err != nil {
		return nil, err
	}
	r.burst = time.Now().Add(l.Duration + l.Delay).UnixMilli()
	l.timers = r
	sent, err := Send(ctx, l.Load)
	if err != nil {
		return nil, err
	}
	if err := r.await(ctx); err != nil {
		return nil, err
	}
	to, err := l.usage()
	if err != nil {
		return nil, err
	}
	tail.stop()
	res := &r.res
	res.Sent, res.Elapsed, res.ServerCPU, res.LoaderCPU = sent, to.at.Sub(from.at), to.server-from.server, to.own-from.own
	res.Asked, _ = r.sent()
	res.Delivering = r.last.Sub(r.first)
	return res, nil
}

// await waits until all has come, or the last is long due.
func (r *timersRun) await(ctx context.Context) error {
	asked, last := r.sent()
	limit := time.NewTimer(time.Until(time.UnixMilli(last)) + r.load.Linger)
	defer limit.Stop()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-limit.C:
			return nil
		case <-look.C:
		}
		r.mu.Lock()
		received := r.res.Received
		r.mu.Unlock()
		if received >= asked {
			return nil
		}
	}
}

// keyOf reads the number in the UNIQ_KEY of a message that a template made.
func keyOf(rec *message.Record) (uint64, bool) {
	text, ok := rec.Property(message.PropertyUniqueKey)
	if !ok || len(text) != len(keyPrefix)+16 || string(text[:len(keyPrefix)]) != keyPrefix {
		return 0, false
	}
	n, err := strconv.ParseUint(string(text[len(keyPrefix):]), 16, 64)
	return n, err == nil
}
