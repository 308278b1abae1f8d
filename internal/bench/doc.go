// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package bench is the load program: it drives a RocketMQ-compatible broker with
// raw frames over as few system calls as possible, so that what it measures is
// the broker and not itself.
//
// Each connection is one goroutine in a closed loop: it keeps a fixed number of
// requests in flight, reads whatever has arrived, and answers every response
// with a new request, all of them in one write. Frames are made once per slot
// and patched in place.
//
// [Tx] drives transactions in the same way: each connection is one of the
// producer group [TxGroup], tells the outcomes of its half messages, and answers
// checks, also those of other connections' transactions. What becomes of a
// transaction is a function of its key, so that memory is bounded by those that
// are undecided; a check of one that is neither in flight nor undecided is one
// too many. [Deadlines] measures when checks come.
//
// [Floor] is the other half of a measurement: a bare server that reads the same
// frames and answers without doing anything. What it reaches on a machine is the
// limit of this socket path there, and the ratio to it holds where absolute
// figures do not.
//
// This package owns nothing on disk. It refuses to call a figure the broker's
// when the loader itself took more than half of the machine: it says so.
package bench
