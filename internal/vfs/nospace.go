// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package vfs

import (
	"io/fs"
	"strings"
	"syscall"
)

// NoSpace tells whether an operation failed for want of space or quota (ENOSPC,
// EDQUOT) and for no other reason, so that nothing is in doubt and it may be
// tried again. It is false for what a sync or a close says, which may be about
// bytes that were written before, and for errors joined of which one is of
// another kind. An error with a text of its own must wrap a single one.
func NoSpace(err error) bool {
	switch e := err.(type) {
	case nil:
		return false
	case syscall.Errno:
		return e == syscall.ENOSPC || e == syscall.EDQUOT
	case *fs.PathError:
		// sync, syncdir, syncfs, syncall
		return e.Op != "close" && !strings.HasPrefix(e.Op, OpSync.String()) && NoSpace(e.Err)
	case interface{ Unwrap() error }:
		return NoSpace(e.Unwrap())
	case interface{ Unwrap() []error }:
		list := e.Unwrap()
		for _, err := range list {
			if !NoSpace(err) {
				return false
			}
		}
		return len(list) > 0
	}
	return false
}
