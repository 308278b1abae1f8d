// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package pending holds the undecided transactions of one broker: what a
// producer may still decide about them, and when a producer is to be asked
// again. It is a pure state machine over events (half message stored, decision,
// decision settled, check handed over or not, producer online, time); its driver
// reads the clock, the log and the connections.
//
// It owns nothing on disk or on the wire, and forgets a transaction once its
// outcome is durable.
//
// # States
//
//	          Add                       Next              Handed
//	  o ------------> waiting ------------------> out -----------> waiting, checks + 1
//	                  |  ^  ^                      |
//	          Recheck |  |  +----------------------+ NotTaken, NobodyThere, Unreadable
//	                  v  |
//	                urgent  --- Next --> out
//
//	checks used up, or too old:   any of these --- Next --> expiring (again after Interval)
//
//	any of these --- Decide --> deciding --- Settle(durable) --> forgotten
//	                            deciding --- Settle(not) ------> waiting
//
// # Invariants
//
//   - A transaction is given one outcome: while it is decided nothing else decides
//     it and nothing of it is due; once that is durable it is unknown.
//   - Undecided half messages of one producer group with the same key are one
//     transaction.
//   - A check is never early. It counts when it was handed over, and only then.
//   - A group that is absent, pauses or is at its rate limit delays no other.
//   - An answer to an action that is void changes nothing.
//   - The low-water mark passes neither a pending half message nor one that is in
//     the log and was not added yet.
//
// # Memory
//
// A million pending transactions take less than 120 bytes each: 80 for the node
// (slab.go), 8 in the order of queue offsets (offsets.go), 10 to 14 in the index
// by key (keys.go), and 4 to 5 in each of two heaps (package pq), without a pointer
// for the garbage collector to follow. A key is kept as a keyed hash of 128 bits,
// beside the number of its group; names of groups and topics are kept once.
// Memory goes back when transactions do. Every operation takes logarithmic time
// at most, but for those that say that they visit what they count or list, and
// Decide and Settle, which visit the chain.
//
// # Refuses
//
// It does not know decided transactions: a half message from before Config.Next
// that is added again after its outcome is durable is pending again. It does no
// I/O, reads no clock, starts no goroutine and takes no lock.
package pending
