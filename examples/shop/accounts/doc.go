// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package accounts has the money of the buyers and of the shop. Every transfer is
// two rows of the ledger, which add up to nothing.
package accounts
