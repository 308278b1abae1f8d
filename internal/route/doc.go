// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package route turns the route of a topic, as a name server answers it
// (GET_ROUTEINFO_BY_TOPIC), into an immutable snapshot that answers what clients
// ask: which queues to publish to, which to read from, and where a broker is.
//
// # Rules
//
// They are those of RocketMQ's clients (MQClientInstance of 4.9.8):
//
//   - A queue to publish to belongs to a broker with write permission for the
//     topic and a master, broker id 0. Ids go from 0 to writeQueueNums-1.
//   - A queue to read from belongs to a broker with read permission, master or
//     not. Ids go from 0 to readQueueNums-1.
//   - An order configuration, "broker:queues;broker:queues", replaces the queues
//     to publish to, whatever the brokers' permissions are, so that a broker that
//     is down keeps its place in the order.
//
// Queues are sorted by broker name and id, so that all clients see one order.
// Where an answer has a broker twice, the first entry counts.
//
// # Refusals
//
// Negative queue counts, more than [MaxQueues] queues, negative broker ids,
// brokers without a name and a malformed order configuration are errors that name
// the topic and the part.
//
// A Snapshot never changes and may be used from any number of goroutines. The
// package does no I/O and knows no clock.
package route
