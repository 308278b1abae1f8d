// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package sqltx

// outboxLease is the row of the state table that a forwarder of the outbox holds.
const outboxLease = "outbox_lease"
