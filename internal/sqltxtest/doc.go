// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package sqltxtest is for tests of package sqltx: a broker in memory that knows
// half messages and their ends, and nothing else.
package sqltxtest
