// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package retry decides what becomes of a message that a consumer sends back
// (request 36): another try after a delay, or the group's dead-letter queue.
// The rules are those of RocketMQ 4.9.8; a group may have a retry policy of 5.x
// besides. All functions are pure.
package retry
