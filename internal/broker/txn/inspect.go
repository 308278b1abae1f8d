// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package txn

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/twostage/twostage/internal/broker/txn/pending"
	"github.com/twostage/twostage/internal/broker/txn/state"
	"github.com/twostage/twostage/internal/broker/txn/story"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
)

const (
	listWords = 1 << 18 // that one List looks at,
	listReads = 1 << 12 // and half messages that it reads
)

// List gives transactions by rising half queue offset, at most f.Limit. It may
// give fewer before the end, because it looks at a bounded number: next is where
// to go on, -1 at the end.
func (s *Service) List(f body.TransactionFilter) (list []body.Transaction, next int64, err error) {
	if f.State == body.Undecided {
		return s.listPending(f)
	}
	end := s.half.Max()
	next = max(f.From, s.half.Min())
	stop := min(next+listWords, end)
	var offsets []int64
	err = s.states.Range(next, stop, func(off int64, w state.Word) bool {
		if len(offsets) == listReads {
			return false
		}
		next = off + 1
		if f.State == "" || f.State == stateOf(w.Kind) || f.State == body.Decided && w.Kind == state.Undecided {
			offsets = append(offsets, off)
		}
		return true
	})
	if err != nil {
		return nil, 0, err
	}
	if len(offsets) < listReads {
		next = stop
	}
	for i, off := range offsets {
		t, err := s.describe(off, false)
		if err != nil || !filter(f).takes(t) {
			continue
		}
		if list = append(list, *t); len(list) == f.Limit && i+1 < len(offsets) {
			return list, off + 1, nil
		}
	}
	if next >= end {
		next = -1
	}
	return list, next, nil
}

// listPending lists from the table, which knows where the undecided ones are.
func (s *Service) listPending(f body.TransactionFilter) (list []body.Transaction, next int64, err error) {
	var infos []pending.Info
	next = -1
	s.mu.Lock()
	s.table.Tick(s.mono())
	s.table.Range(f.From, func(i pending.Info) bool {
		if len(infos) == listReads {
			next = i.QueueOffset
			return false
		}
		if i.First == i.QueueOffset && (f.Topic == "" || f.Topic == i.Topic) && (f.Group == "" || f.Group == i.Group) {
			infos = append(infos, i)
		}
		return true
	})
	s.mu.Unlock()
	for _, i := range infos {
		t, err := s.describe(i.QueueOffset, false)
		if err != nil || !filter(f).takes(t) {
			continue
		}
		if list = append(list, *t); len(list) == f.Limit {
			return list, i.QueueOffset + 1, nil
		}
	}
	return list, next, nil
}

// filter is a body.TransactionFilter with what selects.
type filter body.TransactionFilter

func (f filter) takes(t *body.Transaction) bool {
	return (f.Topic == "" || f.Topic == t.Topic) && (f.Group == "" || f.Group == t.Group) && (f.State == "" || f.State == t.State) &&
		t.Age >= f.MinAge.Milliseconds() && (f.MaxAge == 0 || t.Age <= f.MaxAge.Milliseconds())
}

func stateOf(k state.Kind) body.TransactionState {
	switch k {
	case state.Committed:
		return body.Committed
	case state.RolledBack:
		return body.RolledBack
	case state.Discarded:
		return body.Discarded
	case state.Resumed:
		return body.Resumed
	}
	return body.Decided
}

