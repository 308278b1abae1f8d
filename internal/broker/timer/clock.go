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
type eras struct {
	past []era // before list, ascending
	list []era // of entries that are not put in yet; never empty, ascending
}

// era begins with an entry.
type era struct {
	from  int64 // queue offset
	ahead int64 // ms
	since int64 // the wheel's time
}

func begin(ahead int64) eras { return eras{list: []era{{ahead: ahead, since: math.MinInt64}}} }

// clockRounding is by how many ms the difference of two clocks that are both cut
// to ms, and read one after the other, may change without anything having been
// done to one of them.
const clockRounding = 2

// erasPerStep: a longer list tolerates twice the difference. It grows long only
// while the store's time stands still, waiting for a clock that was set back.
const erasPerStep = 256

// pastEras: of more, the older half is kept with less precision.
const pastEras = 1024

// add notes an entry that has just been stored, now. A new era begins when the
// difference has changed; it errs to the late side.
func (e *eras) add(offset, ahead, now int64) (used int64, changed bool) {
	last := e.list[len(e.list)-1]
	tolerance := int64(clockRounding) << min(len(e.list)/erasPerStep, 20)
	if offset < last.from || ahead >= last.ahead-clockRounding && ahead <= last.ahead+2*tolerance {
		return last.ahead, false
	}
	e.list = append(e.list, era{offset, ahead - tolerance, now})
	return ahead - tolerance, true
}

// at is how far the clock was ahead when the entry was stored. What is long past
// errs to the late side.
func (e *eras) at(offset int64) int64 {
	list := e.list
	if offset < list[0].from && len(e.past) > 0 {
		list = e.past
	}
	return list[max(before(list, offset), 0)].ahead
}

// before is the index of the era of an entry, -1 when it is older than all.
func before(list []era, offset int64) int {
	return sort.Search(len(list), func(i int) bool { return list[i].from > offset }) - 1
}

// passed tells that entries before offset are put in.
func (e *eras) passed(offset int64) {
	n := before(e.list, offset)
	if n <= 0 {
		return
	}
	e.past = append(e.past, e.list[:n]...)
	e.list = append(e.list[:0], e.list[n:]...)
	for len(e.past) > pastEras {
		old := e.past[:len(e.past)/2&^1]
		for i := 0; i < len(old); i += 2 {
			old[i/2] = era{old[i].from, min(old[i].ahead, old[i+1].ahead), old[i].since}
		}
		e.past = append(old[:len(old)/2], e.past[len(old):]...)
	}
}

// earliest is the earliest time of the wheel that a time of delivery by the clock
// may have become, for an entry of at most most ms before it.
func (e *eras) earliest(at, most int64) int64 {
	due := at - e.list[len(e.list)-1].ahead
	until := int64(math.MaxInt64)
	for _, list := range [][]era{e.list, e.past} {
		for i := len(list) - 1; i >= 0; i-- {
			if d := at - list[i].ahead; d > list[i].since && d-most <= until {
				due = min(due, d)
			}
			until = list[i].since
		}
	}
	return due
}
