// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package frames holds no code, only tests: what the official Go client cannot
// ask of a broker, asked of the real binary by requests that the tests put
// together field by field. Pops and all that belongs to them, assignments, timers
// and their recall, what clients of 5.x add to the requests of 4.9, and what is
// refused or told to an operator only: hostile filters, wrong message types, a
// group's conflicts, relays to a client that is silent.
//
// The client here is a model of Java's: it makes a message's handle (POP_CK) out
// of an answer as Java does, and knows nothing of the broker's own codecs for
// these headers. The cases of TestFrames run side by side on one server, half of
// them with JSON headers and half with binary ones, where the request codes above
// 65,535 arrive with their low 16 bits. A case that kills its server has one to
// itself.
//
// The binary is that of the environment variable TWOSTAGE_BIN.
package frames
