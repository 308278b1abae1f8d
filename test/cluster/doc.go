// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package cluster starts the real binary as several processes, and as one that
// must not start: name servers and brokers that come and go under a producer,
// two brokers of one name, two processes on one directory, ports that are taken,
// keys that are unknown or ask for what is not there.
//
// It also measures a start: the time from the process to the first accepted
// send, and the resident memory when idle. Both are printed, not judged: the
// machine that runs tests does other things too.
package cluster
