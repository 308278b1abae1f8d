// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pop

import (
	"maps"
	"slices"
	"strings"

	"github.com/twostage/twostage/internal/wire/body"
)

// orders is what groups that consume in order have in flight: per queue the last
// pop, which is the one whose record stands last in the log. It has no clock and no
// lock. Source of the rules: ConsumerOrderInfoManager of Apache RocketMQ 5.3.3; a
// message that is acked stays so when those before it are given again, which there
// it does not.
//
// Entries that snapshot has given are read without a lock: of what is behind their
// slices and maps nothing is changed in place.
type orders struct {
	table map[string]map[int32]*body.OrderInfo // by topic@group
}

// maxAckedAhead is how many messages behind those that were given last an entry
// knows to be acked. More there are only when a group's filters change for ever;
// what is beyond is given again.
const maxAckedAhead = 1024

func newOrders() *orders { return &orders{table: make(map[string]map[int32]*body.OrderInfo)} }

func (o *orders) get(topic, group string, queue int32) *body.OrderInfo {
	return o.table[topic+"@"+group][queue]
}

func (o *orders) clear(topic, group string, queue int32) {
	name := topic + "@" + group
	delete(o.table[name], queue)
	if len(o.table[name]) == 0 {
		delete(o.table, name)
	}
}

// forget drops what a deleted topic or group had.
func (o *orders) forget(exists func(topic, group string) bool) {
	for name := range o.table {
		if topic, group, ok := strings.Cut(name, "@"); !ok || !exists(topic, group) {
			delete(o.table, name)
		}
	}
}

// snapshot is the table as it is now.
func (o *orders) snapshot() map[string]map[int32]*body.OrderInfo {
	table := make(map[string]map[int32]*body.OrderInfo, len(o.table))
	for name, queues := range o.table {
		copies := make(map[int32]*body.OrderInfo, len(queues))
		for id, info := range queues {
			c := *info
			copies[id] = &c
		}
		table[name] = copies
	}
	return table
}

// offsetAt is the offset of message i.
func offsetAt(info *body.OrderInfo, i int) int64 {
	if i == 0 {
		return info.Offsets[0]
	}
	return info.Offsets[0] + info.Offsets[i]
}

func acked(info *body.OrderInfo, i int) bool { return info.Committed&(1<<i) != 0 }

// ackedAhead tells whether a message behind those of the entry is acked.
func ackedAhead(info *body.OrderInfo, offset int64) bool {
	_, ok := slices.BinarySearch(info.Acked, offset)
	return ok
}

// hasAcked tells whether the message at an offset is acked.
func hasAcked(info *body.OrderInfo, offset int64) bool {
	if info == nil {
		return false
	}
	for i := range info.Offsets {
		if offsetAt(info, i) == offset {
			return acked(info, i)
		}
	}
	return ackedAhead(info, offset)
}

// visible is when message i may be given again.
func visible(info *body.OrderInfo, i int) int64 {
	if at, ok := info.NextVisible[offsetAt(info, i)]; ok {
		return at
	}
	return info.PopTime + info.Invisible
}

// free is when the queue is no longer blocked: when the last of its messages in
// flight is visible again; 0 if none is in flight.
func free(info *body.OrderInfo) (at int64) {
	for i := range info.Offsets {
		if !acked(info, i) {
			at = max(at, visible(info, i))
		}
	}
	return at
}

// blocked tells whether a pop must wait. The attempt that has the messages may
// have them again: its answer may have been lost.
func (o *orders) blocked(topic, group string, queue int32, attempt string, now int64) bool {
	info := o.get(topic, group, queue)
	if info == nil || attempt != "" && attempt == info.AttemptID {
		return false
	}
	return now < free(info)
}

// orderPop is a pop in order.
type orderPop struct {
	attempt         string
	time, invisible int64
	at              int64   // of its record in the log
	offsets         []int64 // of the messages, rising
}

// put notes a pop, and returns its entry.
func (o *orders) put(topic, group string, queue int32, p orderPop) *body.OrderInfo {
	info := &body.OrderInfo{AttemptID: p.attempt, Invisible: p.invisible, Last: p.time, PopTime: p.time, At: p.at}
	before := o.get(topic, group, queue)
	for i, off := range p.offsets {
		if i == 0 {
			info.Offsets = append(info.Offsets, off)
		} else {
			info.Offsets = append(info.Offsets, off-p.offsets[0])
		}
		if before == nil {
			continue
		}
		if hasAcked(before, off) {
			info.Committed |= 1 << i
		}
		n, again := before.Consumed[off]
		if p.attempt == "" || p.attempt != before.AttemptID {
			for j := range before.Offsets {
				if offsetAt(before, j) == off {
					n, again = n+1, true
				}
			}
		}
		if again && n > 0 {
			if info.Consumed == nil {
				info.Consumed = make(map[int64]int32)
			}
			info.Consumed[off] = n
		}
	}
	if before != nil {
		info.Acked = ahead(before, p.offsets)
	}
	name := topic + "@" + group
	if o.table[name] == nil {
		o.table[name] = make(map[int32]*body.OrderInfo)
	}
	o.table[name][queue] = info
	return info
}

// ahead is what is acked behind the first of the messages that are given now, and
// not one of them.
func ahead(before *body.OrderInfo, given []int64) []int64 {
	var list []int64
	add := func(offset int64) {
		if _, again := slices.BinarySearch(given, offset); !again && offset > given[0] {
			list = append(list, offset)
		}
	}
	for i := range before.Offsets {
		if acked(before, i) {
			add(offsetAt(before, i))
		}
	}
	for _, offset := range before.Acked {
		add(offset)
	}
	slices.Sort(list)
	list = slices.Compact(list)
	return list[:min(len(list), maxAckedAhead)]
}

// verdict is what an ack in order is worth.
type verdict uint8

const (
	counts  verdict = iota // it changes something
	late                   // the message was given again since, or is acked
	unknown                // the queue gave no such message
)

// judge says what an ack would be worth, and of which message of the entry it is.
func (o *orders) judge(topic, group string, queue int32, offset, time int64) (v verdict, info *body.OrderInfo, bit int) {
	info = o.get(topic, group, queue)
	if info == nil {
		return unknown, nil, 0
	}
	if info.PopTime != time {
		return late, info, 0
	}
	for i := range info.Offsets {
		if offsetAt(info, i) == offset {
			if acked(info, i) {
				return late, info, i
			}
			return counts, info, i
		}
	}
	if ackedAhead(info, offset) {
		return late, info, 0
	}
	return unknown, info, 0
}

// hide sets when a message of the entry is visible.
func hide(info *body.OrderInfo, offset, until int64) {
	times := maps.Clone(info.NextVisible)
	if times == nil {
		times = make(map[int64]int64)
	}
	times[offset] = until
	info.NextVisible = times
}

// next is where the queue goes on: the first message that is not acked.
func next(info *body.OrderInfo) int64 {
	for i := range info.Offsets {
		if !acked(info, i) {
			return offsetAt(info, i)
		}
	}
	to := offsetAt(info, len(info.Offsets)-1) + 1
	for ackedAhead(info, to) {
		to++
	}
	return to
}
