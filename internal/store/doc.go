// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package store keeps messages: one log that holds every record, and views of
// it that say where to find them.
//
//	Append ──one pwrite──> commit log ──fdatasync by policy──> durable
//	                          │
//	                          │ entries, in log order
//	                          v
//	                     queue stage ──> consume queues (one entry of 20 bytes a record)
//	                          │     └──> OnArrive (wakes whoever waits for the queue)
//	                          v
//	                     index stage ──> index (unique key and keys)
//
//	Get, Record, Query <── views give offset and size ── read-only mapping or pread of the log
//
// The log is the truth; a view can be built from it again at any time. The
// children: segment names files, commitlog is the log, consumequeue and index
// are the views, checkpoint is the three small files at the top.
//
// # Owns on disk
//
// The store directory, in the formats and places of Apache RocketMQ 4.9.8, but
// for config/, which is the broker's:
//
//	commitlog/<20 digits>                    the log
//	consumequeue/<topic>/<id>/<20 digits>    the queues
//	index/<yyyyMMddHHmmssSSS>                the index
//	checkpoint, abort, lock                  see package checkpoint
//	damaged/<offset>-<length>                copies of damaged bytes (ours alone)
//	deletedTopics.json                       see DeleteTopic (ours alone)
//	*.replaced, replaced.removed             old views, during Rebuild (ours alone)
//	keptOffsets.json                         offsets that a rebuild gave no record (ours alone)
//
// # What is promised
//
// When Append has returned nil ("appended"), and when WhenFlushed has called
// back with nil ("flushed"):
//
//	                     | the process dies       | the machine dies
//	---------------------|------------------------|------------------------------
//	appended             | kept                   | may be lost, if not flushed
//	flushed              | kept                   | kept
//	seen by a consumer   | kept                   | ASYNC_FLUSH: may be lost
//	                     |                        | SYNC_FLUSH: kept
//	deleted topic        | stays deleted          | stays deleted
//
// With ASYNC_FLUSH a sender is answered when the record is appended, and the
// log is flushed every FlushInterval if FlushLeastPages are dirty, at the
// latest after FlushThoroughInterval: that much may be lost with the machine.
// With SYNC_FLUSH the sender is answered when it is flushed, which is the
// caller's to do; the store flushes at once, one fdatasync for all who wait, and
// shows consumers nothing that is not flushed.
//
// What is kept is kept in order, once, byte for byte, under the queue offset
// that Append gave. Nothing appears that was not handed to Append. A record of
// which Append has returned an error may be there all the same.
//
// After a failed write or fsync (also of a view) the store is read-only for
// good, with its cause (ReadOnly): the kernel may have dropped dirty pages and
// will not say so twice. Opening again recovers what is really there. Running out
// of space is no such failure, see below.
//
// Bytes that a disk changes later are found by recovery, where it reads them, and
// by reads that Config.CheckReads has checked (see ReadCheck), by the CRC of the
// body, or, with Config.PropertyCRC, that of the whole record. Without it nothing
// covers the rest of a record: in its fixed
// part a change is found when it makes the record impossible (size, magic,
// position, ports, lengths; a negative queue id, queue offset or store timestamp;
// a timestamp ten years ahead of clock and checkpoint; a queue offset with too
// little log for the records before it), in topic and properties mostly not.
//
// # Without space
//
// ENOSPC and EDQUOT of anything but a sync or a close (vfs.NoSpace) end by
// themselves: nothing has been acknowledged that is not there, and what could not
// be written is still in memory, or in the log.
//
//	no space for           | what happens                              | tried again
//	-----------------------|-------------------------------------------|--------------------
//	the next log file      | Append of what does not fit: ErrNoSpace   | by Append, once the
//	                       |                                           | disk has room for it
//	a queue or index entry | the stage keeps it and all behind it;     | every second
//	                       | Append, WaitDispatched: ErrNoSpace        |
//	a flush of the views   | the checkpoint stays; Append: ErrNoSpace  | every second
//	a note of DeleteTopic  | ErrNoSpace, the topic is as it was        | by the caller
//	anything during Open   | Open fails; recovery loses nothing        | by the caller
//
// Reads go on and see what is in the queues; flushes of the log and of all that
// waits for them go on. Vital batches are taken while the log has room and
// Config.MaxBacklog allows. Nobody waits for space but the stages. NoSpace says
// what lacks it. Close while entries wait leaves abort, so that recovery puts
// them into their views, and returns ErrNoSpace. With space again they go there
// in order, each once.
//
// # Recovery
//
// Open, under the lock, in this order:
//
//  1. Where to start. After a clean stop: at the last record that a queue
//     knows, if it is really there. After another: in the last log file whose
//     first record is older than the checkpoint says by three seconds, because
//     everything before it is durable in log and queues; queue entries beyond
//     are dropped, they may be torn. Without any queue: at the first record.
//     The index may ask for an earlier start: after a clean stop only if it was
//     taken away or damaged, after another for what the checkpoint does not claim.
//  2. The log is walked to its end, every body checked. Bytes that are no record
//     but have records behind them, and records that cannot be right, are damage:
//     copied aside, reported, skipped.
//     Bytes that have none behind them are the torn end: zeroed.
//  3. Each record goes to its queue and into the index unless it is there.
//     Records that are gone leave blank entries, which Get skips.
//  4. Entries beyond the end of the log are dropped; queues go on at their end.
//
// It takes time in proportion to what was written since the checkpoint, which
// follows every ViewFlushInterval, and at least one log file after a crash. What a
// killed process had written or named and not synced is made durable before a
// checkpoint claims it.
//
// Rebuild makes the views from nothing but the log, and changes nothing in it.
// Queues never go back by it: where the log has lost their last records, blank
// entries stand for those (keep.go), which a later recovery keeps as well.
//
// # Retention
//
// With Config.Retention a round every RetentionInterval, or Retain, measures the
// disk and asks the policy (package retention) how many log files go, and whether
// the disk counts as full. Times are store timestamps: the first record of a file
// bounds those of the one before. Each step is durable before the next:
//
//	queue entries of all that goes ──> BeforeDelete ──> log, with what that appended
//	   ──> log files, oldest first, one at a time ──> MinPhysical moves
//	   ──> tombstones ──> queues: Min, files ──> index files
//
// A stop in between leaves a log without a gap, and Open lets the views follow to
// where it begins. A queue keeps its last file, and so its next offset. Until
// the views have followed, Get passes over entries whose records are gone; a
// reader of offsets below Min gets OffsetTooSmall. While the disk counts as full
// Append takes nothing but batches that are Vital.
//
// A log file that cannot be removed, and a queue that cannot be read, are left to
// the next round; a failed sync is a failure of the store.
//
// # Invariants
//
//   - One writer: queue offsets, log offsets and store timestamps are given
//     under Store.mu, in log order. Store timestamps never go back, whatever the
//     clock does.
//   - A queue's entries are in log order, and entry i is the record with queue
//     offset i. Half (PREPARED) and ROLLBACK records have queue offset 0 and no
//     entry.
//   - The checkpoint never claims what is not fsynced.
//   - Records from Get and Query alias the mapped log. The store itself reads the
//     log with pread only (Record, and what is checked), so that a disk error is
//     an error; who looks into mapped records must hold against a fault, and calls
//     CheckAllReads for it.
//
// # Lock order
//
// retainer.mu, queues.mu, dispatcher.stage, dispatcher.hold, Store.mu, dispatcher.mu, shortage.mu;
// viewFlush before those of the children;
// flusher.mu is never held together with those but the last. No lock is held
// while WhenFlushed's functions run; OnArrive runs under dispatcher.stage and
// hold, on the goroutine of an appender or of the store. readChecks.mu is a leaf.
//
// # Limits
//
// RocketMQ knows nothing of deletedTopics.json: run on this directory after a
// topic was deleted and made again, it may put old records back into the topic
// when it recovers from a crash, as it does with its own. Records of topics that
// cannot name a directory, found in a foreign log, are kept but not queued.
package store
