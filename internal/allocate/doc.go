// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package allocate shares the queues of a topic out among the members of a group:
// RocketMQ's strategies, for clients and for brokers that do it for them. It owns
// nothing.
//
// Every member works its share out by itself. So each function gives, of the same
// queues and members in the same order, shares that do not overlap and, but for
// ByMachineRoom and strategies over a part of the queues, leave none out. Callers
// sort both: queues by topic, broker and id, members by their ids.
//
// It refuses nothing: an index that is not below n, or a member that is not in the
// list, has no share.
package allocate
