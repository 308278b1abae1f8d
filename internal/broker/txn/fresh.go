// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package txn

import "sync"

// fresh keeps the youngest half records in memory: most transactions are decided
// soon, and the commit then needs not read the log. A record stands in the slot
// of its queue offset until another one takes it; large ones are not kept. At
// most freshSlots*freshBytes, as much as was needed at once. Safe for concurrent
// use.
type fresh struct {
	slots [freshSlots]freshSlot
}

const (
	freshSlots = 2048 // a power of two
	freshBytes = 4096 // of one record
)

type freshSlot struct {
	mu       sync.Mutex
	physical int64 // of the record; its queue offset decides about the slot
	rec      []byte
}

func (f *fresh) slot(queueOffset int64) *freshSlot { return &f.slots[queueOffset&(freshSlots-1)] }

// put keeps a copy of a half record.
func (f *fresh) put(queueOffset, physical int64, rec []byte) {
	if len(rec) > freshBytes {
		return
	}
	s := f.slot(queueOffset)
	s.mu.Lock()
	s.physical, s.rec = physical, append(s.rec[:0], rec...)
	s.mu.Unlock()
}

// with calls fn with a half record, which is valid during the call; false: it is
// not here.
func (f *fresh) with(queueOffset, physical int64, fn func(rec []byte) error) (bool, error) {
	s := f.slot(queueOffset)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.rec) == 0 || s.physical != physical {
		return false, nil
	}
	return true, fn(s.rec)
}
