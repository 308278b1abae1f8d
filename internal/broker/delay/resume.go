// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package delay

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/message"
)

// resume sets where each level goes on: where the file says, and beyond that
// behind the entries whose messages are found in the log. noted tells whether the
// file would do for another resume.
func (s *Service) resume() (noted bool, err error) {
	f, err := s.readOffsets()
	if err != nil {
		return false, err
	}
	for _, number := range slices.Sorted(maps.Keys(f.OffsetTable)) {
		if offset := f.OffsetTable[number]; int(number) > len(s.levels) {
			s.stray = append(s.stray, stray{int64(number), offset})
		} else {
			s.levels[number-1].next = offset
		}
	}
	s.reportStray()
	end := s.cfg.Log.MaxPhysical()
	for _, lv := range s.levels {
		at := lv.next
		if lv.next = min(max(lv.next, lv.q.Min()), lv.arrived); lv.next != at && at > 0 {
			s.cfg.Logger.Error("the delay offset is outside of the queue", "level", lv.number, "offset", at, "used", lv.next)
		}
		if f.LogOffset == nil || *f.LogOffset < end {
			from := search{s: s, after: f.LogOffset, lv: lv, at: make(map[*store.Queue]int64)}
			if err := from.run(); err != nil {
				return false, err
			}
		}
		if lv.next > max(at, lv.q.Min()) {
			s.cfg.Logger.Info("delayed messages had been delivered without being noted", "level", lv.number, "noted", at, "offset", lv.next)
		}
		lv.ahead.Passed(lv.next)
	}
	return f.LogOffset != nil, nil
}

// reportStray logs what waits in levels that are not configured: as in RocketMQ
// it waits until they are.
func (s *Service) reportStray() {
	known := make(map[int64]int64)
	for _, st := range s.stray {
		known[st.level] = st.offset
	}
	for number := int64(len(s.levels)) + 1; number <= maxLevel; number++ {
		q := s.cfg.Log.LookupQueue(message.TopicSchedule, int32(number-1))
		if q == nil {
			continue
		}
		if from := max(known[number], q.Min()); q.Max() > from {
			s.cfg.Logger.Warn("messages wait in a delay level that is not configured (messageDelayLevel)", "level", number, "messages", q.Max()-from)
		}
	}
}

// maxLevel is up to where levels that are not configured are looked for.
const maxLevel = 256

// search finds out for one level which of its entries have been delivered.
//
// A level is delivered in the order of its queue, so what it has delivered into
// one queue stands there in the same order, and the delivered entries are the
// first ones: the search ends at the first whose message is not found. A message
// is found when the queue it was meant for holds, behind the ones found before,
// a record with the same bytes in everything that delivery keeps.
type search struct {
	s  *Service
	lv *level

	// after is offsetFile.LogOffset: nothing that is looked for stands before it.
	// When it is nil, what is looked for was at least stored after its entry, and
	// as an equal message could have been delivered since, only those with a
	// unique key are looked for.
	after *int64

	at      map[*store.Queue]int64 // where to go on in target queues
	entries []store.Entry
	targets []store.Entry
}

func (f *search) run() error {
	for offset := f.lv.next; offset < f.lv.arrived; {
		var err error
		if f.entries, err = f.s.cfg.Log.Entries(f.entries[:0], f.lv.q, offset, int(min(f.lv.arrived-offset, 256))); err != nil {
			return fmt.Errorf("delay: queue %d of %s at %d: %w", f.lv.q.ID(), message.TopicSchedule, offset, err)
		}
		if len(f.entries) == 0 {
			return nil
		}
		for _, e := range f.entries {
			switch found, passable, err := f.delivered(e); {
			case err != nil:
				return err
			case found:
				f.lv.next = offset + 1
			case !passable:
				return nil
			}
			offset++
		}
	}
	return nil
}

// delivered tells whether the message of an entry has been delivered. passable:
// it will never be, so that the next one may have been.
func (f *search) delivered(e store.Entry) (found, passable bool, err error) {
	if e.Size == 0 {
		return false, true, nil
	}
	stored, release, err := f.s.cfg.Log.Record(e.PhysicalOffset)
	if err != nil {
		return false, true, nil // delivery decides, and reports it
	}
	defer release()
	var want message.Record
	target, err := due(&want, stored, f.lv)
	if err != nil {
		return false, true, nil
	}
	if f.after == nil {
		if _, ok := want.Property(message.PropertyUniqueKey); !ok {
			return false, false, nil
		}
	}
	q := f.s.cfg.Log.LookupQueue(target, want.QueueID)
	if q == nil {
		return false, false, nil
	}
	found, err = f.find(q, &want, e.PhysicalOffset)
	return found, false, err
}

// find looks for want in q, behind what was found there before.
func (f *search) find(q *store.Queue, want *message.Record, entryAt int64) (bool, error) {
	offset, ok := f.at[q]
	if !ok {
		var err error
		if offset, err = f.begin(q, want); err != nil {
			return false, err
		}
		f.at[q] = offset
	}
	size, tags := int32(message.EncodedSize(want)), want.TagsCode()
	after := entryAt
	if f.after != nil {
		after = max(after, *f.after-1)
	}
	for offset < q.Max() {
		var err error
		if f.targets, err = f.s.cfg.Log.Entries(f.targets[:0], q, offset, 256); err != nil || len(f.targets) == 0 {
			return false, err
		}
		for _, e := range f.targets {
			if e.Size == size && e.TagsCode == tags && e.PhysicalOffset > after && f.same(e, want) {
				f.at[q] = offset + 1
				return true, nil
			}
			offset++
		}
	}
	return false, nil
}

// begin is where the search in q begins.
func (f *search) begin(q *store.Queue, want *message.Record) (int64, error) {
	if f.after == nil {
		return f.s.cfg.Log.OffsetByTime(q, want.StoreTimestamp, store.Lower)
	}
	// From the end back to the note, which is not far.
	low, offset := q.Min(), q.Max()
	for offset > low {
		from := max(offset-256, low)
		var err error
		if f.targets, err = f.s.cfg.Log.Entries(f.targets[:0], q, from, int(offset-from)); err != nil {
			return 0, fmt.Errorf("delay: queue %d of %s at %d: %w", q.ID(), q.Topic(), from, err)
		}
		for i := len(f.targets) - 1; i >= 0; i-- {
			if e := f.targets[i]; e.Size != 0 && e.PhysicalOffset < *f.after {
				return from + int64(i) + 1, nil
			}
		}
		offset = from
	}
	return low, nil
}

// same tells whether the record of e is want, delivered.
func (f *search) same(e store.Entry, want *message.Record) bool {
	stored, release, err := f.s.cfg.Log.Record(e.PhysicalOffset)
	if err != nil {
		return false
	}
	defer release()
	var have message.Record
	if _, err := message.DecodeRecord(stored, &have, false); err != nil {
		return false
	}
	return have.Flag == want.Flag && have.SysFlag == want.SysFlag && have.ReconsumeTimes == want.ReconsumeTimes &&
		have.BornTimestamp == want.BornTimestamp && have.BornHost == want.BornHost && have.StoreHost == want.StoreHost &&
		have.QueueID == want.QueueID && bytes.Equal(have.Topic, want.Topic) && bytes.Equal(have.Body, want.Body) &&
		sameProperties(have.Properties, want.Properties)
}

// sameProperties compares by value: RocketMQ may write another order.
func sameProperties(a, b []byte) bool {
	return bytes.Equal(a, b) || maps.Equal(message.ParseProperties(a), message.ParseProperties(b))
}
