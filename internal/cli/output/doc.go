// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package output is how results look: tables and fields for people, JSON and YAML
// for programs, and times, spans and sizes in both directions.
//
// A command makes a [View]: a value, which JSON and YAML show whole, and parts,
// which tables show. A table fits the width it is given: columns that may be cut
// are cut in their order, the others never, so ids stay whole; without a width, as
// when the output is piped, nothing is cut. Cells show what is not printable
// quoted, so no message can write to somebody's terminal. An empty cell is "-".
//
// The package keeps no state, reads no clock and knows no terminal: width and time
// are its caller's.
package output
