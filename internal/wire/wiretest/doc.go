// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package wiretest reads the recordings of RocketMQ 4.9.8's traffic that tests
// compare with and replay: testdata/golden/frames, one text file a scenario.
//
// A scenario is a few lines of description and then one block for each frame,
// in the order of their time. A block states the direction, the connection and
// the kind, gives the whole frame in hex, and renders the header, so that a test
// has something to hold its own decoding against. The one recording of the
// replication port has transfers in place of frames.
//
// The package is for tests. It does not decode frames itself.
package wiretest
