// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Command producer is a producer process of the bank (test/bank, which builds
// and starts it) that speaks the protocol itself, so that it can do what no
// client does. See package teller for its flags, its ledger and its plan.
//
// It owns a ledger and two connections of its group to the broker. What comes on
// a connection is noted by the connection's one reader, so the ledger has it in
// the order of arrival, and a request that is written has the number of the last
// line before it: from these the bank proves what the broker knew when it sent a
// check-back.
//
// An outcome is in the ledger, synced, before the broker is told. A transaction
// that is decided sends no half message any more, because such a one would be a
// new transaction.
//
// Locks: link.mu, conn.mu, producer.mu and that of the doom are never held together;
// the ledger's own is the only one that is taken under them.
//
// It ends with code 1, and the bank fails, when the broker answers what was not
// asked, does not answer for a minute on a connection that is up, or asks about
// what is not this producer's.
package main
