// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package session has its comment elsewhere.
package session
