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

	"github.com/twostage/twostage/message"
)

// TxLoad is a load of transactions. Each place in flight sends a half message,
// waits until it is stored, tells the outcome, waits for the answer, and begins
// the next one. The rates are those of the TransactionProducer benchmark of
// Apache RocketMQ, each 0 to 1: an outcome is first drawn as a rollback with the
// one rate, and if it is none, as unknown with the other.
type TxLoad struct {
	Load
	RollbackRate      float64 // when sent (Java: -sr)
	UnknownRate       float64 // when sent (-su)
	CheckRollbackRate float64 // at each check (-cr)
	CheckUnknownRate  float64 // at each check (-cu)
	Keys              bool    // messages have KEYS too
	// OneWay tells outcomes without asking for an answer, as Java's clients do. A
	// transaction then counts as answered when its outcome was sent.
	OneWay bool
	// Linger is how long checks are still taken after the last outcome: a check
	// too many comes at its deadline.
	Linger time.Duration
}

// TxCounts count what happened from a run's first transaction to its last check.
type TxCounts struct {
	Sent       int64 // half messages stored
	Committed  int64 // commits that were answered (one-way: sent), also those after a check
	RolledBack int64
	Unknown    int64 // left undecided when sent
	Refused    int64 // outcomes that the broker refused
	Open       int64 // left undecided when sent, and still at the end
	Unanswered int64 // half message or outcome got no answer within 10 s of the end
	Checks     int64 // of this run's transactions

	// UnexpectedCheck counts checks of a transaction whose outcome was told when it
	// was sent, and answered before the check was read.
	UnexpectedCheck int64
	// DuplicatedCheck counts checks of a transaction whose outcome was told in
	// answer to an earlier check, and answered before this one was read.
	DuplicatedCheck int64
	ForeignCheck    int64 // of transactions that are not this run's; they are rolled back
}

func (c *TxCounts) add(o *TxCounts) {
	c.Sent += o.Sent
	c.Committed += o.Committed
	c.RolledBack += o.RolledBack
	c.Unknown += o.Unknown
	c.Refused += o.Refused
	c.Open += o.Open
	c.Unanswered += o.Unanswered
	c.Checks += o.Checks
	c.UnexpectedCheck += o.UnexpectedCheck
	c.DuplicatedCheck += o.DuplicatedCheck
	c.ForeignCheck += o.ForeignCheck
}

// TxResult is what a load of transactions measured. Messages are transactions
// committed or rolled back while it counted, Latency that of whole transactions:
// from sending the half message to the answer to its outcome; transactions that
// were left unknown are not in it.
type TxResult struct {
	Result
	Half      *hdrhistogram.Histogram // latency of half messages, in nanoseconds
	Committed int64                   // while it counted
	Counts    TxCounts
	Refusal   string // the first one
}

// MicrosPerCommit is the server's CPU time for one committed transaction, in
// microseconds: all that it did while the load counted, over what was committed.
func (r *TxResult) MicrosPerCommit() float64 {
	return float64(r.ServerCPU) / float64(time.Microsecond) / float64(max(r.Committed, 1))
}

// Err says what the broker did that it must not do, nil when there is nothing.
func (r *TxResult) Err() error {
	var errs []error
	if n := r.Counts.UnexpectedCheck; n > 0 {
		errs = append(errs, fmt.Errorf("%d checks of transactions whose outcome had been answered", n))
	}
	if n := r.Counts.DuplicatedCheck; n > 0 {
		errs = append(errs, fmt.Errorf("%d checks of transactions that had been decided by a check before", n))
	}
	if n := r.Counts.Refused; n > 0 {
		errs = append(errs, fmt.Errorf("%d outcomes were refused, first: %s", n, r.Refusal))
	}
	if n := r.Counts.Unanswered; n > 0 {
		errs = append(errs, fmt.Errorf("%d half messages or outcomes got no answer within %v", n, lastAnswers))
	}
	return errors.Join(errs...)
}

// txRun is one run of a TxLoad.
type txRun struct {
	load      *TxLoad
	id        uint32
	workers   []*txWorker
	stop      atomic.Bool
	measuring atomic.Bool
	busy      atomic.Int64  // places in flight
	idle      chan struct{} // closed when there are none
}

// Tx runs a load of transactions. Its error says that it could not be run; what
// the broker did wrong is in [TxResult.Err].
func Tx(ctx context.Context, l TxLoad) (*TxResult, error) {
	if err := l.check(); err != nil {
		return nil, err
	}
	for _, rate := range []float64{l.RollbackRate, l.UnknownRate, l.CheckRollbackRate, l.CheckUnknownRate} {
		if !(rate >= 0 && rate <= 1) {
			return nil, fmt.Errorf("bench: a rate of %g: rates are 0 to 1", rate)
		}
	}
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	s, err := l.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer s.close()
	r := &txRun{load: &l, id: rand.Uint32(), idle: make(chan struct{})}
	producers := make([]producer, len(s.all))
	for i, link := range s.all {
		w := newTxWorker(r, i, link)
		r.workers, producers[i] = append(r.workers, w), w
	}
	r.busy.Store(int64(l.Conns * l.Inflight))
	s.serve(producers, fail)
	measured, err := l.measure(ctx, func() (n, bytes int64) { return r.decided(), 0 }, &r.measuring, nil)
	r.stop.Store(true)
	if err != nil {
		return nil, err
	}
	if err := r.settle(ctx); err != nil {
		return nil, err
	}
	s.close()
	return r.result(measured), nil
}

// lastAnswers is how long the answers to what is in flight at the end may take.
const lastAnswers = 10 * time.Second

// settle waits for what is in flight, and then for checks that come late.
func (r *txRun) settle(ctx context.Context) error {
	patience := time.NewTimer(lastAnswers)
	defer patience.Stop()
	select {
	case <-r.idle:
	case <-patience.C:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return wait(ctx, r.load.Linger, nil, nil)
}

// decided is how many transactions have an outcome; it may be called at any time.
func (r *txRun) decided() (n int64) {
	for _, w := range r.workers {
		n += w.decided.Load()
	}
	return n
}

// result puts the workers' parts together; they have ended.
func (r *txRun) result(measured *Result) *TxResult {
	res := &TxResult{Result: *measured, Half: newHistogram()}
	res.Latency = newHistogram()
	for _, w := range r.workers {
		res.Latency.Merge(w.whole)
		res.Half.Merge(w.half)
		res.Committed += w.committed
		w.counts.Open = int64(len(w.open))
		for i := range w.slots {
			if w.slots[i].current.Load() != 0 {
				w.counts.Unanswered++
			}
		}
		res.Counts.add(&w.counts)
		if res.Refusal == "" {
			res.Refusal = w.refusal
		}
	}
	return res
}

// outcome draws what becomes of a transaction: when it is sent (check 0), or at
// its n-th check. It is the same whenever it is asked for, so that nothing need
// be kept of transactions that are decided.
func (r *txRun) outcome(number uint64, check int32) message.SysFlag {
	rollback, unknown := r.load.RollbackRate, r.load.UnknownRate
	if check > 0 {
		rollback, unknown = r.load.CheckRollbackRate, r.load.CheckUnknownRate
	}
	seed := rand.NewPCG(uint64(r.id)<<32|uint64(uint32(check)), number)
	draw := func() float64 { return float64(seed.Uint64()>>11) / (1 << 53) }
	switch {
	case draw() < rollback:
		return message.TransactionRollback
	case draw() < unknown:
		return message.TransactionNone
	}
	return message.TransactionCommit
}
