// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package fsck

import (
	"fmt"
	"slices"

	"github.com/twostage/twostage/internal/store/index"
	"github.com/twostage/twostage/message"
)

// indexCheck merges the entries of the index, which are in log order, with the
// keys of the records.
type indexCheck struct {
	v     *verifier
	r     *indexReader
	ahead []indexItem // read, and not yet compared
	chain chain

	want    []int32 // hashes of the keys of a record, each once
	found   []bool
	missing missingKeys

	// waiting are entries from the first that is of no key on: what they should be is
	// known when all keys of the record are.
	waiting []waitingItem
	bad     int // of them that are of no key

	firstUntrusted int // with abort: this file and those behind it are made anew
}

// missingKeys are keys without an entry, one behind the other.
type missingKeys struct {
	count       int64
	first, last int64 // log offsets
	storeTime   int64 // of the first, ms
	before      int32 // the entry that would follow, and its file
	file        int
	keys        []wantedKey // the first of them
}

type waitingItem struct {
	indexItem
	bad       bool
	storeTime int64 // of its record, ms; -1 not known
}

type wantedKey struct {
	hash      int32
	offset    int64
	storeTime int64
}

func (v *verifier) newIndexCheck() (*indexCheck, error) {
	if err := v.d.checkShape(); err != nil {
		return nil, err
	}
	x := &indexCheck{v: v, r: v.d.newIndexReader(), firstUntrusted: len(v.d.indexes)}
	x.chain.init(x)
	if v.d.aborted {
		for i, f := range v.d.indexes {
			if int(f.hdr.Count) < v.d.entries() || f.hdr.EndTime > v.d.check.Index {
				x.firstUntrusted = i
				break
			}
		}
	}
	return x, nil
}

// level is how bad something is in a file.
func (x *indexCheck) level(file int) Level {
	if file >= x.firstUntrusted {
		return Behind
	}
	return Damage
}

// finding is about an entry.
func (x *indexCheck) finding(i *indexItem, format string, args ...any) Finding {
	return Finding{Level: x.level(i.file), Kind: KindIndex, File: x.v.d.indexes[i.file].path,
		Offset: index.EntryAt(x.v.d.slots(), i.number), Length: index.EntrySize, Text: fmt.Sprintf("entry %d ", i.number) + fmt.Sprintf(format, args...)}
}

// fill reads on until n entries are ahead, or all.
func (x *indexCheck) fill(n int) error {
	if len(x.ahead) >= n {
		return nil
	}
	rest := slices.Clone(x.ahead)
	var err error
	x.ahead, err = x.r.next(rest, lookAhead)
	return err
}

// hashes sets want to those of the keys of a record.
func (x *indexCheck) hashes(rec *message.Record) {
	x.want, x.found = x.want[:0], x.found[:0]
	add := func(key []byte) bool {
		if h := message.KeyHash(rec.Topic, key); !slices.Contains(x.want, h) {
			x.want, x.found = append(x.want, h), append(x.found, false)
		}
		return true
	}
	if uniq, _ := rec.Property(message.PropertyUniqueKey); len(uniq) > 0 {
		add(uniq)
	}
	keys, _ := rec.Property(message.PropertyKeys)
	message.RangeKeys(keys, add)
}

// record compares the keys of a record with the next entries.
func (x *indexCheck) record(rec *message.Record) error {
	if !x.v.d.indexFound {
		return nil // see finish
	}
	x.hashes(rec)
	if len(x.want) == 0 {
		return nil
	}
	for left := len(x.want); ; {
		if err := x.fill(1); err != nil {
			return err
		}
		if len(x.ahead) == 0 {
			break
		}
		head := &x.ahead[0]
		if head.Offset == rec.PhysicalOffset {
			if i := slices.Index(x.want, head.Hash); i >= 0 {
				if !x.found[i] {
					x.found[i], left = true, left-1
				}
				x.take(rec.StoreTimestamp)
				continue
			}
		}
		if left == 0 {
			break // a wrong one may be the next record's
		}
		if head.Offset < rec.PhysicalOffset {
			x.drop(1)
			continue
		}
		n, err := x.find(rec.PhysicalOffset)
		if err != nil {
			return err
		}
		if n < 0 {
			break
		}
		x.drop(n)
	}
	before := x.missing.count
	for i, hash := range x.want {
		if !x.found[i] {
			x.miss(wantedKey{hash, rec.PhysicalOffset, rec.StoreTimestamp})
		}
	}
	if int64(x.bad) <= x.missing.count || before == x.missing.count {
		x.settle() // else the next record may lack keys too
	}
	return nil
}

// take takes the next entry, which is of a key of a record.
func (x *indexCheck) take(storeTime int64) {
	x.v.r.Keys++
	if x.bad > 0 {
		x.waiting = append(x.waiting, waitingItem{x.ahead[0], false, storeTime})
	} else {
		x.reportMissing() // nothing stands in their place
		x.chain.add(&x.ahead[0], storeTime)
	}
	x.ahead = x.ahead[1:]
}

// find looks ahead for an entry of a record that is not found yet.
func (x *indexCheck) find(offset int64) (int, error) {
	if err := x.fill(lookAhead / 2); err != nil {
		return -1, err
	}
	for n := range x.ahead {
		if e := &x.ahead[n]; e.Offset == offset {
			if i := slices.Index(x.want, e.Hash); i >= 0 && !x.found[i] {
				return n, nil
			}
		}
	}
	return -1, nil
}

