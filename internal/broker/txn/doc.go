// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package txn holds the transactional messages of one broker: which half
// messages are undecided, what a producer may still decide about them, and when
// a producer is to be asked again.
//
// # What is on disk
//
// Everything a Java broker needs to take the directory over is in the commit
// log, in RocketMQ's own formats:
//
//	half message   topic RMQ_SYS_TRANS_HALF_TOPIC, queue 0; the producer's record
//	               with REAL_TOPIC and REAL_QID among its properties
//	committed      the real topic and queue, sysFlag 8, PreparedOffset = the half
//	               record's physical offset
//	op message     topic RMQ_SYS_TRANS_OP_HALF_TOPIC, queue 0, TAGS=d, body = the
//	               half message's queue offset in decimal
//	discarded      topic TRANS_CHECK_MAX_TIME_TOPIC, a copy of the half record
//
// The consumer offsets of group CID_RMQ_SYS_TRANS on the half and the op topic
// are the low-water mark: every half message below it has its op message, and
// every op message below the op mark belongs to a half message below the half
// mark. A start reads both queues from there (rebuild.go).
//
// How often an undecided transaction was checked is not in the log: unlike the
// Java broker, this one never stores a half message again to count its checks.
// The counts live in config/transactionChecks.json, which Java ignores.
//
// # Invariants
//
//   - A half message leaves the table by exactly one of commit, rollback and
//     discard, and only after the records that say so were appended as one unit.
//   - Between the decision and its durability no other decision gets in, and no
//     check is sent.
//   - A check counts only when it was handed to a live connection.
//   - Half messages of one producer group with the same UNIQ_KEY are one
//     transaction: one decision resolves all that were stored before it, also
//     when a start finds an op message for only one of them.
//   - A mark passes neither an undecided half message nor one that is in the log
//     and not yet in the table, and is noted once everything it stands on is on
//     disk. The two marks count only together.
//
// # Shape
//
// [Table] is a pure state machine: no clock, no goroutine, no I/O. [Service]
// drives it. The service's mutex guards the table and is never held during an
// append or a send.
package txn
