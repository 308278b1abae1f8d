// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package checkpoint holds the three small files at the top of a store
// directory that say how the last run ended and who runs now.
//
//	checkpoint   4096 bytes, of which 24 are used (big-endian, ms since 1970):
//	             0 i64 physicMsgTimestamp  records up to it are durable in the log
//	             8 i64 logicsMsgTimestamp  their queue entries are durable
//	            16 i64 indexMsgTimestamp   their index entries are durable
//	abort        empty; there while a broker runs, so its presence at start
//	             means that the last run did not end cleanly
//	lock         the text "lock"; locked while a broker runs
//
// Names and contents are those of Apache RocketMQ 4.9.8 (StoreCheckpoint,
// DefaultMessageStore). RocketMQ 5 keeps two more numbers behind the three; they
// are carried over as they are. RocketMQ's index time is that of its last full
// index file; ours may be later, which makes a Java broker keep more of the
// index, never less.
//
// The checkpoint is written in place with one write and fsynced. Its used bytes
// lie in one sector, and each number is true on its own whatever the others are,
// so a torn write can do no harm.
package checkpoint
