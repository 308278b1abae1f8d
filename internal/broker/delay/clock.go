// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package delay

import (
	"math"
	"sort"
	"time"
)

// clock counts ms since a service was opened. Nothing sets it back or forward.
type clock struct {
	start       time.Time
	wall        func() int64 // ms since 1970
	wallAtStart int64
}

func startClock(wall func() int64) clock {
	return clock{start: time.Now(), wall: wall, wallAtStart: wall()}
}

// now returns the ms since the start and the wall clock.
func (c *clock) now() (mono, wall int64) { return time.Since(c.start).Milliseconds(), c.wall() }

// until is the time that is left until ms after the start.
func (c *clock) until(ms int64) time.Duration {
	if ms > math.MaxInt64/int64(time.Millisecond) {
		ms = math.MaxInt64 / int64(time.Millisecond)
	}
	return time.Duration(ms)*time.Millisecond - time.Since(c.start)
}

// eras say for one level how far the store timestamps of its entries are ahead
// of the ms since the start, so that a deliver time becomes one of these ms
// whatever has been done to the wall clock since. Offsets below before are from
// earlier runs.
//
//	deliver time = store timestamp + delay      in the queue entry
//	due          = deliver time - era.ahead     ms since the start
type eras struct {
	before int64
	list   []era // never empty, ascending
}

// era begins with an entry.
type era struct {
	from  int64 // offset
	ahead int64 // ms
}

func (e *eras) open(before, ahead int64) {
	e.before = before
	e.list = append(e.list[:0], era{0, ahead})
}

// clockRounding is by how many ms the difference of two clocks that are both cut
// to ms, and read one after the other, may change without anything having been
// done to one of them.
const clockRounding = 2

// erasPerStep: a longer list tolerates twice the difference. It grows long only
// while the store's time stands still, waiting for a clock that was set back.
const erasPerStep = 256

// add notes an entry that has just been stored. A new era begins when the
// difference has changed; within the tolerance it errs to the late side.
func (e *eras) add(offset, ahead int64) {
	last := e.list[len(e.list)-1]
	tolerance := int64(clockRounding) << min(len(e.list)/erasPerStep, 20)
	if offset < last.from {
		return // counted already (catchUp)
	}
	if ahead >= last.ahead-clockRounding && ahead <= last.ahead+tolerance {
		return
	}
	e.list = append(e.list, era{offset, ahead - (tolerance - clockRounding)})
}

// due returns when the entry at offset is to be delivered, in ms since the start.
//
// Of an entry from an earlier run it is only known what the wall clock said when
// it was stored. It is due delay after the start at the latest: it was stored
// before, and the level may have had a longer delay then.
func (e *eras) due(offset, deliverTime, delay int64) int64 {
	i := sort.Search(len(e.list), func(i int) bool { return e.list[i].from > offset }) - 1
	at := max(deliverTime, 0) - e.list[max(i, 0)].ahead
	if offset < e.before && (at > delay || deliverTime < 0) {
		return delay
	}
	return at
}

// passed forgets eras that have no entry from offset on.
func (e *eras) passed(offset int64) {
	n := sort.Search(len(e.list), func(i int) bool { return e.list[i].from > offset }) - 1
	if n > 0 {
		e.list = append(e.list[:0], e.list[n:]...)
	}
}