// describe tells of one half message what is known; thorough: also what has to
// be searched for.
func (s *Service) describe(off int64, thorough bool) (*body.Transaction, error) {
	h, err := s.halfAt(off)
	if err != nil {
		return nil, asNoHalf(err)
	}
	t := &body.Transaction{
		QueueOffset: off, CommitLogOffset: h.physical, Group: h.group, Topic: h.topic, QueueID: h.queue, Key: h.key,
		StoredAt: h.at, Age: max(s.cfg.NowMillis()-h.at, 0),
	}
	w, err := s.states.Get(off)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.table.Tick(s.mono())
	i, here := s.table.Get(off)
	if here && thorough {
		t.Chain = s.table.Chain(off)
	}
	s.mu.Unlock()
	if here {
		t.State, t.Detail, t.Checks = body.Undecided, detail(i.State), i.Checks
		t.DueAt = s.wall(i.Due)
		if w.Kind == state.Undecided {
			t.CheckedAt = w.CheckedAt
		}
		if len(t.Chain) < 2 {
			t.Chain = nil
		}
		return t, nil
	}
	f := fate{kind: w.Kind, committed: -1, next: w.Next}
	if thorough || w.Kind != state.Undecided && w.Kind != state.Decided {
		if f, err = s.fateOf(&h); err != nil {
			return nil, err
		}
	}
	t.State, t.DecidedAt = stateOf(f.kind), f.at
	switch f.kind {
	case state.Committed:
		t.CommittedOffset = max(f.committed, 0)
	case state.Discarded:
		t.ParkedOffset = max(f.committed, 0)
		if f.committed >= 0 && thorough {
			_ = s.withRecord(f.committed, func(rec *message.Record) error { // without it the count is not told
				if n, err := strconv.ParseInt(text(rec, message.PropertyTransactionCheckTimes), 10, 32); err == nil {
					t.Checks = int32(n)
				}
				return nil
			})
		}
	case state.Resumed:
		t.ResumedAs = f.next
	case state.Undecided, state.Decided:
		t.Detail = "this broker was not told how"
	}
	return t, nil
}

func detail(st pending.State) string {
	switch st {
	case pending.Immune:
		return "its first check is not due yet"
	case pending.Checking:
		return "a producer was asked"
	case pending.Paced:
		return "due, but its group takes no more checks now"
	case pending.NoProducer:
		return "due, but no producer of its group is there"
	case pending.Deciding:
		return "its outcome is being stored"
	}
	return ""
}

// asNoHalf makes what is gone what is not there.
func asNoHalf(err error) error {
	if errors.Is(err, ErrGone) || errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("%w: %w", ErrNoHalf, err)
	}
	return err
}

// Show gives all that is known of a transaction, by the queue offset of one of
// its half messages.
func (s *Service) Show(queueOffset int64) (*body.TransactionStory, error) {
	t, err := s.describe(queueOffset, true)
	if err != nil {
		return nil, err
	}
	about := t.Chain
	if len(about) == 0 {
		about = []int64{queueOffset}
	}
	st := &body.TransactionStory{Transaction: *t}
	for _, off := range about {
		at := t.StoredAt
		if off != queueOffset {
			h, err := s.halfAt(off)
			if err != nil {
				continue
			}
			at = h.at
		}
		st.Events = append(st.Events, body.TransactionEvent{At: at, Kind: body.EventStored, Note: fmt.Sprintf("half message at queue offset %d", off)})
	}
	events, err := s.story.Find(about...)
	if err != nil {
		return nil, err
	}
	for _, e := range events {
		t := body.TransactionEvent{At: e.At, Kind: eventKind(e.Kind), Count: e.Count, Who: e.Who, Note: e.Note}
		switch e.Kind {
		case story.Answered, story.Refused, story.Operated:
			t.Outcome = verb(Outcome(e.Outcome))
		}
		st.Events = append(st.Events, t)
	}
	if t.DecidedAt > 0 {
		e := body.TransactionEvent{At: t.DecidedAt, Kind: body.EventDecided}
		switch t.State {
		case body.Committed:
			e.Outcome = verb(Commit)
		case body.RolledBack:
			e.Outcome = verb(Rollback)
		case body.Discarded:
			e.Outcome = verb(Discard)
		}
		st.Events = append(st.Events, e)
	}
	slices.SortStableFunc(st.Events, func(a, b body.TransactionEvent) int { return cmp.Compare(a.At, b.At) })
	return st, nil
}

