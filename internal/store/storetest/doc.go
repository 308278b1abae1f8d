// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package storetest is what the tests of the store's parts share: changing files
// as disks and stray writers do (Mutate), and a reading of the log that owes
// nothing to the store's own (Sound), so that the two can be compared.
//
// It owns nothing and touches no file: it works on bytes in memory. Only tests
// import it.
package storetest
