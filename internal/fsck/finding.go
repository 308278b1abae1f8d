// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package fsck

import (
	"fmt"
	"slices"
)

// Level is how bad a finding is.
type Level string

// The levels.
const (
	// Damage: bytes are not what was written, or parts disagree.
	Damage Level = "damage"
	// Behind: the next start completes or removes it, as after a kill.
	Behind Level = "behind"
	// Note: does no harm.
	Note Level = "note"
)

// Kind is what a finding is about.
type Kind string

// The kinds.
const (
	KindName        Kind = "name"        // of a file, or a file that is missing
	KindSize        Kind = "size"        // of a file
	KindRecord      Kind = "record"      // bytes of the log that are no record, or one that cannot be right
	KindEnd         Kind = "end"         // of the log
	KindQueue       Kind = "queue"       // entries of a queue
	KindIndex       Kind = "index"       // entries, slots or header of the index
	KindCheckpoint  Kind = "checkpoint"  // its times
	KindOp          Kind = "op"          // an op record
	KindTransaction Kind = "transaction" // the states of half messages
)

// Finding is one thing that is not as it should be.
type Finding struct {
	Level  Level  `json:"level"`
	Kind   Kind   `json:"kind"`
	File   string `json:"file"`             // path
	Offset int64  `json:"offset"`           // in the file, bytes; -1: the file as a whole
	Length int64  `json:"length,omitempty"` // bytes, where that is known
	Text   string `json:"text"`
}

// String is the finding as one line.
func (f Finding) String() string {
	if f.Offset < 0 {
		return fmt.Sprintf("%s: %s: %s", f.Level, f.File, f.Text)
	}
	return fmt.Sprintf("%s: %s at %d: %s", f.Level, f.File, f.Offset, f.Text)
}

const (
	maxListed   = 1000 // findings that are kept
	maxRanges   = 1 << 16
	maxUnknown  = 1 << 20 // queues of the log that have no directory
	maxHeld     = 1 << 16 // findings of queues that wait for the end
	maxBad      = 1 << 16 // index entries of one file
	maxConfig   = 64 << 20
	lookAhead   = 2048 // index entries
	tooNew      = 10 * 366 * 24 * 3600 * 1000
	longDelay   = 10 * tooNew
	unsetClock  = 1_767_225_600_000 // ms; machines without a clock start before it
	foreignGap  = 1 << 24           // entries that a queue may begin with and the log never had
	indexMargin = 3000              // ms: index entries hold seconds only
)

// findings keeps the first ones and counts all.
type findings struct {
	limit  int
	list   []Finding
	counts [3]int64 // damage, behind, note
}

func (f *findings) add(g Finding) {
	switch g.Level {
	case Damage:
		f.counts[0]++
	case Behind:
		f.counts[1]++
	default:
		f.counts[2]++
	}
	if len(f.list) < f.limit {
		f.list = append(f.list, g)
		return
	}
	if g.Level == Damage { // rather than something that does no harm
		for i := len(f.list) - 1; i >= 0; i-- {
			if f.list[i].Level != Damage {
				f.list[i] = g
				return
			}
		}
	}
}

// ranges are ascending ranges of log offsets. Beyond maxRanges neighbours become
// one.
type ranges struct{ from, to []int64 }

func (r *ranges) add(from, to int64) {
	if n := len(r.to); n > 0 && (r.to[n-1] >= from || n >= maxRanges) {
		r.to[n-1] = max(r.to[n-1], to)
		return
	}
	r.from, r.to = append(r.from, from), append(r.to, to)
}

func (r *ranges) has(offset int64) bool {
	i, ok := slices.BinarySearch(r.from, offset)
	if !ok {
		i--
	}
	return i >= 0 && offset < r.to[i]
}
