// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package shop runs examples/shop under chaos, on each database, and breaks it, to
// see that its books notice.
package shop
