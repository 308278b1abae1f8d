// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package fsck

import (
	"fmt"
	"math"

	"github.com/twostage/twostage/internal/store/index"
)

// chain makes the slots of an index file anew from its entries, and compares: the
// previous entry in each entry, the slots, the header.
type chain struct {
	x     *indexCheck
	file  int // of slots; -1 none
	slots []int32
	used  int32
	wrong map[int32]struct{} // entries that are of no key: others may lead to them
	many  bool               // too many of them to tell

	begin, end  index.Header // as the first and the last entry have it
	begun, last bool         // begin, end hold their time too
	hiccups     int64        // entries with a wrong previous one or wrong seconds that were not reported
}

func (c *chain) init(x *indexCheck) { c.x, c.file = x, -1 }

// enter prepares for the entries of a file.
func (c *chain) enter(file int) error {
	if c.file == file {
		return nil
	}
	if err := c.finish(); err != nil {
		return err
	}
	if c.slots == nil {
		c.slots = make([]int32, c.x.v.d.slots())
	}
	clear(c.slots)
	*c = chain{x: c.x, file: file, slots: c.slots, wrong: make(map[int32]struct{})}
	return nil
}

// maxHiccups is how many entries of one file are reported for their chain or their
// time.
const maxHiccups = 20

// add takes an entry whose key is right, or was. storeTime is that of its record,
// ms, -1 when that is not known.
func (c *chain) add(i *indexItem, storeTime int64) {
	if c.fail(c.enter(i.file)) {
		return
	}
	hdr := &c.x.v.d.indexes[i.file].hdr
	c.note(i, storeTime)
	if storeTime >= 0 && (c.begun || !c.x.v.d.indexes[i.file].broken) {
		if want := seconds(storeTime, c.beginTime(hdr)); i.Seconds != want && !(i.number == 1 && c.firstSeconds(i, storeTime)) {
			c.report(c.x.finding(i, "says %d s after the file's first record, its record was stored %d s after it", i.Seconds, want))
		}
	}
	if i.Hash < 0 {
		return // none of a key that the log has
	}
	slot := int(i.Hash) % len(c.slots)
	_, prevWrong := c.wrong[i.Prev]
	_, headWrong := c.wrong[c.slots[slot]]
	if i.Prev != c.slots[slot] && !prevWrong && !headWrong && !c.many {
		c.report(c.x.finding(i, "has %d as the previous one of its slot, that is %d", i.Prev, c.slots[slot]))
	}
	c.put(slot, i.number)
}

func (c *chain) put(slot int, number int32) {
	if c.slots[slot] == 0 {
		c.used++
	}
	c.slots[slot] = number
}

// addBad takes an entry that was reported, with the key that it should have.
func (c *chain) addBad(i *indexItem) {
	if c.fail(c.enter(i.file)) {
		return
	}
	c.note(i, -1)
	c.put(int(i.Hash)%len(c.slots), i.number)
}

// unknown takes an entry of which nobody knows what it should be.
func (c *chain) unknown(i *indexItem) {
	if c.fail(c.enter(i.file)) {
		return
	}
	if len(c.wrong) >= maxBad {
		c.many = true
		return
	}
	c.wrong[i.number] = struct{}{}
}

// fail keeps an error for finish.
func (c *chain) fail(err error) bool {
	if err != nil && c.x.v.failed == nil {
		c.x.v.failed = err
	}
	return err != nil
}

func (c *chain) report(f Finding) {
	if c.hiccups++; c.hiccups <= maxHiccups {
		c.x.v.out.add(f)
	}
}

// note keeps what the header says of the first and of the last entry.
func (c *chain) note(i *indexItem, storeTime int64) {
	if i.number == 1 {
		c.begin.BeginOffset, c.begin.BeginTime, c.begun = i.Offset, storeTime, storeTime >= 0
	}
	c.end = index.Header{EndOffset: i.Offset, EndTime: storeTime, Count: i.number + 1}
	c.last = storeTime >= 0
}

