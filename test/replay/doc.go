// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package replay holds no code, only tests: they play the client's side of
// recorded traffic (testdata/golden/frames, from RocketMQ 4.9.8) against the real
// binary and compare what it answers with what RocketMQ answered.
//
// Each scenario has a server to itself, with the keys of the recorded broker, and
// the topics, messages and offsets that the recording shows to have been there
// (world_test.go). The client's frames are sent byte for byte, at the recorded
// times and after the server frames that came before them, except for offsets
// that the server has given out (rewrite_test.go). Every frame that the recording
// shows from the server is awaited and compared; what depends on the run and what
// differs on purpose is in two tables (listed_test.go). Any other difference fails
// the test, and so does an entry of the tables that nothing needs.
package replay
