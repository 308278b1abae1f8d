// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package index finds records by key: files that hold, for each key of each
// record, the hash of the key and where the record lies in the commit log,
// chained by hash slot. It is a view: everything here can be rebuilt from the
// log.
//
// # On disk
//
// As Apache RocketMQ 4.9 (IndexHeader.java, IndexFile.java), big-endian:
//
//	index/<yyyyMMddHHmmssSSS of its making>    40 + 4*Slots + 20*Entries bytes each, 420,000,040 by default
//
//	0      +----------------------+
//	       | header               |
//	40     +----------------------+
//	       | slot 0 .. Slots-1    |  i32 each: number of the newest entry of the slot, 0 for none
//	40+4*S +----------------------+
//	       | entry 0 .. Entries-1 |  20 bytes each; entry 0 is never used
//	       +----------------------+
//
//	header 0         8         16        24        32          36          40
//	       +---------+---------+---------+---------+-----------+-----------+
//	       | begin   | end     | begin   | end     | slots     | entries   |
//	       | time ms | time ms | offset  | offset  | used, i32 | + 1, i32  |
//	       +---------+---------+---------+---------+-----------+-----------+
//	entry  0         4                   12        16          20
//	       +---------+-------------------+---------+-----------+
//	       | hash    | log offset, i64   | seconds | previous  |   seconds since begin time; previous entry of the slot
//	       +---------+-------------------+---------+-----------+
//
// A key is topic#key, its hash the absolute value of Java's String.hashCode
// (message.KeyHash), its slot the hash modulo Slots. Files are sparse and have
// their size from the start. A file is full with Entries-1 entries; the keys of
// one record may lie in two files.
//
// In RocketMQ the seconds of the first entry of a file count from the end of the
// file before, though everybody takes them to count from the record itself. Here
// they are 0.
//
// # In memory
//
// Of the file that is written, entries gather in a tail of at most 256 KiB and
// slots in pages of 4 KiB, read when they are touched and given back when two
// flushes in a row find them untouched: at most 20 MB with 5,000,000 slots, and
// as much again between the filling of a file and the next Flush. Of other files
// only the header stays in memory; a Query opens those it needs.
//
// # Durability
//
// Flush writes entries and slots, syncs, then writes the header, and syncs:
// what a header counts is there. Slots may be ahead of it, so after anything but
// a clean stop (Options.Trusted) Open reads the entries of the last file anew,
// makes its slots from them, and cuts it where an entry is newer than trusted or
// does not follow from those before. A file that is not full is the last: what
// was written behind one is removed. The caller then puts the records from
// ResumeFrom on again, or, where Complete says that none with keys is missing
// before it, from a later one, so nothing is lost; RocketMQ instead removes files and
// does not always fill them again.
//
// The first Flush after a Put makes a file even if no record had a key, so there
// is one whenever anything is claimed. When there is none, the index was taken
// away, and Complete says so; the caller puts everything again. RocketMQ takes a
// file of zeros for an empty one too (IndexHeader.load: a count of 0 is 1).
//
// After a failed fsync Put and Flush fail for good. After a failed write a later
// one may succeed, and a Put that failed may be put again.
//
// # Lock order
//
// Index.flushing, Index.mu.
//
// # What it refuses
//
// Files of another size. A file with an impossible header is removed with those
// behind it, and logged: the log has what it held.
package index
