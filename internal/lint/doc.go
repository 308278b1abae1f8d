// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package lint holds the layout of this module as a test: which package may
// import which, which ones stay pure, who may start goroutines, and what every
// file and package carries. `go test ./internal/lint` fails when it is broken.
//
// table.go is the layout. A new package gets a row there; a package without a
// row fails the test. Whoever changes a row changes ARCHITECTURE.md with it.
//
// The rules, for files that are not tests:
//
//   - A package imports packages of ours from lower layers only, plus those
//     that its row names, minus those that its row forbids.
//   - A pure package imports nothing that does I/O, reads no clock, and starts
//     no goroutine.
//   - A package for tests is imported by tests and by its kind only.
//   - Goroutines are started through internal/lifecycle, or by the packages
//     whose row says why they start their own.
//   - A package with code has a doc.go with its package comment.
//   - Neither a package nor an exported type has Manager, Impl, Default,
//     Abstract, Base, Util, Common or Helper for one of its words.
//
// For every file: the copyright and license lines come first.
//
// Only syntax is read, so that the test needs no build. Hence two
// approximations: a call x.Go(...) counts as starting a goroutine in a file
// that does not import internal/lifecycle, and a clock is read where package
// time is named. Modules inside this one (test/interop) and testdata are not
// read.
package lint
