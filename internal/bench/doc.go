// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package bench is the load program: it drives a RocketMQ-compatible broker with
// raw frames over as few system calls as possible, so that what it measures is
// the broker and not itself.
//
// Each connection is one goroutine in a closed loop: it keeps a fixed number of
// requests in flight, reads whatever has arrived, and answers every response
// with a new request, all of them in one write. Requests are copies of one
// template a connection, patched in place, also of 10,000 topics; large bodies
// are written from one place, and those of pulls go by in a small buffer, of which
// nothing but the sizes of the records is read. With [Load].Rate the loop is open:
// messages are due at fixed times, and latencies count from these.
//
// [Tx] drives transactions in the same way: each connection is one of the
// producer group [TxGroup], tells the outcomes of its half messages, and answers
// checks, also those of other connections' transactions. What becomes of a
// transaction is a function of its key, so that memory is bounded by those that
// are undecided; a check of one that is neither in flight nor undecided is one
// too many. [Deadlines] measures when checks come.
//
// What consumers do is measured by [Pop] (pops and their acks), [Timers] (messages
// for later, in and out, and how late they came), [Wake] (one consumer that waits)
// and [Clients] (thousands of consumers and held pulls, beside an ordinary
// producer). All that times a message from its sending to its arrival does both
// ends itself, on one clock.
//
// [Floor] is the other half of a measurement: a bare server that reads the same
// frames and answers without doing anything. What it reaches on a machine is the
// limit of this socket path there, and the ratio to it holds where absolute
// figures do not. [Disk] is the same for what is written: bare writes, with and
// without fdatasync, into reserved files.
//
// This package owns nothing on disk but the files of a [Disk] run, which it
// removes. It refuses to call a figure the broker's when the loader itself took
// more than half of the machine: it says so.
package bench
