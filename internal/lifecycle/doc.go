// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package lifecycle starts the parts of a daemon one after the other, stops
// them in reverse order, and waits for each.
//
// A Group is a list of parts: goroutines (Go) and things to close (Defer). It
// stops once, for the first of these reasons: Stop is called, its context
// ends, or a goroutine returns an error. Stopping means taking the list from
// its end, one part at a time: a goroutine has its context cancelled and is
// waited for, a deferred function is called. So a part may use everything that
// was registered before it until it has itself ended.
//
// # Invariants
//
//   - When Stop or Wait has returned, no goroutine of the group runs.
//   - Every deferred function is called exactly once.
//   - The context of a goroutine ends only in that goroutine's turn, not when
//     the context of the group does.
//
// One lock, held for no call to the outside.
//
// # What it refuses
//
// It restarts nothing, recovers no panic, and puts no limit on how long a part
// may take to stop: it logs who is being waited for.
package lifecycle