// drop takes n entries that are of no key of the log.
func (x *indexCheck) drop(n int) {
	for i := range n {
		w := waitingItem{x.ahead[i], false, -1}
		switch {
		case w.Offset >= 0 && w.Offset < x.v.min: // the log had it
		case x.v.lost.has(w.Offset):
			x.v.r.Orphans++
		default:
			w.bad = true
			x.bad++
		}
		if x.bad == 0 {
			x.chain.add(&w.indexItem, -1)
			continue
		}
		if x.waiting = append(x.waiting, w); len(x.waiting) >= maxBad {
			x.settle()
		}
	}
	x.ahead = x.ahead[n:]
}

// miss notes a key without an entry.
func (x *indexCheck) miss(k wantedKey) {
	m := &x.missing
	if m.count == 0 {
		m.first, m.storeTime, m.file, m.before, m.keys = k.offset, k.storeTime, x.r.file, x.r.number, m.keys[:0]
		if len(x.ahead) > 0 {
			m.file, m.before = x.ahead[0].file, x.ahead[0].number
		}
	}
	m.count++
	m.last = k.offset
	if len(m.keys) < maxBad {
		m.keys = append(m.keys, k)
	}
}

// settle reports entries that are of no key. As many keys without an entry are
// taken for theirs.
func (x *indexCheck) settle() {
	if x.bad == 0 {
		return
	}
	known := x.missing.count == int64(x.bad) && len(x.missing.keys) == x.bad
	k := 0
	for i := 0; i < len(x.waiting); {
		w := &x.waiting[i]
		if !w.bad {
			x.chain.add(&w.indexItem, w.storeTime)
			i++
			continue
		}
		n := 1
		for i+n < len(x.waiting) && x.waiting[i+n].bad && x.waiting[i+n].file == w.file {
			n++
		}
		var f Finding
		if known {
			f = x.finding(&w.indexItem, "has hash %d and log offset %d, must have %d and %d", w.Hash, w.Offset, x.missing.keys[k].hash, x.missing.keys[k].offset)
		} else {
			f = x.finding(&w.indexItem, "has hash %d and log offset %d: no such key is in the log there", w.Hash, w.Offset)
		}
		if n > 1 {
			f.Text += fmt.Sprintf("; and so on, %d entries", n)
			f.Length *= int64(n)
		}
		x.v.out.add(f)
		for ; n > 0; n, i, k = n-1, i+1, k+1 {
			w := &x.waiting[i]
			if !known {
				x.chain.unknown(&w.indexItem)
				continue
			}
			w.Hash, w.Offset = x.missing.keys[k].hash, x.missing.keys[k].offset
			x.chain.addBad(&w.indexItem)
		}
	}
	if known {
		x.missing.count = 0
	}
	x.waiting, x.bad = x.waiting[:0], 0
}

// reportMissing reports keys without an entry.
func (x *indexCheck) reportMissing() {
	m := &x.missing
	if m.count == 0 {
		return
	}
	f := Finding{Level: Damage, Kind: KindIndex, File: x.v.d.o.Dir + "/index", Offset: -1}
	if x.v.d.aborted && m.storeTime > x.v.d.check.Index-indexMargin {
		f.Level = Behind
	}
	if m.file < len(x.v.d.indexes) {
		f.File, f.Offset = x.v.d.indexes[m.file].path, index.EntryAt(x.v.d.slots(), m.before)
	} else if n := len(x.v.d.indexes); n > 0 {
		last := x.v.d.indexes[n-1]
		f.File, f.Offset = last.path, min(index.EntryAt(x.v.d.slots(), max(1, last.hdr.Count)), last.size)
	}
	f.Text = fmt.Sprintf("%d keys of records from log offset %d to %d have no entry", m.count, m.first, m.last)
	m.count = 0
	x.v.out.add(f)
}

// finish looks at what is left behind the end of the log.
func (x *indexCheck) finish() error {
	if !x.v.d.indexFound {
		if x.v.r.Records > 0 {
			x.v.out.add(Finding{Level: Behind, Kind: KindIndex, File: x.v.d.o.Dir + "/index", Offset: -1, Text: "is missing: the next start builds it from the log"})
		}
		return nil
	}
	for {
		if err := x.fill(1); err != nil {
			return err
		}
		if len(x.ahead) == 0 {
			break
		}
		if x.v.ctx.Err() != nil {
			return x.v.ctx.Err()
		}
		if x.missing.count == 0 || len(x.ahead) != int(x.missing.count) {
			x.behindEnd()
		}
		x.drop(len(x.ahead))
	}
	x.settle()
	x.reportMissing()
	return x.chain.finish()
}

// behindEnd takes the next entries that are of records behind the end of the log.
func (x *indexCheck) behindEnd() {
	for len(x.ahead) > 0 && x.ahead[0].Offset >= x.v.r.End {
		e := &x.ahead[0]
		x.v.beyond.add(e.Offset, x.v.d.indexes[e.file].path, index.EntryAt(x.v.d.slots(), e.number))
		x.chain.add(e, -1)
		x.ahead = x.ahead[1:]
	}
}
