// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package util is not what its directory says.
package util