func verb(o Outcome) string {
	switch o {
	case Commit:
		return "commit"
	case Rollback:
		return "rollback"
	case Discard:
		return "discard"
	}
	return "unknown"
}

func eventKind(k story.Kind) body.EventKind {
	switch k {
	case story.Checked:
		return body.EventCheck
	case story.Answered:
		return body.EventAnswer
	case story.Refused:
		return body.EventRefused
	case story.Operated:
		return body.EventOperator
	case story.Rechecked:
		return body.EventRechecked
	case story.Resumed:
		return body.EventResumed
	case story.Discarded:
		return body.EventDiscarded
	}
	return body.EventKind(fmt.Sprintf("event-%d", k))
}

// Find gives the half messages that id names: an offset message id of a half
// message or of a parked copy, or a UNIQ_KEY.
func (s *Service) Find(id string) ([]int64, error) {
	if host, physical, err := message.ParseOffsetID(id); err == nil {
		h, err := s.parkedHalf(physical)
		if err == nil && h.broker != host {
			err = fmt.Errorf("%w: the half message at commit log offset %d was stored by %s, the id names %s", ErrNoHalf, physical, h.broker, host)
		}
		if err == nil {
			return []int64{h.queueOffset}, nil
		}
		if !errors.Is(err, ErrNoHalf) {
			return nil, err
		}
	}
	var list []int64
	err := s.byKey(message.TopicHalf, id, func(rec *message.Record) { list = append(list, rec.QueueOffset) })
	if err != nil {
		return nil, err
	}
	return s.transactions(list), nil
}

// transactions leaves of half messages one for each transaction.
func (s *Service) transactions(offsets []int64) []int64 {
	slices.Sort(offsets)
	offsets = slices.Compact(offsets)
	s.mu.Lock()
	for i, off := range offsets {
		if info, ok := s.table.Get(off); ok {
			offsets[i] = info.First
		}
	}
	s.mu.Unlock()
	named := slices.Clone(offsets)
	offsets = slices.DeleteFunc(offsets, func(off int64) bool { // another one stands for it
		w, err := s.states.Get(off)
		return err == nil && w.Kind == state.Resumed && slices.Contains(named, w.Next)
	})
	slices.Sort(offsets)
	return slices.Compact(offsets)
}

// Decide commits or rolls back for somebody. A transaction that already has the
// outcome is a success; ErrDecided when it has another, ErrNoHalf. done is called
// once, when the outcome is durable or refused.
func (s *Service) Decide(queueOffset int64, commit bool, who string, done func(error)) {
	h, err := s.halfAt(queueOffset)
	if err != nil {
		done(asNoHalf(err))
		return
	}
	o := Rollback
	if commit {
		o = Commit
	}
	s.End(End{Group: h.group, QueueOffset: queueOffset, Physical: h.physical, Outcome: o, Operator: who}, func(code int32, remark string) {
		switch code {
		case wire.Success:
			done(nil)
		case wire.IllegalOperation:
			done(fmt.Errorf("%w: %s", ErrDecided, remark))
		default:
			done(errors.New(remark))
		}
	})
}

// Recheck has a transaction checked at once, whatever its deadline. ErrNoHalf, or
// ErrDecided when there is nothing to check.
func (s *Service) Recheck(queueOffset int64, who string) error {
	for range resumedMost {
		s.mu.Lock()
		ok := s.table.Recheck(queueOffset, s.mono())
		s.mu.Unlock()
		if ok {
			s.tell(story.Event{Half: queueOffset, Kind: story.Rechecked, Who: who})
			s.poke()
			return nil
		}
		h, err := s.halfAt(queueOffset)
		if err != nil {
			return asNoHalf(err)
		}
		f, err := s.fateOf(&h)
		if err != nil {
			return err
		}
		if f.kind != state.Resumed {
			return fmt.Errorf("%w: %s", ErrDecided, f.refusal())
		}
		queueOffset = f.next
	}
	return errors.New("the transaction was resumed too often to be followed")
}
