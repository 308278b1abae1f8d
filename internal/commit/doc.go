// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package commit is group commit: changes that come while a write is under way
// wait, and go into the next write together.
//
//	Do(a) --+--> begin, a, end ............ both have their errors
//	Do(b) --+ comes while end writes
//	Do(c) --+----------------------> begin, b, c, end
//
// # Locks
//
// Those that wait take turns: one of them has the turn from begin to the return of
// end. The list of those that wait has a lock of its own, under which nothing else
// happens. begin, end and the changes must not call methods of their Group.
//
// # What it refuses
//
// It writes nothing itself, reads no clock and starts no goroutine: one of those
// that wait does the work for all.
package commit
