// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package timerfile

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/twostage/twostage/internal/vfs"
)

const (
	// WheelSlots is how many slots a wheel has: two turns of seven days.
	WheelSlots = 2 * 7 * 86400
	// SlotSize is the size of a slot in bytes.
	SlotSize  = 32
	wheelSize = WheelSlots * SlotSize

	pageSlots = 128
	pageSize  = pageSlots * SlotSize
)

// Slot is one tick of the wheel.
//
//	 0  int64  its number: ms since 1970 / precision
//	 8  int64  position of its first unit in the timerlog
//	16  int64  position of its last one
//	24  int32  number of units that are to be delivered: deletions count -1
//	28  int32  0
//
// Source: TimerWheel and Slot of Apache RocketMQ 5.3.3.
type Slot struct {
	First, Last int64
	Num, Magic  int32
}

// NoSlot is a slot without units.
var NoSlot = Slot{First: -1, Last: -1}

// Wheel is the file timerwheel: slot n stands at index n % WheelSlots. Slots that
// were changed are in memory until Flush, others are read when they are asked
// for. One goroutine uses it.
type Wheel struct {
	f     vfs.File
	dirty map[int64]*[pageSize]byte
	last  [pageSize]byte // a copy of page lastAt of the file
	at    int64          // -1: none
}

// OpenWheel opens the wheel in dir, or makes it; made tells. A file of another
// size is ErrDamaged.
func OpenWheel(fsys vfs.FS, dir string) (w *Wheel, made bool, err error) {
	name := filepath.Join(dir, "timerwheel")
	f, err := fsys.OpenFile(name, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, false, err
	}
	size, err := f.Size()
	if err == nil && size == 0 {
		made = true
		err = errors.Join(f.Truncate(wheelSize), f.Sync(), fsys.SyncDir(dir))
	} else if err == nil && size != wheelSize {
		err = fmt.Errorf("%s has %d bytes, not %d: %w", name, size, wheelSize, ErrDamaged)
	}
	if err != nil {
		_ = f.Close()
		return nil, false, err
	}
	return &Wheel{f: f, dirty: make(map[int64]*[pageSize]byte), at: -1}, made, nil
}

func place(number int64) (page int64, in int) {
	i := number % WheelSlots
	return i / pageSlots, int(i%pageSlots) * SlotSize
}

// page returns a page to read.
func (w *Wheel) page(n int64) (*[pageSize]byte, error) {
	if p := w.dirty[n]; p != nil {
		return p, nil
	}
	if w.at != n {
		w.at = -1
		if _, err := w.f.ReadAt(w.last[:], n*pageSize); err != nil && err != io.EOF {
			return nil, fmt.Errorf("timerwheel: %w", err)
		}
		w.at = n
	}
	return &w.last, nil
}

// Get returns slot number, which is not negative: NoSlot when it has no units.
func (w *Wheel) Get(number int64) (Slot, error) {
	n, in := place(number)
	p, err := w.page(n)
	if err != nil {
		return NoSlot, err
	}
	b := p[in:]
	s := decodeSlot(b)
	if int64(be.Uint64(b)) != number || s.blank() {
		return NoSlot, nil
	}
	return s, nil
}

func decodeSlot(b []byte) Slot {
	return Slot{First: int64(be.Uint64(b[8:])), Last: int64(be.Uint64(b[16:])), Num: int32(be.Uint32(b[24:])), Magic: int32(be.Uint32(b[28:]))}
}

// blank: RocketMQ writes no such slots. Those of a young file have number 0.
func (s Slot) blank() bool { return s.Last < 0 }

// Put sets slot number, in memory, in place of the one that stood there a turn
// before.
func (w *Wheel) Put(number int64, s Slot) error {
	n, in := place(number)
	p := w.dirty[n]
	if p == nil {
		old, err := w.page(n)
		if err != nil {
			return err
		}
		p = new([pageSize]byte)
		*p = *old
		w.dirty[n] = p
		w.at = -1
	}
	b := p[in:]
	be.PutUint64(b, uint64(number))
	be.PutUint64(b[8:], uint64(s.First))
	be.PutUint64(b[16:], uint64(s.Last))
	be.PutUint32(b[24:], uint32(s.Num))
	be.PutUint32(b[28:], uint32(s.Magic))
	return nil
}

// Flush writes the changed slots and makes them durable.
func (w *Wheel) Flush() error {
	if len(w.dirty) == 0 {
		return nil
	}
	for _, n := range slices.SortedFunc(maps.Keys(w.dirty), cmp.Compare[int64]) {
		if _, err := w.f.WriteAt(w.dirty[n][:], n*pageSize); err != nil {
			return fmt.Errorf("timerwheel: %w", err)
		}
	}
	if err := w.f.Sync(); err != nil {
		return fmt.Errorf("timerwheel: %w", err)
	}
	w.at = -1
	clear(w.dirty)
	return nil
}

// Range calls fn for each slot that has units, in no order. fn may Put that slot.
func (w *Wheel) Range(fn func(number int64, s Slot) error) error {
	const pages = WheelSlots / pageSlots
	for n := int64(0); n < pages; n++ {
		if len(w.dirty) == 0 { // else changed slots may lie in holes of the file
			at, err := w.f.NextData(n * pageSize)
			if err != nil {
				return fmt.Errorf("timerwheel: %w", err)
			}
			if skip := at / pageSize; skip > n {
				n = skip - 1
				continue
			}
		}
		p, err := w.page(n)
		if err != nil {
			return err
		}
		page := *p
		for i := range int64(pageSlots) {
			b := page[i*SlotSize:]
			number := int64(be.Uint64(b))
			if s := decodeSlot(b); !s.blank() && number > 0 && number%WheelSlots == n*pageSlots+i {
				if err := fn(number, s); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// Close ends the wheel. What was not flushed is lost.
func (w *Wheel) Close() error { return w.f.Close() }
