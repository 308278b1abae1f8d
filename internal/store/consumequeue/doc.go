// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package consumequeue keeps the queues of the store: for each queue of each
// topic a sequence of fixed-size entries that say where the record with that
// queue offset lies in the commit log. It is a view: everything here can be
// rebuilt from the log.
//
// # On disk
//
// As Apache RocketMQ 4.9 (ConsumeQueue.java), big-endian:
//
//	consumequeue/<topic>/<queue id>/<start, bytes, 20 digits>   FileSize bytes each, 6,000,000 by default
//
//	file   | entry | entry | ... | zeros to FileSize
//
//	entry  0               8         12              20
//	       +---------------+---------+---------------+
//	       | log offset    | size    | tags code     |
//	       | i64           | i32     | i64           |
//	       +---------------+---------+---------------+
//	blank  | 0             | 7fffffff| 0             |   no record: the front of a first file, or a gap
//	end    | 0             | 0       | 0             |   nothing yet
//
// Entry i stands at byte 20*i of the sequence. Files are sparse: they have
// their full size from the start but take space only for what is written.
// Running out of space is an error of a write.
//
// A deleted topic's directory is renamed to ".deleted.<topic>" and then
// removed; Open removes what a stop left of it.
//
// # In memory
//
// New entries gather in a tail, which a Read sees as well. It grows on demand up
// to 64 KiB, or less when many queues have one (64 MiB together, but 320 bytes
// each), is then written, and is given back when its queue falls silent. At most
// MaxOpen files are open; the least recently used one is closed for the next. A
// Flush of many queues, Open and Set.TruncatePhysical open a file for themselves
// where it is not open, and close none. A queue costs about 300 bytes, with
// nothing open and no tail.
//
// # What Open reads
//
// Per queue: its file names, and the first page of its file; when there is more,
// O(log FileSize) single entries of its last file that has any, to find the end
// (the first entry that is not size > 0 and offset >= 0, as in RocketMQ), and the
// first entry of its first file. A padded front is read through. Files in between
// are looked at when they are used. Sixteen queues are read at a time. Unless
// Options.Clean is set, what lies behind the end, in the file or in files ahead,
// is cleared: the queue could otherwise grow up to entries that a power cut left
// behind a hole.
//
// # Durability
//
// Flush syncs each file that has changed. When many have (Options.SyncAll) it
// writes all tails, on one goroutine, and syncs the file system instead, if
// vfs.Syncer can; all of the consumequeue directory must then lie on one. That
// also writes what others have changed there, the log too, and fails with what
// they have lost.
//
// What Flush has covered survives a power cut. Of later entries any part may,
// with holes in between. So after a stop of the machine call TruncatePhysical
// with a log offset up to which a Flush had covered the queues, and put the
// entries from there on again; after the death of the process alone, the end of
// the log will do. At most one name change of a queue's directory is not yet
// durable at any time, so a stop never leaves a gap between files: a gap is an
// error of Open.
//
// After a failed fsync every later Flush fails: what the kernel has dropped
// cannot be made durable by asking again. A failed write is no such end. The
// entry is then not in the queue, and may be put again.
//
// # Lock order
//
// Set.flushing, Set.mu, Queue.mu, files.mu. Set.dirtyMu is a leaf.
//
// # What it refuses
//
// Topics that are no file names; gaps of more than 2^24 entries; after a clean
// stop, files that do not have FileSize bytes.
package consumequeue
