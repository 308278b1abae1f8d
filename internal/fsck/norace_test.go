// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !race

package fsck

// stride is how many operations lie between two at which a run is stopped.
const stride = 1
