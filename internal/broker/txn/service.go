// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package txn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/message"
)

// Log is what the transactions need of the store.
type Log interface {
	Queue(topic string, id int32) *store.Queue
	Append(*store.Batch) error
	WhenFlushed(offset int64, fn func(error))
	SyncFlush() bool
	Record(physicalOffset int64) (rec []byte, release func(), err error)
	Entries(dst []store.Entry, q *store.Queue, from int64, n int) ([]store.Entry, error)
	MaxPhysical() int64
	Flushed() int64
}

// Offsets keeps the low-water marks, among the consumer offsets.
type Offsets interface {
	Query(group, topic string, queue int32) (int64, bool)
	Commit(group, topic string, queue int32, offset int64)
}

// Producer is a live connection of a producer group.
type Producer interface {
	Push(*wire.Request) error
	RemoteAddr() netip.AddrPort
}

// Delays turns a committed message with a delay level into one that waits.
type Delays interface {
	Rewrite(topic string, queue int32, props, scratch []byte) (q *store.Queue, out []byte, ok bool)
}

// Config is what a Service needs; all of it but Visible is required.
type Config struct {
	Log       Log
	Offsets   Offsets
	Delays    Delays
	Producers func(group string) (Producer, bool) // a live connection, another one each time
	Topic     func(name string) error             // makes a topic of the broker's own where there is none
	FS        vfs.FS
	Dir       string           // of transactionChecks.json
	NowMillis func() int64     // wall clock, for the age of what is found at the start
	Now       func() time.Time // with monotonic reading: deadlines don't jump
	Logger    *slog.Logger
	// Visible, when set, is told of records that consumers of a topic see from now
	// on, from the goroutine that stored them; bytes are those of the records.
	Visible func(topic string, messages, bytes int)

	Host     netip.AddrPort // of records
	Timeout  time.Duration  // transactionTimeOut: age before the first check
	Checks   int            // transactionCheckMax
	Interval time.Duration  // transactionCheckInterval: between two checks
}

// Service is the transactions of one broker. All methods are safe for concurrent
// use.
type Service struct {
	cfg    Config
	epoch  time.Time // monotonic milliseconds count from here
	half   *store.Queue
	op     *store.Queue
	parked *store.Queue // TRANS_CHECK_MAX_TIME_TOPIC

	mu      sync.Mutex
	table   *Table
	waiters map[*Decision][]func(code int32, remark string)
	slow    map[string]*slowGroup // by producer group: nobody there takes checks
	dirty   bool                  // check counts changed
	kick    chan struct{}

	marks  noted
	counts counters
}

// noted are low-water marks that become valid once the log is on disk up to end.
type noted struct {
	half, op, end int64
	waiting       bool
	wroteHalf     int64
	wroteOp       int64
}

type counters struct {
	committed, rolledBack, discarded, refused, checks atomic.Int64
}

// Stats are totals since the start, and what is pending now.
type Stats struct {
	Committed, RolledBack, Discarded int64
	Refused                          int64 // decisions that came too late or were not the half message's own
	Checks                           int64 // sent
	Waiting                          int   // transactions that are due, but no producer is there or takes the check
	Pending                          map[string]int
}

// End is a producer's decision (END_TRANSACTION).
type End struct {
	Group       string
	QueueOffset int64 // of the half message
	Physical    int64 // of the half message
	Outcome     Outcome
	FromCheck   bool
}

// Open reads what is undecided from the log. It starts nothing; Run does.
func Open(cfg Config) (*Service, error) {
	s := &Service{
		cfg: cfg, epoch: cfg.Now(), waiters: map[*Decision][]func(int32, string){}, slow: map[string]*slowGroup{}, kick: make(chan struct{}, 1),
		half:   cfg.Log.Queue(message.TopicHalf, 0),
		op:     cfg.Log.Queue(message.TopicOpHalf, 0),
		parked: cfg.Log.Queue(message.TopicCheckMax, 0),
	}
	if err := s.rebuild(); err != nil {
		return nil, fmt.Errorf("transactions: %w", err)
	}
	return s, nil
}

// mono is the monotonic time in milliseconds.
func (s *Service) mono() int64 { return s.cfg.Now().Sub(s.epoch).Milliseconds() }

