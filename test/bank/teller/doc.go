// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package teller is what the producer processes of the bank (test/bank) have in
// common, whatever client they use: the ledger, the plan that says which
// transaction gets which fault, and the conversation with the test that started
// them. Only programs of the tests import it.
//
// # On disk
//
// A ledger is a text file, appended to only, one event a line; the number of a
// line, counted from 1, is the event's place in time. See [Event] for the form.
// A decision is synced before [Ledger.Decide] returns: it is the process's local
// transaction, and what it says to the broker comes after it. Other events are
// written without a sync: they survive kill -9 of the process, which is all that
// the bank does to it. A line that a kill cut is cut off by [Open].
//
// # On the wire
//
// Standard input of a process: the line "finish" ends the beginning of new
// transactions, the end of the input ends the process. Everything else the test
// reads in the ledgers.
//
// # Invariants
//
//   - A transaction is decided once: the first call of Decide wins, in this life
//     of the process and all later ones.
//   - The plan is a function of seed, producer and number: the same seed gives the
//     same transactions and the same faults.
//
// Ledger.mu may be taken under Doom.mu; the file is written under it and synced
// without it.
// The package refuses ledgers that do not parse.
package teller
