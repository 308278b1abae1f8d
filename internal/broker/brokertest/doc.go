// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package brokertest is what the tests of the broker and of its parts share. It owns
// nothing, and only tests import it.
package brokertest
