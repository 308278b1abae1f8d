// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package assign shares the queues of a topic out among the clients of a group and
// says how they are to read them, for clients that leave that to the broker (5.x).
//
// It owns messageRequestMode.json under config/: for a topic and a group, PULL or
// POP, and with how many others a client shares its queues under POP. The file is
// RocketMQ's and is replaced whole before a change is answered. Where it has no
// entry the defaults of the configuration hold; a group's retry topic is pulled in
// any case.
//
// A topic's queues are those of its route, as the name servers know it, but for
// this broker's own, which are as its own table has them. Routes are kept and
// asked for again every interval. Without name servers the queues are this
// broker's.
//
// Service.mu guards the modes, routes.mu the routes; neither is held while the
// other is taken, nor while a name server is asked. Writers of the file come one
// after the other (Service.write).
//
// What this package refuses: modes other than PULL and POP, a mode for a retry
// topic, and to guess: a share that it can't work out is an error, which tells the
// client to keep what it has.
package assign
