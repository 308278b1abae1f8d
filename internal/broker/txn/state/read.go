// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/twostage/twostage/internal/vfs"
)

// For those who look into a directory without opening it.
const (
	MarkName     = markName
	WordSize     = wordBytes    // bytes
	SegmentWords = segmentWords // of a file
)

// DecodeWord reads the word that b, of at least WordSize bytes, begins with;
// false for one that nobody writes.
func DecodeWord(b []byte) (Word, bool) { return decode(binary.BigEndian.Uint64(b)) }

// ReadMark reads the mark in dir and changes nothing. found is false when there
// is none, or none that can be read. damaged says what is wrong with a slot; the
// other one may be right, as after a power cut.
func ReadMark(fsys vfs.FS, dir string) (m Mark, found bool, damaged []error, err error) {
	f, err := fsys.OpenFile(dir+"/"+markName, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return Mark{}, false, nil, nil
	}
	if err != nil {
		return Mark{}, false, nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	var newest uint64
	for i := range int64(2) {
		var b [slotBytes]byte
		n, err := f.ReadAt(b[:], i*slotDistance)
		if err != nil && !errors.Is(err, io.EOF) {
			return Mark{}, false, damaged, err
		}
		clear(b[n:])
		if b == [slotBytes]byte{} {
			continue // never written
		}
		slot, generation, err := parseSlot(b[:])
		if err != nil {
			damaged = append(damaged, fmt.Errorf("slot %d, at byte %d: %w", i, i*slotDistance, err))
		} else if generation > newest || !found {
			m, newest, found = slot, generation, true
		}
	}
	return m, found, damaged, nil
}
