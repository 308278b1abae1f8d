// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import "syscall"

// errCorrupt is what a file system says whose own structures are damaged.
const errCorrupt = syscall.EUCLEAN
