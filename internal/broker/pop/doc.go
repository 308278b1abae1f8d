// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package pop is consumption by pop (RIP-19): the broker gives messages out of any
// queue, keeps each invisible for a time, and gives it again unless it was acked.
//
//	Pop      log: checkpoint (ck) -> tables -> offset -> answer
//	Ack      log: ack             -> tables           -> answer
//	Change   log: new ck + ack of the old one, one write -> tables -> answer
//	         in order: when it is visible               -> tables -> answer
//	due      log: the message again, in the group's retry topic, or among its dead
//	         letters; made out of (PreparedOffset) ck record + number of the message
//	note     log on the disk -> consumerOffset.json -> consumerOrderInfo.json -> popCheckpoints.json
//
// The records are RocketMQ's, in its revive topic, through its timers; see
// docs/format/pop.md. They are not read back but by Open: the tables in memory say
// what is open, merge is the step machine of that, and a checkpoint is revived when
// its time has come, not when its record comes out of the timers.
//
// # Owns on disk
//
// config/consumerOrderInfo.json (RocketMQ's) and config/popCheckpoints.json (ours
// alone), and the offsets of the revive group.
//
// # Invariants
//
//   - What is answered is in the log: with Config.Sync on the disk, else with the
//     operating system. Nothing that a kill forgets decides anything.
//   - A note says a log offset N. All records before N are in what it says, all
//     others are read again. Service.gate sees to that: it is held shared from before
//     an append until the tables have it, and alone to take N and the tables.
//   - An offset is committed only once the records that it follows from, checkpoints
//     or in order acks, are on the disk. Open restores offsets from those behind the
//     note (POP_NEXT).
//   - A message of a checkpoint is revived once: Open finds the records that were
//     made of it.
//   - The ack of a message that has moved to another checkpoint counts only if that
//     one is there (POP_MOVED): half of a torn write loses nothing.
//   - What is said of a queue's offset counts only if the queue had it before the record
//     was stored: else it is of a topic that was deleted (Service.had).
//   - An offset that waits for the disk counts only while the committed one is that
//     which it goes on from.
//   - An offset that is set by hand (Put) is noted before that is answered, and no pop
//     that read before it is stored behind that note.
//   - In order, the last pop in the log counts, not that with the latest time. A queue
//     is blocked while a message of it is in flight, and the offset never passes one
//     that is not acked. An acked message is not given again with those before it.
//
// # Locks
//
// A queue's lock (Service.lock), gate, mu, in this order; noting before gate and mu.
// None but the first two is held over an append, none over a flush of the log but
// noting, and Config.Wake is called without any. Arrived takes mu.
//
// # What it refuses
//
// An ack in order of a message that the queue did not give, a change of a message
// that is no longer the handle's, times that the timers refuse or beyond MaxInvisible,
// more open checkpoints than a note should have (ErrFull), and notes that can't be read.
package pop