// Pending is a half message on its way into the log.
type Pending struct {
	topic, group, key string
	immunity          time.Duration
	opMark            int64 // no op message of this or a later half message is below
}

// Prepare turns a record into a half message: it goes to the half queue, and
// properties keep its real topic and queue. The record's new properties are in
// scratch, whose content is overwritten.
func (s *Service) Prepare(rec *message.Record, scratch []byte) (*store.Queue, *Pending) {
	p := &Pending{topic: string(rec.Topic), immunity: s.cfg.Timeout, opMark: s.op.Max()}
	message.RangeProperties(rec.Properties, func(name, value []byte) bool {
		switch string(name) {
		case message.PropertyProducerGroup:
			p.group = string(value)
		case message.PropertyUniqueKey:
			p.key = string(value)
		case message.PropertyCheckImmunityInSeconds:
			p.immunity = immunity(value, s.cfg.Timeout)
		}
		return true
	})
	scratch = scratch[:0]
	message.RangeProperties(rec.Properties, func(name, value []byte) bool {
		if !ours(name) {
			scratch = message.AppendProperty(scratch, string(name), string(value))
		}
		return true
	})
	scratch = message.AppendProperty(scratch, message.PropertyRealTopic, p.topic)
	scratch = message.AppendProperty(scratch, message.PropertyRealQueueID, strconv.Itoa(int(rec.QueueID)))
	rec.Properties = scratch
	rec.SysFlag = rec.SysFlag.WithTransaction(message.TransactionNone)
	return s.half, p
}

// ours tells whether a property says what only the broker knows of a half
// message. A message that was received and is sent again may still have them.
func ours(name []byte) bool {
	switch string(name) {
	case message.PropertyRealTopic, message.PropertyRealQueueID, message.PropertyTransactionCheckTimes, message.PropertyPreparedQueueOffset:
		return true
	}
	return false
}

// immunity reads CHECK_IMMUNITY_TIME_IN_SECONDS; what is no time, or not above
// zero, is the default.
func immunity(value []byte, def time.Duration) time.Duration {
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil || n <= 0 || n > int64(100*365*24*time.Hour/time.Second) {
		return def
	}
	return time.Duration(n) * time.Second
}

// Stored puts a half message under watch. It must run before the producer is
// answered.
func (s *Service) Stored(at store.Appended, p *Pending) {
	h := Half{QueueOffset: at.QueueOffset, Physical: at.PhysicalOffset, OpMark: p.opMark,
		Group: p.group, Key: p.key, Topic: p.topic, StoredAt: at.StoreTimestamp}
	s.mu.Lock()
	due := s.mono() + p.immunity.Milliseconds()
	s.table.Add(h, due, 0)
	next, _ := s.table.NextDue()
	s.mu.Unlock()
	if next == due {
		s.poke()
	}
}

// Online says that the producer group has a live connection. A group that took
// no check is tried at once with one.
func (s *Service) Online(group string) {
	s.mu.Lock()
	if g := s.slow[group]; g != nil {
		g.until = s.mono()
	} else {
		s.table.Online(group, s.mono())
	}
	s.mu.Unlock()
	s.poke()
}

func (s *Service) poke() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// End carries out a producer's decision. done is called once: with success when
// the outcome is durable as the flush policy says (also if it was before), else
// with the code and remark of the refusal.
func (s *Service) End(e End, done func(code int32, remark string)) {
	s.mu.Lock()
	d, err := s.table.Decide(e.QueueOffset, e.Physical, e.Group, e.Outcome)
	if errors.Is(err, ErrBusy) {
		doubt := d.doubt
		if doubt == "" {
			s.waiters[d] = append(s.waiters[d], done)
		}
		s.mu.Unlock()
		if doubt != "" {
			done(wire.ServiceNotAvailable, doubt)
		}
		return
	}
	s.mu.Unlock()
	if err != nil {
		s.counts.refused.Add(1)
		code, remark := refusal(err)
		s.cfg.Logger.Warn("a transaction's outcome was refused", "group", e.Group, "queueOffset", e.QueueOffset,
			"asked", e.Outcome.String(), "fromCheck", e.FromCheck, "why", err)
		done(code, remark)
		return
	}
	if d == nil {
		done(wire.Success, "")
		return
	}
	s.carryOut(d, done)
}

