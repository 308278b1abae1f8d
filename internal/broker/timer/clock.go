// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package timer

import (
	"math"
	"sort"
	"time"
)

// clock is the time of the wheel, in ms: the wall clock as it was when the
// service was opened, and from then on the process's own, which nothing sets.
type clock struct {
	start time.Time
	first int64        // the wheel's time at the start
	wall  func() int64 // ms since 1970
}

func (c *clock) now() int64 { return c.first + time.Since(c.start).Milliseconds() }

// ahead is by how much the wall clock is ahead of the wheel's time.
func (c *clock) ahead() int64 { return c.wall() - c.now() }

// until is the time that is left until ms.
func (c *clock) until(ms int64) time.Duration {
	left := ms - c.first
	if left > math.MaxInt64/int64(time.Millisecond) {
		left = math.MaxInt64 / int64(time.Millisecond)
	}
	return time.Duration(left)*time.Millisecond - time.Since(c.start)
}

// eras say how far a clock was ahead of the wheel's time when entries of the
// wheel's topic were stored, so that a time of delivery by that clock becomes one
// of the wheel, whatever is done to the clock before the entry is put in.
//
//	due = time of delivery - ahead
type eras []era // never empty, ascending

// era begins with an entry.
type era struct {
	from  int64 // queue offset
	ahead int64 // ms
}

// clockRounding is by how many ms the difference of two clocks that are both cut
// to ms, and read one after the other, may change without anything having been
// done to one of them.
const clockRounding = 2

// erasPerStep: a longer list tolerates twice the difference. It grows long only
// while the store's time stands still, waiting for a clock that was set back.
const erasPerStep = 256

// add notes an entry that has just been stored. A new era begins when the
// difference has changed; it errs to the late side.
func (e *eras) add(offset, ahead int64) {
	last := (*e)[len(*e)-1]
	tolerance := int64(clockRounding) << min(len(*e)/erasPerStep, 20)
	if offset < last.from || ahead >= last.ahead-clockRounding && ahead <= last.ahead+2*tolerance {
		return
	}
	*e = append(*e, era{offset, ahead - tolerance})
}

// at is how far the clock was ahead when the entry was stored.
func (e eras) at(offset int64) int64 {
	i := sort.Search(len(e), func(i int) bool { return e[i].from > offset }) - 1
	return e[max(i, 0)].ahead
}

// passed forgets eras that have no entry from offset on.
func (e *eras) passed(offset int64) {
	if n := sort.Search(len(*e), func(i int) bool { return (*e)[i].from > offset }) - 1; n > 0 {
		*e = append((*e)[:0], (*e)[n:]...)
	}
}
