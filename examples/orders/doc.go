// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Command orders keeps two databases in agreement: an order is stored in one together
// with the message about it, and billed once in the other.
//
// docs/quickstart.md runs it.
package main
