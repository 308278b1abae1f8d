// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/message"
)

// DeadlineLoad stores half messages, decides none of them, and waits for the
// first check of each. Warmup, Duration and Progress are not looked at.
type DeadlineLoad struct {
	Load
	Pending int // half messages, at most [MaxPending]
	// The deadlines of the messages (CHECK_IMMUNITY_TIME_IN_SECONDS) are Deadline and
	// up to Spread more, in turn; both in whole seconds.
	Deadline, Spread time.Duration
	Linger           time.Duration // how long after the last deadline checks are waited for
	// Report, when set, is told every second how many are stored, and how many of
	// them were checked.
	Report func(elapsed time.Duration, stored, checked int64)
}

// MaxPending bounds DeadlineLoad.Pending.
const MaxPending = 100_000_000

// DeadlineResult is how accurate the deadlines were. Times count from the moment
// just before a half message was sent: the broker's deadline, which counts from
// storing it, is later by up to the latency of the half message, and so is no
// check that comes before.
type DeadlineResult struct {
	Stored     int64
	Checked    int64                   // checked at least once
	Early      int64                   // first checks before the deadline
	Earliest   time.Duration           // by how much, at most
	Duplicated int64                   // checks of a transaction that was decided by one, and answered
	Lateness   *hdrhistogram.Histogram // of first checks that are not early, in nanoseconds, those beyond two minutes as two minutes
	Latest     time.Duration
	Half       *hdrhistogram.Histogram // latency of half messages, in nanoseconds
	Storing    time.Duration           // from the first half message to the answer to the last
	Elapsed    time.Duration           // from the first half message to the end
	ServerCPU  time.Duration           // 0 when not measured
	Refused    int64                   // rollbacks, with which first checks are answered
	Refusal    string                  // the first one
}

// Err says what the broker did that it must not do, nil when there is nothing.
func (r *DeadlineResult) Err() error {
	var errs []error
	if r.Early > 0 {
		errs = append(errs, fmt.Errorf("%d checks came before their deadline, by up to %v", r.Early, r.Earliest))
	}
	if n := r.Stored - r.Checked; n > 0 {
		errs = append(errs, fmt.Errorf("%d of %d half messages were not checked", n, r.Stored))
	}
	if r.Duplicated > 0 {
		errs = append(errs, fmt.Errorf("%d checks of transactions that had been decided by a check before", r.Duplicated))
	}
	if r.Refused > 0 {
		errs = append(errs, fmt.Errorf("%d outcomes were refused, first: %s", r.Refused, r.Refusal))
	}
	return errors.Join(errs...)
}

// deadlineRun is one run of a DeadlineLoad.
type deadlineRun struct {
	load    *DeadlineLoad
	id      uint32
	start   time.Time
	step    int // deadlines in turn
	body    []byte
	pending []pendingHalf

	issued, stored, checked, settled atomic.Int64 // half messages; settled: the rollback was answered
	allStored, allSettled            chan struct{}
}

// pendingHalf is a half message. Any worker may read and write it.
type pendingHalf struct {
	sent  atomic.Int64 // nanoseconds since the start
	state atomic.Int32
}

const ( // of a pendingHalf
	unchecked int32 = iota
	answering       // checked, and the rollback not answered
	settled
)

// deadline is that of a message, after it was sent.
func (r *deadlineRun) deadline(i int64) time.Duration {
	return r.load.Deadline + time.Duration(i%int64(r.step))*time.Second
}

// Deadlines runs the load. Its error says that it could not be run; what the
// broker did wrong is in [DeadlineResult.Err].
func Deadlines(ctx context.Context, l DeadlineLoad) (*DeadlineResult, error) {
	if err := l.check(); err != nil {
		return nil, err
	}
	if l.Pending < 1 || l.Pending > MaxPending {
		return nil, fmt.Errorf("bench: %d pending half messages: 1 to %d", l.Pending, MaxPending)
	}
	if l.Deadline < time.Second || l.Deadline%time.Second != 0 || l.Spread < 0 || l.Spread%time.Second != 0 {
		return nil, fmt.Errorf("bench: a deadline of %v and a spread of %v: both in whole seconds, the deadline at least one", l.Deadline, l.Spread)
	}
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	s, err := l.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer s.close()
	r := &deadlineRun{
		load: &l, id: rand.Uint32(), start: time.Now(), step: 1 + int(l.Spread/time.Second), body: txBody(l.Size), pending: make([]pendingHalf, l.Pending),
		allStored: make(chan struct{}), allSettled: make(chan struct{}),
	}
	cpu, err := l.cpu()
	if err != nil {
		return nil, err
	}
	workers := make([]*deadlineWorker, len(s.all))
	producers := make([]producer, len(s.all))
	for i, link := range s.all {
		workers[i] = &deadlineWorker{run: r, place: i, link: link, sent: make([]int64, l.Inflight), half: newHistogram(), late: newHistogram()}
		producers[i] = workers[i]
	}
	s.serve(producers, fail)
	storing, err := r.await(ctx)
	if err != nil {
		return nil, err
	}
	s.close()
	res := &DeadlineResult{Storing: storing, Elapsed: time.Since(r.start), Stored: r.stored.Load(), Checked: r.checked.Load(), Half: newHistogram(), Lateness: newHistogram()}
	for _, w := range workers {
		res.Half.Merge(w.half)
		res.Lateness.Merge(w.late)
		res.Early += w.early
		res.Earliest, res.Latest = max(res.Earliest, w.earliest), max(res.Latest, w.latest)
		res.Duplicated += w.duplicated
		res.Refused += w.refused
		if res.Refusal == "" {
			res.Refusal = w.refusal
		}
	}
	after, err := l.cpu()
	res.ServerCPU = after - cpu
	return res, err
}

