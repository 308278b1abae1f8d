// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package rig is what the black-box tests in test/ share: waiting for a
// condition with a limit, a client, draining a queue by pulls, and reading what
// a server process says of itself (memory, metrics).
//
// It owns nothing on disk, and the servers it looks at belong to the tests.
// Only tests import it. Every wait has a limit, far above what is needed, and
// names what it waited for when it fails.
package rig
