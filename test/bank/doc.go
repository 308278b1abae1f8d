// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package bank runs transactions against the real broker from several producer
// processes, each with a ledger of its own, makes everything go wrong that can,
// kills the broker again and again, and compares at the end what is stored with
// what the ledgers say.
//
//	go test ./test/bank -kills 5 -duration 60s -transactions 20000 -seed 1
//
// # Who plays
//
//	test ---- starts, kills, stops ----> broker (with a name server)
//	  |                                    ^      ^        ^
//	  +-- starts, kills, stops --> producer x4  official x2  abandoned
//	  |                               |             |           |
//	  +-- reads at the end ------> ledger        ledger       ledger
//
// test/bank/producer speaks the protocol itself, test/interop/bankproducer has
// the official Go client; what they have in common, the ledger and the plan, is
// package teller. A ledger is synced for each decision before the broker hears of
// it, so it outlives kills; a process that comes back answers from it, and rolls
// back what it says nothing about. The abandoned producer sends half messages
// and never decides: its transactions must end as discarded.
//
// # What goes wrong
//
// By plan, for a transaction: the half message's answer is lost, and it is sent
// again or not; the outcome is not told, late, several times, followed by the
// opposite one, preceded by one that names the wrong group or offsets; the
// producer does not know yet, also when it is asked; it dies between decision and
// answer: at some of its numbers it collects a run of transactions that are decided
// and not told, and kills itself with all of them. By schedule: the broker is
// killed, sometimes twice in a row; a producer is killed, or stopped for longer
// than the broker believes in it. Plan and schedule are functions of the printed
// seed; the schedule goes by numbers of transactions.
//
// What is counted is what happened: a fault is in the ledger once it was made, one
// that is a request once that was answered. At least one transaction in twenty must
// have each (1,000 of 20,000), or the test fails.
//
// # What is checked
//
// See the constants of type violation: none may be found. judge is a pure
// function; checker_test.go holds that it finds each violation in made-up
// ledgers, and TestCheckerBites that the whole bank finds what a broker does that
// breaks a rule on purpose (build tag brokentxn, variable BROKENTXN; the
// binary is that of TWOSTAGE_BROKEN_BIN, an absolute path, or built once).
package bank
