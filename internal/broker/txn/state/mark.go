// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"

	"github.com/twostage/twostage/internal/vfs"
)

const (
	markName      = "mark"
	markMagic     = 0x54584d4b // "TXMK"
	markVersion   = 1
	slotBytes     = 52
	slotDistance  = 4096
	maxGeneration = math.MaxInt64
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Mark says how far a file of words goes.
type Mark struct {
	Half int64 // half queue offset: every word below it is final
	Op   int64 // op queue offset: what each op record below it says is in the file

	// Log is the physical offset up to which the commit log was on the disk when
	// the mark was made. A decided word whose op record is not below it may be
	// of a record that a power cut has taken: it proves nothing.
	Log int64

	// Proof is the physical offset of the op record at op queue offset Op-1, -1
	// when Op is 0. It tells the file of another store.
	Proof int64
}

func (m Mark) check() error {
	if m.Half < 0 || m.Op < 0 || m.Log < 0 || m.Proof < -1 {
		return fmt.Errorf("transaction state: %+v is no mark: a number is negative", m)
	}
	return nil
}

// appendSlot appends the slot as it is on disk.
func appendSlot(b []byte, m Mark, generation uint64) []byte {
	start := len(b)
	b = binary.BigEndian.AppendUint32(b, markMagic)
	b = binary.BigEndian.AppendUint32(b, markVersion)
	b = binary.BigEndian.AppendUint64(b, generation)
	for _, n := range []int64{m.Half, m.Op, m.Log, m.Proof} {
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// parseSlot reads a slot of slotBytes.
func parseSlot(b []byte) (m Mark, generation uint64, err error) {
	const body = slotBytes - 4
	if magic := binary.BigEndian.Uint32(b); magic != markMagic {
		return Mark{}, 0, fmt.Errorf("it begins with %#x, not %#x", magic, markMagic)
	}
	if sum := binary.BigEndian.Uint32(b[body:]); sum != crc32.Checksum(b[:body], castagnoli) {
		return Mark{}, 0, errors.New("its checksum is wrong")
	}
	if version := binary.BigEndian.Uint32(b[4:]); version != markVersion {
		return Mark{}, 0, fmt.Errorf("its version is %d, known is %d", version, markVersion)
	}
	at := func(i int) int64 { return int64(binary.BigEndian.Uint64(b[i:])) }
	m = Mark{Half: at(16), Op: at(24), Log: at(32), Proof: at(40)}
	generation = binary.BigEndian.Uint64(b[8:])
	if generation == 0 || generation > maxGeneration {
		return Mark{}, 0, fmt.Errorf("its generation is %d", generation)
	}
	return m, generation, m.check()
}

// markFile is the file of the mark. Locked (write) after Open.
type markFile struct {
	fs   vfs.FS
	dir  string
	name string
	log  *slog.Logger

	handle     vfs.File
	current    Mark
	newest     int // slot of current, which is the mark that counts; -1 for none
	generation uint64
	useless    bool // the file is there and must go before the next mark is written
	named      bool // the name of the file is durable
	settled    bool // current is on the disk for sure

	// reach has the greatest Half and Log of all marks that may be on disk, when
	// some says that there may be one.
	reach Mark
	some  bool
}

// read finds the mark. What can't be read is a warning: without a mark all is
// built from the log.
func (f *markFile) read() {
	f.newest = -1
	handle, err := f.fs.OpenFile(f.name, os.O_RDWR)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	f.useless = true
	if err != nil {
		f.warn("the mark of the transaction states can't be opened", "error", err)
		return
	}
	f.handle = handle
	for i := range 2 {
		if err := f.readSlot(i); err != nil {
			// It may be the newer one, and say more than the other.
			f.warn("the mark of the transaction states can't be read", "slot", i, "error", err)
			f.newest, f.generation = -1, 0
			return
		}
	}
	f.useless = f.newest < 0 || f.generation == maxGeneration
}

// readSlot takes over a slot, if it is newer. An error is one of reading.
func (f *markFile) readSlot(i int) error {
	var b [slotBytes]byte
	n, err := f.handle.ReadAt(b[:], int64(i)*slotDistance)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	clear(b[n:])
	if b == [slotBytes]byte{} {
		return nil // never written
	}
	m, generation, err := parseSlot(b[:])
	if err != nil {
		f.warn("a slot of the mark of the transaction states is damaged, as by a power cut while it was written", "slot", i, "error", err)
		return nil
	}
	f.extend(m)
	if generation > f.generation {
		f.current, f.newest, f.generation = m, i, generation
	}
	return nil
}

func (f *markFile) extend(m Mark) {
	f.reach = Mark{Half: max(f.reach.Half, m.Half), Log: max(f.reach.Log, m.Log)}
	f.some = true
}

func (f *markFile) warn(text string, args ...any) {
	f.log.Warn(text, append([]any{"file", f.name}, args...)...)
}

// mark returns the mark that counts.
func (f *markFile) mark() (Mark, bool) {
	if f.newest < 0 {
		return Mark{}, false
	}
	return f.current, true
}

// write makes m the mark, durably. The old one counts until then. unsure tells
// of an error that leaves the disk in doubt.
func (f *markFile) write(m Mark) (unsure bool, err error) {
	if old, ok := f.mark(); ok && old == m && f.settled {
		return false, nil
	}
	if f.useless {
		if unsure, err = f.drop(); err != nil {
			return unsure, err
		}
	}
	if f.handle == nil {
		handle, err := f.fs.OpenFile(f.name, os.O_RDWR|os.O_CREATE)
		if err != nil {
			return false, err
		}
		f.handle, f.named = handle, false
	}
	slot := 0
	if f.newest == 0 {
		slot = 1
	}
	f.extend(m)
	if _, err := f.handle.WriteAt(appendSlot(nil, m, f.generation+1), int64(slot)*slotDistance); err != nil {
		return false, err
	}
	if err := f.handle.Sync(); err != nil {
		return true, err
	}
	if !f.named {
		if err := f.fs.SyncDir(f.dir); err != nil {
			return true, err
		}
		f.named = true
	}
	f.current, f.newest, f.settled = m, slot, true
	f.generation++
	f.useless = f.generation == maxGeneration
	return false, nil
}

// drop removes the mark, durably.
func (f *markFile) drop() (unsure bool, err error) {
	f.close()
	f.newest, f.generation, f.settled = -1, 0, false
	f.useless = true // until it is gone
	if err := f.fs.Remove(f.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if err := f.fs.SyncDir(f.dir); err != nil {
		return true, err
	}
	f.useless, f.some, f.reach = false, false, Mark{}
	return false, nil
}

func (f *markFile) close() {
	if f.handle == nil {
		return
	}
	if err := f.handle.Close(); err != nil {
		f.warn("closing the mark of the transaction states", "error", err)
	}
	f.handle = nil
}

func newMarkFile(cfg Config, log *slog.Logger) *markFile {
	return &markFile{fs: cfg.FS, dir: cfg.Dir, name: filepath.Join(cfg.Dir, markName), log: log, newest: -1}
}
