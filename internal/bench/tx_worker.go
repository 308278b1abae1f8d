// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// txWorker is one connection's part of a txRun. What has no other remark is its
// goroutine's, and others' once that ended.
//
// Opaques: firstOpaque + slot is a half message, the next Inflight ones are the
// outcomes that slots told, and those above are answers to checks.
type txWorker struct {
	run   *txRun
	place int
	link  *link
	slots []txSlot

	// decided is read by the progress report.
	decided   atomic.Int64
	counts    TxCounts
	committed int64 // while the run measured
	half      *hdrhistogram.Histogram
	whole     *hdrhistogram.Histogram
	refusal   string

	answers map[int32]checkAnswer // told after checks, by opaque, until the broker answered
	next    int32                 // of these opaques

	// Checks of this worker's transactions come to any connection.
	mu   sync.Mutex
	open map[uint64]*openTx // left undecided when sent, by number
}

// txSlot is one place in flight.
type txSlot struct {
	frame   halfFrame
	seq     uint32
	began   time.Time
	outcome message.SysFlag
	// current is seq from before the half message is sent until its outcome was
	// answered, or until open has it; else 0.
	current atomic.Uint32
}

// openTx is a transaction that was left undecided.
type openTx struct {
	checks  int32
	outcome message.SysFlag // told after a check, and not yet answered
}

// checkAnswer is an outcome told after a check.
type checkAnswer struct {
	number  uint64
	outcome message.SysFlag
}

func newTxWorker(r *txRun, place int, l *link) *txWorker {
	w := &txWorker{
		run: r, place: place, link: l, slots: make([]txSlot, r.load.Inflight), half: newHistogram(), whole: newHistogram(),
		answers: map[int32]checkAnswer{}, open: map[uint64]*openTx{},
	}
	t := r.load.Targets[place%len(r.load.Targets)]
	body := txBody(r.load.Size)
	for i := range w.slots {
		w.slots[i].frame = newHalfFrame(halfSpec{
			enc: r.load.Encoding, opaque: firstOpaque + int32(i), topic: r.load.Topic, broker: t.Broker,
			queue: int32(place+i) % max(t.Queues, 1), key: txKey{r.id, txNumber(place, i, 0)}, keys: r.load.Keys, body: body,
		})
	}
	return w
}

func (w *txWorker) begin(now time.Time) {
	for i := range w.slots {
		w.start(i, now)
	}
}

// start sends the next half message of a slot, or retires it.
func (w *txWorker) start(i int, now time.Time) {
	s := &w.slots[i]
	if w.run.stop.Load() {
		s.current.Store(0)
		if w.run.busy.Add(-1) == 0 {
			close(w.run.idle)
		}
		return
	}
	if s.seq++; s.seq == 0 {
		s.seq = 1
	}
	s.current.Store(s.seq)
	s.began = now
	w.link.out = append(w.link.out, s.frame.next(txKey{w.run.id, txNumber(w.place, i, s.seq)}, now.UnixMilli())...)
}

func (w *txWorker) answered(cmd *wire.Command, now time.Time) error {
	switch i := int(cmd.Opaque) - firstOpaque; {
	case i < 0:
		return fmt.Errorf("bench: an answer to the request %d, which was not sent", cmd.Opaque)
	case i < len(w.slots):
		return w.stored(i, cmd, now)
	case i < 2*len(w.slots):
		w.ended(i-len(w.slots), cmd, now)
	default:
		w.decidedByCheck(cmd)
	}
	return nil
}

// stored goes on with a half message that is stored.
func (w *txWorker) stored(i int, cmd *wire.Command, now time.Time) error {
	half, physical, err := stored(cmd)
	if err != nil {
		return err
	}
	s := &w.slots[i]
	number := txNumber(w.place, i, s.seq)
	w.counts.Sent++
	if w.run.measuring.Load() {
		_ = w.half.RecordValue(int64(now.Sub(s.began)))
	}
	s.outcome = w.run.outcome(number, 0)
	key := txKey{w.run.id, number}.String()
	w.link.end = header.EndTransactionRequest{
		TranStateTableOffset: half, CommitLogOffset: physical, CommitOrRollback: int32(s.outcome), MsgID: key, TransactionID: key,
	}
	if s.outcome == message.TransactionNone { // gets no answer
		w.counts.Unknown++
		w.mu.Lock()
		w.open[number] = new(openTx)
		w.mu.Unlock()
		w.link.appendEnd(firstOpaque, true)
		w.start(i, now)
		return nil
	}
	w.link.appendEnd(firstOpaque+int32(len(w.slots)+i), w.run.load.OneWay)
	if w.run.load.OneWay {
		w.done(i, now)
	}
	return nil
}

// ended goes on when an outcome was answered.
func (w *txWorker) ended(i int, cmd *wire.Command, now time.Time) {
	if cmd.Code != wire.Success {
		w.refuse(cmd)
		w.start(i, now)
		return
	}
	w.done(i, now)
}

func (w *txWorker) done(i int, now time.Time) {
	s := &w.slots[i]
	w.count(s.outcome)
	if w.run.measuring.Load() {
		_ = w.whole.RecordValue(int64(now.Sub(s.began)))
	}
	w.start(i, now)
}

// count counts a decided transaction.
func (w *txWorker) count(outcome message.SysFlag) {
	w.decided.Add(1)
	if outcome == message.TransactionRollback {
		w.counts.RolledBack++
		return
	}
	w.counts.Committed++
	if w.run.measuring.Load() {
		w.committed++
	}
}

func (w *txWorker) refuse(cmd *wire.Command) {
	w.counts.Refused++
	if w.refusal == "" {
		w.refusal = fmt.Sprintf("%d %s: %s", cmd.Code, wire.ResponseName(cmd.Code), cmd.Remark)
	}
}