const storePatience = 30 // seconds without an answer to a half message

// await waits until all messages are stored, and then until all are settled or
// the last deadline is long past.
func (r *deadlineRun) await(ctx context.Context) (storing time.Duration, err error) {
	second := time.NewTicker(time.Second)
	defer second.Stop()
	allStored := r.allStored
	var enough <-chan time.Time
	last, silent := int64(0), 0
	for {
		select {
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-allStored:
			storing, allStored = time.Since(r.start), nil
			patience := time.NewTimer(r.load.Deadline + r.load.Spread + r.load.Linger)
			defer patience.Stop()
			enough = patience.C
		case <-r.allSettled:
			if storing == 0 {
				storing = time.Since(r.start)
			}
			return storing, nil
		case <-enough:
			return storing, nil
		case <-second.C:
			n := r.stored.Load()
			if silent++; n != last || allStored == nil {
				last, silent = n, 0
			}
			if silent >= storePatience {
				return 0, fmt.Errorf("bench: the broker answered no half message for %d s; %d of %d are stored", silent, n, len(r.pending))
			}
			if r.load.Report != nil {
				r.load.Report(time.Since(r.start), n, r.checked.Load())
			}
		}
	}
}

// deadlineWorker is one connection's part. It belongs to the link's goroutine.
type deadlineWorker struct {
	run              *deadlineRun
	place            int
	link             *link
	sent             []int64 // messages in flight, by slot
	half, late       *hdrhistogram.Histogram
	early            int64
	earliest, latest time.Duration
	duplicated       int64
	refused          int64
	refusal          string
}

func (w *deadlineWorker) begin(time.Time) {
	for slot := range w.sent {
		w.send(slot)
	}
}

// send sends the next message, if there is one.
func (w *deadlineWorker) send(slot int) {
	r := w.run
	i := r.issued.Add(1) - 1
	if i >= int64(len(r.pending)) {
		return
	}
	w.sent[slot] = i
	t := r.load.Targets[w.place%len(r.load.Targets)]
	now := time.Now()
	r.pending[i].sent.Store(int64(now.Sub(r.start)))
	w.link.out = appendHalf(w.link.out, &halfSpec{
		enc: r.load.Encoding, opaque: firstOpaque + int32(slot), topic: r.load.Topic, broker: t.Broker, queue: int32(i % int64(max(t.Queues, 1))),
		born: now.UnixMilli(), key: txKey{r.id, uint64(i)}, immunity: int(r.deadline(i) / time.Second), body: r.body,
	})
}

func (w *deadlineWorker) answered(cmd *wire.Command, now time.Time) error {
	r := w.run
	slot := int(cmd.Opaque) - firstOpaque
	switch {
	case slot < 0 || slot >= len(w.sent)+len(r.pending):
		return fmt.Errorf("bench: an answer to the request %d, which was not sent", cmd.Opaque)
	case slot >= len(w.sent):
		w.rolledBack(int64(slot-len(w.sent)), cmd)
		return nil
	}
	if _, _, err := stored(cmd); err != nil {
		return err
	}
	_ = w.half.RecordValue(int64(now.Sub(r.start)) - r.pending[w.sent[slot]].sent.Load())
	if r.stored.Add(1) == int64(len(r.pending)) {
		close(r.allStored)
	}
	w.send(slot)
	return nil
}

// rolledBack settles a message.
func (w *deadlineWorker) rolledBack(i int64, cmd *wire.Command) {
	r := w.run
	if cmd.Code != wire.Success {
		w.refused++
		if w.refusal == "" {
			w.refusal = fmt.Sprintf("%d %s: %s", cmd.Code, wire.ResponseName(cmd.Code), cmd.Remark)
		}
	}
	if r.pending[i].state.CompareAndSwap(answering, settled) && r.settled.Add(1) == int64(len(r.pending)) {
		close(r.allSettled)
	}
}

func (w *deadlineWorker) asked(c *txCheck, now time.Time) error {
	r := w.run
	i := int64(c.key.number)
	if !c.ours || c.key.run != r.id || i < 0 || i >= int64(len(r.pending)) {
		w.link.answer(c, message.TransactionRollback, firstOpaque, true)
		return nil
	}
	h := &r.pending[i]
	if h.state.CompareAndSwap(unchecked, answering) {
		r.checked.Add(1)
		w.record(now.Sub(r.start) - time.Duration(h.sent.Load()) - r.deadline(i))
	} else if h.state.Load() == settled {
		w.duplicated++
	}
	w.link.answer(c, message.TransactionRollback, firstOpaque+int32(len(w.sent))+int32(i), false)
	return nil
}

// record notes how late a first check was.
func (w *deadlineWorker) record(late time.Duration) {
	if late < 0 {
		w.early++
		w.earliest = max(w.earliest, -late)
		return
	}
	w.latest = max(w.latest, late)
	_ = w.late.RecordValue(min(int64(late), int64(2*time.Minute)))
}
