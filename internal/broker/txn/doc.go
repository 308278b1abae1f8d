// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package txn holds the transactional messages of one broker: which half
// messages are undecided, what a producer may still decide about them, and when
// a producer is to be asked again.
//
// # The rules
//
// Each has tests of its name (TestRule1..., TestRule2...).
//
//  1. One outcome. A half message ends committed, rolled back or discarded
//     (parked), and at most one committed record of it is ever in the log,
//     whatever END_TRANSACTION comes, how often, from whom, in which order, and
//     wherever the process is killed.
//  2. The first durable outcome wins. The same answer again is a success that
//     changes nothing; another one is refused with 604, whose remark names the
//     outcome and its time as long as the half record is in the log, and says
//     "decided or expired" afterwards. Refusals are counted and told in the story.
//  3. Durable before answered and before seen. The outcome's own record and its op
//     records are one write; of a torn one the next start completes what is missing
//     (repair.go). transactionFlushDiskType says what durable is.
//  4. No check after the outcome, not even one that waits in a connection.
//  5. One transaction for all undecided half messages with equal PGROUP, topic and
//     UNIQ_KEY. One that arrives after the outcome is a new transaction.
//  6. Only a half message is one. A request must name its queue offset, its log
//     offset and its group; ids that clients send along are never looked at. There
//     is no time after which a first answer comes too late.
//  7. Deadlines are each transaction's own, on a clock that does not jump. A check
//     counts when a live connection took it. Without a producer checks wait; what
//     nobody decides for transactionMaxAge is discarded.
//  8. Checks go round the connections of a group; a slow one holds up nobody, and a
//     group gets transactionCheckRate of them a second.
//  9. Discarded is parked: nothing is decided any more until it is resumed, as a new
//     half message that stands for the old one under both offsets.
//  10. The disk is RocketMQ's. A store of a Java broker is taken over with each of
//     its chains of copies as one transaction; what we leave it finds done.
//  11. A delay begins with the commit. Everything else of the message stays as it was
//     sent.
//
// # What is on disk
//
// Everything that a Java broker needs to take the directory over is in the commit
// log, in RocketMQ's own formats:
//
//	half message   topic RMQ_SYS_TRANS_HALF_TOPIC, queue 0; the producer's record
//	               with REAL_TOPIC and REAL_QID among its properties
//	committed      the real topic and queue, sysFlag 8, PreparedOffset = the half
//	               record's log offset
//	discarded      topic TRANS_CHECK_MAX_TIME_TOPIC, a copy of the half record;
//	               PreparedOffset as above
//	op message     topic RMQ_SYS_TRANS_OP_HALF_TOPIC, queue 0, TAGS=d, body = the
//	               half message's queue offset in decimal; Flag says which outcome
//	               it is and where that is (records.go)
//
// The consumer offsets of group CID_RMQ_SYS_TRANS on the half and the op topic
// are the low-water mark: every half message below it has its op message, and
// every op message below the op mark belongs to a half message below the half
// mark.
//
// What the log can't hold, or could tell only by a search, is in transactions/
// below the store, which Java ignores: a word for each half message (package
// state) and the story of checks, answers and refusals (package story). A start
// reads the words from the low-water mark on, and the op messages that are younger
// than the file. Without the file, or with one of another store, it reads from the
// consumer offsets; older transactions are then "decided", and how is searched for
// when somebody asks.
//
// # Shape
//
//	END_TRANSACTION -> Gather -> pending.Decide -> records -> one append -> words
//	                     |                                        -> on disk -> Settle, answer
//	                     not pending: again -> word -> the same outcome, or 604
//	timer -> pending.Next -> check (PushIf) or discard
//
// Package pending decides and is pure: no clock, goroutine or I/O. [Service] drives
// it. The service's mutex guards it and is never held during an append or a send.
package txn
