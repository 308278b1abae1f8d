// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package state

import (
	"errors"
	"fmt"
	"math"
)

// ErrDamaged is wrapped by what Get and Range return for a word that nobody
// wrote. The error names the file and the offset; Reset, or Clear of that
// offset, is the way out.
var ErrDamaged = errors.New("the word is of no known kind")

// Kind is what is known of a half message.
type Kind uint8

// The kinds, by their number on disk.
const (
	Undecided  Kind = iota
	Committed       // the real message is in the log
	RolledBack      // nobody will ever see it
	Discarded       // parked
	Resumed         // was parked; another half message stands for it now
	Decided         // committed or rolled back, by a broker that did not say which
)

var kindNames = [...]string{"undecided", "committed", "rolled back", "discarded", "resumed", "decided"}

// String returns the word that people read.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// Word is the state of one half message. The zero value is that of one that is
// undecided and was never checked.
type Word struct {
	Kind      Kind
	Checks    int32 // Undecided: checks handed out, 0 to 65535; more are stored as 65535
	CheckedAt int64 // Undecided: time of the last check, ms since 1970, 0 for never; below 2^44
	Op        int64 // Committed, RolledBack, Discarded, Decided: physical offset of the op record, below 2^61
	Next      int64 // Resumed: half queue offset that stands for it now, below 2^61
}

const (
	kindShift   = 61
	checksShift = 44
	payloadMask = 1<<kindShift - 1
	timeMask    = 1<<checksShift - 1
)

// encode returns the eight bytes of w as a number. What does not fit is stored
// as the nearest that does, an impossible offset as the largest: an op record
// there is in no log, so the word proves nothing, but it is not undecided. fits
// is false then, and for an unknown kind, which gives 0.
func (w Word) encode() (v uint64, fits bool) {
	payload := w.Op
	switch w.Kind {
	case Undecided:
		checks := min(max(w.Checks, 0), math.MaxUint16)
		at := min(max(w.CheckedAt, 0), timeMask)
		return uint64(checks)<<checksShift | uint64(at), checks == w.Checks && at == w.CheckedAt || w.Checks > math.MaxUint16
	case Committed, RolledBack, Discarded, Decided:
	case Resumed:
		payload = w.Next
	default:
		return 0, false
	}
	fits = payload >= 0 && payload <= payloadMask
	if !fits {
		payload = payloadMask
	}
	return uint64(w.Kind)<<kindShift | uint64(payload), fits
}

// decode is the reverse of encode; false for what encode never returns.
func decode(v uint64) (w Word, ok bool) {
	kind, payload := Kind(v>>kindShift), int64(v&payloadMask)
	if kind == Undecided {
		return Word{Checks: int32(payload >> checksShift), CheckedAt: payload & timeMask}, v>>60 == 0
	}
	if kind == Resumed {
		return Word{Kind: kind, Next: payload}, true
	}
	return Word{Kind: kind, Op: payload}, kind <= Decided
}
