// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package store

import "syscall"

// errCorrupt stands for Linux's EUCLEAN, for which other systems have no error of
// their own.
const errCorrupt = syscall.EIO
