// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"io"
	"io/fs"
	"syscall"
	"testing"
)

// What the medium does not give counts as damaged in the end, so that nobody waits
// for it for ever; what only this process can't have now never does.
func TestWhatCanNeverBeRead(t *testing.T) {
	for err, want := range map[error]bool{
		syscall.EIO: true, io.ErrUnexpectedEOF: true, fs.ErrNotExist: true, syscall.ENOENT: true,
		syscall.EMFILE: false, syscall.ENFILE: false, syscall.ENOMEM: false, syscall.EINTR: false, fs.ErrClosed: false,
	} {
		if unreadable(fmt.Errorf("reading: %w", err)) != want {
			t.Errorf("%v is permanent: %t", err, !want)
		}
	}
}
