// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package consume is a model test of consumption: producers and consumer groups
// against the real broker, with everything going wrong that can, and a checker
// that holds what was seen against the rules.
//
//	go test -parallel 32 ./test/consume -duration 8s -seed 1
//
// TestConsume plays worlds side by side: a broker each, with its groups, under pull
// or under pop, under either flush policy, with the retry topics of pops in either
// form or in one and then the other, with groups whose retries wait by delay levels
// and by policies. A world that runs for longer than a minute is a row of rounds.
// Each round prints its seed and how to play it again.
//
// # Who plays
//
// A consumer is a [member] of a group: goroutines of the test process with a
// connection of their own, which speak the protocol as clients do.
//
//	pull, message by message: heartbeat, list of the group's clients, allocation by
//	  averages, pulls, offsets (by request, one-way, with a pull), messages given
//	  back (36) when they fail
//	pull, in order: the same with the queues' locks; a message that fails is tried
//	  again before the next, and becomes a dead letter through the retry topic
//	pop, message by message: pop, acknowledgement, change of the invisible time,
//	  messages that lapse
//	pop, in order
//
// Producers send any messages, or those of keys: each to the queue of its key,
// after the one before it was acknowledged.
//
// # What goes wrong
//
// By plan: messages fail once, twice, always; work takes long. By schedule:
// clients join, leave, freeze for longer than the broker believes in them, crash
// (the connection is cut without a word, all state is dropped) and come back as
// who they were or not at all; the broker is killed. Plan and schedule are
// functions of the seed; what the goroutines make of them is not.
//
// A client that crashed with locks and does not come back keeps the queues from
// all others for the minute that locks last. In rounds shorter than that it happens
// only before a kill of the broker, which forgets locks.
//
// # What is checked
//
// All that the clients ask and are told is in a [history]; judge compares it
// with what the queues hold at the end, as a pure function.
//
//   - Every acknowledged message is in its queue, every record of a queue was
//     consumed, given back or revived by each group, every message given back is
//     there again; nothing is there without a reason, and no more often.
//   - The offset of a group that pulls or pops in order, as answered to clients, at
//     the end, and in the files of a killed broker, is never past a message that is
//     not consumed. Under pull it is the last that was stored, or one whose storing
//     overlaps; after a kill that of the files. So redeliveries come from a rebalance
//     or a kill, and nowhere else.
//   - Pulls leave nothing out and repeat nothing.
//   - A locked queue is locked for one; in an orderly group nothing begins before
//     everything in front of it in its queue, and its key, was consumed.
//   - A message that was given back waits for its level, or as the group's policy
//     says. A dead letter failed as often as the group allows.
//   - What was popped is invisible for the time that the answer names; what was
//     acknowledged in that time never comes again; what was not comes again once.
//     A client that was frozen may hear of a pop late: what counts is when it was.
//
// checker_test.go holds that the checker finds each of these in a made-up
// history, TestWorldBites that a round finds a broker that breaks a rule, or loses
// what it stored when it is killed.
//
// A client of this test takes its locks for lost when the broker dies. Those of
// RocketMQ go on for up to 30 s: with them, two clients can be at work on a queue
// after a kill.
package consume
