// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package fsck looks into a store directory without opening it as a store: it says
// what is there, shows every format to people, and compares the log with its
// views.
//
//	Open ──> names, sizes, small files
//	  ├── Stat     what is there: ranges, files, counts, bytes
//	  ├── Dump...  records, queue entries, index entries, checkpoint, op records,
//	  │            states of transactions, deleted topics, one after the other
//	  └── Verify   one walk over the log; each record is looked for where the queues
//	               and the index should have it, and they may have nothing else
//
// # Reads
//
// The whole store directory but config/ (of which topics.json is read): formats in
// docs/format. It writes nothing. Verify takes the lock, when there is a lock file;
// Stat and the Dumps may run beside a broker, and then see what is written so far.
//
// # What Verify compares
//
//	log          size, magic, position and body CRC of each record; the property CRC
//	             where there is one; what of the fixed part cannot be; what stands
//	             behind the end
//	queues       entry n is of the record with queue offset n: its place, size and
//	             tags code. Blank entries may stand where the log has no record.
//	             Nothing stands behind the end
//	index        one entry for each key of each record, in log order, with its hash,
//	             offset and time; the chains, the slots and the header follow from
//	             the entries
//	checkpoint   claims nothing behind the last record
//	op records   name half messages that are there before them; the committed record
//	             or parked copy stands where the flag says
//	transactions the word of a decided half message names an op record of it
//
// After a kill or a power cut (abort is there) views may be behind the log. What
// the next start makes anew is Behind, not Damage. Entries of records that lie in
// damaged bytes of the log are counted, not reported: the bytes are. Where a byte
// differs in one place, that place is named and nothing that follows from it, but
// the fixed part of a record has no CRC: a changed topic or queue number is found
// as two queues that disagree with the log.
//
// # Invariants
//
//   - Memory is bounded: 32 MB of queue pages, one log window of 1 MiB or the
//     largest record, the slots of one index file, 1000 findings, and some hundred
//     bytes for each queue.
//   - It panics on no input and always ends. Queue files and holes are not read
//     where nobody has written.
//
// # Refuses
//
// A directory without a store (ErrNoStore); to Verify under a running broker
// (checkpoint.ErrInUse); an index of which no file has the configured numbers of
// slots and entries (ErrIndexShape), since a file does not say them.
package fsck
