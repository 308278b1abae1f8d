// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package delay keeps messages with a delay level (property DELAY) until their
// time has come, and then stores them where they were sent to.
//
//	send, retry -> Rewrite -> queue level-1 of SCHEDULE_TOPIC_XXXX
//	                                  | due: store time + delay of the level
//	                                  v
//	                          REAL_TOPIC, queue REAL_QID
//
// # What it owns
//
// The topic SCHEDULE_TOPIC_XXXX, whose entries have the time of delivery as
// their tags code, and config/delayOffset.json: how far each level is delivered.
// Both have RocketMQ's form, so that a RocketMQ 4.9 broker can take the directory
// over and give it back. The file has one field more, logOffset, which RocketMQ
// skips and drops.
//
// # Time
//
// Within a process nothing is delivered early (but for 2 ms of rounding), nor
// late, whatever is done to the wall clock: for each entry it is known by how much
// the store's time was ahead of the process's own. While the store's time stands
// still, because the clock was set back, this gets coarser with the number of
// entries, to the late side.
//
// Entries of earlier runs are measured once, at Open, by the wall clock. They are
// due one delay of their level after Open at the latest, also when the level was
// longer when they were stored. (RocketMQ then delivers at once.)
//
// # Guarantee
//
// A level is delivered in the order of its queue. Each message is delivered at
// least once, and exactly once over clean stops, kills of the process and, as far
// as the log has kept the deliveries, power cuts:
//
//   - a note says which entries had been delivered when the log had a certain
//     length; what it says is durable in the log before the note is written;
//   - Open looks in the target queues behind that length for what was delivered
//     since (a few thousand index entries: the note is FlushInterval old), entry
//     by entry until one is missing.
//
// Twice is possible when a delivery made since the last note cannot be found any
// more: its topic was deleted before the kill (call Persist first), or a power cut
// has damaged its record. What the level delivered behind it is then delivered
// again. After a note by RocketMQ itself, or when the file is lost, the log
// length is not known: then messages with a unique key are still looked for,
// others are delivered again.
//
// A record or entry that is damaged or gone, or that names no possible target, is
// skipped, counted and logged. When the log takes nothing or cannot be read, the
// level waits and tries again; the store says when a record that the disk does not
// give counts as damaged (store.ErrDamaged).
//
// A message whose topic has been deleted since is stored under that name all the
// same and logged: it can be read when the topic is created again.
//
// # What it refuses
//
// Half messages and messages for SCHEDULE_TOPIC_XXXX itself are never delivered.
// Levels that are not configured wait until they are. The topic
// SCHEDULE_TOPIC_XXXX must not be deleted while a Service is open.
//
// Lock order: Service.noting, Service.deliver, Service.mu. Only mu is taken by
// Arrived, and it is never held while the store reads or writes.
package delay
