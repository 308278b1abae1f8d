// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package skew

import (
	"math"
	"sort"
)

// Rounding is by how many ms the difference of two clocks that are both cut to ms,
// and read one after the other, may change without anything having been done to one
// of them.
const Rounding = 2

const (
	// erasPerStep: a longer list tolerates twice the difference. It grows long only
	// while the store's time stands still, waiting for a clock that was set back.
	erasPerStep = 256
	// pastEras: of more, the older half is kept with less precision.
	pastEras = 1024
)

// History says how far a clock was ahead of a Clock when the entries of a queue
// were stored. It takes about 100 KB at most, after a clock was set often.
type History struct {
	past []era // before list, ascending
	list []era // of entries that Passed was not told of; never empty, ascending
}

// era begins with an entry.
type era struct {
	from  int64 // offset in the queue
	ahead int64 // ms
	since int64 // by the Clock
}

// Begin is a History of entries that were stored ahead, all of them.
func Begin(ahead int64) History { return History{list: []era{{ahead: ahead, since: math.MinInt64}}} }

// Add notes by how much the clock is ahead now, when an entry has just been stored,
// the later the higher its offset. Smaller changes than Rounding count as none; of
// larger ones it errs to the late side, by Rounding, and by more after hundreds of
// changes between two calls of Passed. It returns what At does.
func (h *History) Add(offset, ahead, now int64) int64 {
	last := h.list[len(h.list)-1]
	tolerance := int64(Rounding) << min(len(h.list)/erasPerStep, 20)
	if offset < last.from || ahead >= last.ahead-Rounding && ahead <= last.ahead+2*tolerance {
		return last.ahead
	}
	h.list = append(h.list, era{offset, ahead - tolerance, now})
	return ahead - tolerance
}

// At is by how much the clock was ahead when an entry was stored. After a thousand
// changes the oldest are known roughly, to the late side.
func (h *History) At(offset int64) int64 {
	list := h.list
	if offset < list[0].from && len(h.past) > 0 {
		list = h.past
	}
	return list[max(index(list, offset), 0)].ahead
}

// index is that of an entry's era, -1 when the entry is older than all.
func index(list []era, offset int64) int {
	return sort.Search(len(list), func(i int) bool { return list[i].from > offset }) - 1
}

// Passed tells that entries before offset are hardly asked for any more.
func (h *History) Passed(offset int64) {
	n := index(h.list, offset)
	if n <= 0 {
		return
	}
	h.past = append(h.past, h.list[:n]...)
	h.list = append(h.list[:0], h.list[n:]...)
	for len(h.past) > pastEras {
		old := h.past[:len(h.past)/2&^1]
		for i := 0; i < len(old); i += 2 {
			old[i/2] = era{old[i].from, min(old[i].ahead, old[i+1].ahead), old[i].since}
		}
		h.past = append(old[:len(old)/2], h.past[len(old):]...)
	}
}

// Earliest is the earliest time by the Clock that a time of delivery by the other
// clock may stand for, of any entry that was stored at most most ms before it.
func (h *History) Earliest(at, most int64) int64 {
	due := at - h.list[len(h.list)-1].ahead
	until := int64(math.MaxInt64)
	for _, list := range [][]era{h.list, h.past} {
		for i := len(list) - 1; i >= 0; i-- {
			if d := at - list[i].ahead; d > list[i].since && d-most <= until {
				due = min(due, d)
			}
			until = list[i].since
		}
	}
	return due
}

// Latest is the latest time of delivery by the other clock that may have come until
// now, by the Clock, of any entry that was stored at most most ms before it; of times
// behind limit nothing is said.
func (h *History) Latest(now, most, limit int64) int64 {
	latest, until := int64(0), now
	for _, list := range [][]era{h.list, h.past} {
		for i := len(list) - 1; i >= 0; i-- {
			if at := min(now, until+most) + list[i].ahead; at <= limit {
				latest = max(latest, at)
			}
			until = list[i].since
		}
	}
	return latest
}
