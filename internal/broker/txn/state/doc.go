// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package state keeps the outcome of every half message in a file: one word of
// eight bytes for each offset of the half queue. It spares a broker from keeping
// decided transactions in memory and from reading all op records at each start.
// It is a view: what it says can be read from the log again.
//
// # On disk
//
// In its directory (<store>/transactions), numbers big-endian:
//
//	00000000000000000000   segments: 2^17 words (1 MiB) each, named by the half
//	00000000000000131072   queue offset of the first one in 20 digits. Sparse,
//	...                    and only as long as what was written. The word of
//	                       offset n is at byte n*8 mod 2^20 of its segment.
//	mark                   two slots, at 0 and 4096, written in turn
//
// A word; one that was never written is zero, undecided and never checked:
//
//	bits    63..61   60..44                          43..0
//	        0        bit 60 zero; 16 bits: checks    time of the last check, wall ms,
//	                 handed out, stops at 65535      0: never
//	        1        committed    60..0: physical offset of the op record
//	        2        rolled back  the same
//	        3        discarded    the same
//	        4        resumed      60..0: half queue offset that stands for it now
//	        5        decided by a broker that did not say how; as 1
//	        6, 7     none: damage
//
// A slot of the mark; the valid one of the higher generation counts:
//
//	 0  u32  "TXMK"
//	 4  u32  version, 1
//	 8  u64  generation
//	16  i64  Mark.Half
//	24  i64  Mark.Op
//	32  i64  Mark.Log
//	40  i64  Mark.Proof
//	48  u32  CRC32C of the 48 bytes before
//
// # Invariants
//
// A mark becomes visible after every word that was set before its Commit is on
// the disk. Only Clear and Reset take back what a mark may rest on, and they
// remove the mark, durably, before they touch a word. So a mark never says more
// than the file, whenever the process or the machine stops.
//
// After a stop every word is one that was set, or what was there before: eight
// aligned bytes are written whole. After a kill it is the one of the last Write
// or a later one, after a power cut that of the last Commit or a later one.
//
// Set does no I/O: a page whose other words are not known yet is completed from
// the file when it is written or read. A page is in memory from the first Set
// until a Write has written all of it; besides those, up to 256 clean pages.
//
// Set of the word that is there already writes it again. That is on purpose:
// what a failed fdatasync left in doubt is repaired by setting again, after the
// next start, everything that came after the mark.
//
// # Lock order
//
// A write lock (Write, Commit, Clear, DropBelow, Reset, Close; held over I/O),
// then the lock of the pages (all of them; held over reads and while files are
// opened and removed, never over a write or a sync). The function given to Range runs with no lock held.
//
// # What it refuses
//
// Offsets below 0 and from 2^60 on. A word of no known kind is ErrDamaged, not
// undecided. After a failed sync nothing more is written (see File.Commit). It
// starts no goroutine and reads no clock.
package state