func refusal(err error) (code int32, remark string) {
	switch {
	case errors.Is(err, ErrMismatch):
		return wire.SystemError, "The half message does not fit the request: " + err.Error()
	case errors.Is(err, ErrDecided):
		return wire.IllegalOperation, err.Error()
	}
	return wire.IllegalOperation, "decided or expired: " + err.Error()
}

// carryOut appends what the decision needs, as one unit, and settles it when it
// is durable.
func (s *Service) carryOut(d *Decision, done func(code int32, remark string)) {
	end, err := s.appendOutcome(d)
	if err != nil {
		s.cfg.Logger.Error("a transaction's outcome could not be stored", "group", d.Half.Group, "queueOffset", d.Half.QueueOffset, "outcome", d.Outcome.String(), "error", err)
		s.settle(d, false, wire.ServiceNotAvailable, "the outcome could not be stored: "+err.Error(), done)
		return
	}
	if !s.cfg.Log.SyncFlush() {
		s.settle(d, true, wire.Success, "", done)
		return
	}
	s.cfg.Log.WhenFlushed(end, func(err error) {
		if err != nil {
			s.doubt(d, err, done)
			return
		}
		s.settle(d, true, wire.Success, "", done)
	})
}

// doubt leaves a transaction as it is: its records may or may not be on disk, so
// nothing else may be decided until a recovery has looked.
func (s *Service) doubt(d *Decision, err error, done func(int32, string)) {
	s.mu.Lock()
	d.doubt = "the outcome may not be on disk: " + err.Error()
	waiters := s.waiters[d]
	delete(s.waiters, d)
	s.mu.Unlock()
	s.cfg.Logger.Error("nobody knows whether a transaction's outcome is on disk", "group", d.Half.Group, "queueOffset", d.Half.QueueOffset, "outcome", d.Outcome.String(), "error", err)
	done(wire.ServiceNotAvailable, d.doubt)
	for _, w := range waiters {
		w(wire.ServiceNotAvailable, d.doubt)
	}
}

func (s *Service) settle(d *Decision, durable bool, code int32, remark string, done func(int32, string)) {
	s.mu.Lock()
	s.table.Settle(d, durable, s.mono()+s.cfg.Interval.Milliseconds())
	waiters := s.waiters[d]
	delete(s.waiters, d)
	if d.x.checks > 0 {
		s.dirty = true
	}
	s.mu.Unlock()
	if durable {
		switch d.Outcome {
		case Commit:
			s.counts.committed.Add(1)
		case Rollback:
			s.counts.rolledBack.Add(1)
		case Discard:
			s.counts.discarded.Add(1)
		}
	}
	if !durable {
		s.poke() // it is due again
	}
	done(code, remark)
	for _, w := range waiters {
		w(code, remark)
	}
}

// Stats tells totals and what is pending.
func (s *Service) Stats() Stats {
	st := Stats{
		Committed: s.counts.committed.Load(), RolledBack: s.counts.rolledBack.Load(), Discarded: s.counts.discarded.Load(),
		Refused: s.counts.refused.Load(), Checks: s.counts.checks.Load(),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st.Waiting, st.Pending = s.table.Waiting(), s.table.ByTopic()
	return st
}

// Run sends checks, discards what is past its last one, and notes the marks,
// until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	note := time.NewTicker(time.Second)
	defer note.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.kick:
		case <-timer.C:
		case <-note.C:
			s.note()
			continue
		}
		s.check(ctx)
		s.mu.Lock()
		next, ok := s.nextWork()
		wait := time.Hour
		if ok {
			wait = max(time.Duration(next-s.mono())*time.Millisecond, 0)
		}
		s.mu.Unlock()
		timer.Reset(wait)
	}
}

// Close waits for the log to be on disk, and notes the marks and check counts.
// Run must have ended, and nothing may be decided any more.
func (s *Service) Close() error {
	flushed := make(chan error, 1)
	s.cfg.Log.WhenFlushed(s.cfg.Log.MaxPhysical(), func(err error) { flushed <- err })
	if err := <-flushed; err == nil {
		s.marks.waiting = false
		s.note() // takes the marks as they are now
		s.note() // and publishes them
	}
	return s.saveChecks()
}
