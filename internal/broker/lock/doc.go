// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package lock holds the queue locks of ordered consumption: while a client
// holds a queue of a group, no other client of that group consumes it.
//
// Locks are in memory only. A lock that its client does not renew (clients renew
// every 20 s) expires after [Expiry], on the monotonic clock; this is also the
// only way out when a client never unlocks what a rebalance took away from it.
// A lost connection does not end a lock: its client may still be at work on a
// message, and comes back.
package lock
