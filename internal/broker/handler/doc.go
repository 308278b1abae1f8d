// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package handler serves the broker's requests: one file for each family.
//
// A handler is a struct that holds only the interfaces it uses, and methods of
// the type remoting.Handler. It decodes the header, applies the rules of
// RocketMQ 4.9.8, calls the concept or the store, and answers. It keeps no state
// of its own beside what belongs to one connection: the sends that one read
// brought in are appended together ([Send.EndOfBatch]); the compiled SQL92
// expressions ([Filters]), which can be made again at any time; and how many
// replies wait for a client ([Reply]); and when the configuration changed last
// ([Config]). What may change while the broker runs is asked for anew each time
// ([Settings]).
//
// Answers other than success carry a remark that says what was wrong and, where
// there is something to do, what.
//
// What this package refuses: to know how the parts are wired (package broker)
// and to start goroutines, but for those that [Relay.Status] waits for.
package handler