// beginTime is the time that seconds count from.
func (c *chain) beginTime(hdr *index.Header) int64 {
	if c.begun {
		return c.begin.BeginTime
	}
	return hdr.BeginTime
}

// firstSeconds tells that the first entry of a file counts from the end of the
// file before, as in RocketMQ.
func (c *chain) firstSeconds(i *indexItem, storeTime int64) bool {
	return i.file > 0 && i.Seconds == seconds(storeTime, c.x.v.d.indexes[i.file-1].hdr.EndTime)
}

func seconds(storeTime, begin int64) int32 {
	return int32(min(max((storeTime-begin)/1000, 0), math.MaxInt32))
}

// finish compares the slots and the header of the file that ends.
func (c *chain) finish() error {
	if c.file < 0 {
		return nil
	}
	file := c.file
	c.file = -1
	f := c.x.v.d.indexes[file]
	if c.hiccups > maxHiccups {
		c.x.v.out.add(Finding{Level: c.x.level(file), Kind: KindIndex, File: f.path, Offset: -1,
			Text: fmt.Sprintf("%d more entries have a wrong previous one or a wrong time", c.hiccups-maxHiccups)})
	}
	c.checkHeader(f, file)
	if c.many {
		return nil
	}
	return c.checkSlots(f, file)
}

func (c *chain) checkHeader(f *indexFile, file int) {
	if f.broken {
		return
	}
	level := c.x.level(file)
	differs := func(at, length int64, what string, got, want int64) {
		if got != want {
			c.x.v.out.add(Finding{Level: level, Kind: KindIndex, File: f.path, Offset: at, Length: length,
				Text: fmt.Sprintf("the header has %d as %s, must have %d", got, what, want)})
		}
	}
	differs(36, 4, "the number of the next entry", int64(f.hdr.Count), int64(c.x.r.ended[file]))
	if c.begun {
		differs(0, 8, "the time of the first record", f.hdr.BeginTime, c.begin.BeginTime)
		differs(16, 8, "the log offset of the first record", f.hdr.BeginOffset, c.begin.BeginOffset)
	}
	if c.last && c.end.Count == f.hdr.Count {
		differs(8, 8, "the time of the last record", f.hdr.EndTime, c.end.EndTime)
		differs(24, 8, "the log offset of the last record", f.hdr.EndOffset, c.end.EndOffset)
	}
	if len(c.wrong) == 0 && !c.many {
		differs(32, 4, "used slots", int64(f.hdr.Slots), int64(c.used))
	}
}

func (c *chain) checkSlots(f *indexFile, file int) error {
	buf := make([]byte, 64<<10)
	var first Finding
	count := 0
	for s := 0; s < len(c.slots); {
		if c.x.v.ctx.Err() != nil {
			return c.x.v.ctx.Err()
		}
		b := buf[:min(len(buf), (len(c.slots)-s)*index.SlotSize)]
		n, err := c.x.v.d.files.readAt(f.path, b, index.SlotAt(s))
		if err != nil {
			return err
		}
		clear(b[n:])
		for ; len(b) > 0; b, s = b[index.SlotSize:], s+1 {
			got := int32(be.Uint32(b))
			if _, wrong := c.wrong[got]; got == c.slots[s] || wrong {
				continue
			}
			if count++; count == 1 {
				first = Finding{Level: c.x.level(file), Kind: KindIndex, File: f.path, Offset: index.SlotAt(s), Length: index.SlotSize,
					Text: fmt.Sprintf("slot %d leads to entry %d, must lead to %d", s, got, c.slots[s])}
			}
		}
	}
	if count > 1 {
		first.Text += fmt.Sprintf("; and %d more slots are wrong", count-1)
	}
	if count > 0 {
		c.x.v.out.add(first)
	}
	return nil
}
