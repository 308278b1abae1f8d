// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package hostile sends the real server what no client should: lengths that
// cannot be, frames that end in the middle, garbage, headers of 10 MB, thousands
// of connections that say nothing, and clients that ask and never read.
//
// While each of them goes on, another client sends messages and must get every
// answer; the server's resident memory must stay within a bound that the test
// states; and when all are gone, its goroutines and open files must be as many
// as before.
package hostile
