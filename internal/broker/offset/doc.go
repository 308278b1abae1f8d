// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package offset holds how far each consumer group of a broker has come, in
// config/consumerOffset.json.
//
// Commits are in memory and reach the disk with Flush, which the broker calls
// every flushConsumerOffsetInterval, after deletions, and when it stops: a crash
// repeats messages, it loses none.
//
// The file is RocketMQ 4.9.8's, offsets by queue under "topic@group"; files of
// 5.x, which add a dataVersion, are read too. A file that cannot be read or
// understood is put aside as consumerOffset.json.broken and its backup taken,
// since old offsets are better than none.
//
// An offset that an administrator resets is kept against the commits of consumers
// that do not know of it yet (Reset), in memory: after a restart they win. It stands
// in the entry of its queue, and goes when that is deleted.
//
// Locks: Table.flush before Table.mu before queues.mu. None is held while the file
// is written, but flush.
//
// It refuses, and leaves the table as it is: names that message.CheckGroup
// or CheckStoredTopic refuses (an "@" would make the key ambiguous), queues outside of 0 to
// MaxQueue, negative offsets, and what is new beyond MaxPairs or MaxSize.
package offset
