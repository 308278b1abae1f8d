// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package javacheck says what the transaction check service of a Java broker
// (Apache RocketMQ 4.9.8) would do with a store directory if it took it over,
// and above all whether it would commit a transaction a second time.
//
//	commitlog/ ──────────> half queue, op queue ─> check loop ─> Report
//	config/consumerOffset.json ─> where it begins ──┘    │
//	                                  ^                  │ copies, op records
//	                                  └── next round <───┘ (in memory only)
//
// It is a model of TransactionalMessageServiceImpl.check and of what of
// TransactionalMessageBridge and DefaultMessageStore.getMessage that needs, made
// after their behaviour and not after ours: the log is read with a reader of its
// own, and nothing of internal/store or internal/broker is used.
//
// # The loop
//
// A round begins at the offsets that the group CID_RMQ_SYS_TRANS has in the half
// and in the op queue. Op records come 32 at a time into a map, half queue offset
// to op queue offset; further ones are pulled when the walk meets a half message
// that is not in the map. The walk, from half offset to half offset:
//
//	in the map                                  -> resolved
//	TRANSACTION_CHECK_TIMES >= CheckMax, or older
//	than ReservedTime (by the producer's clock) -> discarded
//	stored since the round began                -> end of the round
//	within CHECK_IMMUNITY_TIME_IN_SECONDS       -> put back as a copy, or resolved by
//	                                               an op record of the copy's original
//	within TransactionTimeout                   -> end of the round
//	else, when no op record is left             -> put back as a copy and checked
//
// Then both consumer offsets move. The op offset passes only records that were
// used; half messages behind the half offset are never looked at again.
//
// What a round writes (copies, and the op records of the answers) is there in the
// next one: on a real broker the queues follow the log by milliseconds, so a copy
// may be met in the very round that made it. Rounds go on, TransactionTimeout or
// Interval apart, until one has nothing to do.
//
// # Transactions
//
// Half messages of one producer group with one UNIQ_KEY are one transaction as
// long as it has no outcome; one that is stored after the outcome begins another,
// unless it is a copy, which its TRAN_PREPARED_QUEUE_OFFSET or its born time and
// host tell. Outcomes are committed records (sysFlag 8), by their
// PreparedTransactionOffset; op records; and copies in TRANS_CHECK_MAX_TIME_TOPIC.
//
// # Refuses
//
// It writes nothing and needs no copy of the directory, but nobody may write to it
// meanwhile. The log ends at the first position that holds no record, as for
// Java's recovery; Report.LogEnd says where. More than one half queue is an error:
// the topic has one.
package javacheck
