// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package story keeps what happened to transactions and stands nowhere in the
// log: checks, answers, refusals, what operators did. It is for people; nothing
// is decided by it. It is bounded: the oldest goes first.
//
// # On disk
//
// In its directory (<store>/transactions/story) up to two files, each at most
// half of Config.MaxBytes. Events are appended to the newer one; when it is full
// the older one is removed and a new one begun.
//
//	00000000000000000007   the older one, named by its number in 20 digits
//	00000000000000000008   the newer one
//
// A file, numbers big-endian:
//
//	0  "TXSTORY1"
//	8  records
//
// A record:
//
//	 0  u32  length of what follows the checksum: 25 + who + note
//	 4  u32  CRC32C of that
//	 8  i64  Event.At
//	16  i64  Event.Half
//	24  u8   Event.Kind
//	25  u8   Event.Outcome
//	26  i32  Event.Count
//	30  u8   bytes of who
//	31  u16  bytes of note
//	33       who, note
//
// # Invariants
//
// Whatever stops the process or the machine, Find returns only events that were
// appended, in their order, each once. After a kill all that the last Write
// wrote are there; after a power cut some of the latest may be missing, since
// files are synced only when they are full and when the Log is closed.
//
// What can't be written waits in memory, up to 1 MiB. Then the oldest that waits
// is dropped, and counted.
//
// # Lock order
//
// A file lock (Write, Close, the start of Find; held over I/O), then the lock of
// the buffer. Append takes the latter only, so it never waits for a disk.
//
// # What it refuses
//
// A file that does not begin as above, and in a file all that follows the first
// record that is damaged. MaxBytes below 16 KiB. It starts no goroutine and reads
// no clock.
package story
