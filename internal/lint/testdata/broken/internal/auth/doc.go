// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package auth is a part of the broken module.
package auth
