// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package books reads what all services have written and says what does not add up.
// Check is a pure function of a State, with one function for each kind of thing that
// must balance.
//
// The books can balance only when nothing is under way any more: an order that is
// not shipped or cancelled is itself an entry that is open.
package books
