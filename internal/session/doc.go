// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package session knows which clients are there: the members of every producer
// and consumer group of a broker, and what the consumer groups subscribe to. It
// is in memory only; clients tell it again with each heartbeat.
//
// A member is a connection in a group. It goes when it unregisters, when its
// connection is lost (one official client never unregisters), or when it was
// silent for Config.Expiry. A group without members is forgotten, with its
// subscriptions.
//
// Subscriptions follow RocketMQ's ConsumerGroupInfo: they belong to the group,
// not to the member. A heartbeat adds its topics, replaces a subscription only by
// one with a higher subVersion, and takes away the topics it does not name, so
// members of one group that subscribe differently disturb each other, as there.
//
// What each member said is kept beside that, only to be compared: members that
// differ are logged once for each change, counted and named ([Registry.Conflicts],
// [Registry.Conflicting]). Retry topics do not count, nor does the order of tags.
//
// There is one lock. Config.OnChange runs without it, and may call the registry;
// calls for changes at the same time may come in either order, each with the
// members that were there at its change. Conflicts are logged without it, too. The
// package starts no goroutine.
//
// What it refuses: more than MaxMemberships groups on a connection, and members
// on a connection that is closed already, which would outlive it.
package session
