// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package proctest starts the real binary for tests: it waits for the ready
// line, keeps what the process logs and stops, kills and restarts it. A process does
// not outlive its test process, however that ends.
//
// The binary is that of the environment variable TWOSTAGE_BIN, an absolute path,
// or is built once for the test process.
package proctest
