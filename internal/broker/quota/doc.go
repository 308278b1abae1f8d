// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package quota bounds what one address may have made, such as topics or groups:
// a bucket of tokens for each address, as many as a minute's, filled evenly. An
// IPv6 address counts with its network of 64 bits.
//
// It holds a bucket for each address that made something in the last minute, in
// memory only, so that a restart forgives. What exists already is not its
// business: its owner takes tokens before it makes something, and gives back those
// of what was not made.
package quota
