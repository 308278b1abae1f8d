// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package vfs

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestNextDataErrors: an error of the device is none of a file system that does
// not know the request.
func TestNextDataErrors(t *testing.T) {
	file, err := OS().OpenFile(filepath.Join(t.TempDir(), "f"), os.O_RDWR|os.O_CREATE)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteAt([]byte("data"), 0); err != nil {
		t.Fatal(err)
	}
	f, ok := file.(*osFile)
	if !ok {
		t.Fatalf("%T", file)
	}
	for _, errno := range []syscall.Errno{syscall.EIO, syscall.ENOSPC, syscall.EDQUOT, syscall.ENOMEM} {
		_, err := f.nextData(0, func(int, int64, int64) (int64, error) { return 0, errno })
		if !errors.Is(err, errno) {
			t.Errorf("%v: got %v", errno, err)
		}
	}
	for _, errno := range []syscall.Errno{syscall.EOPNOTSUPP, syscall.ENOTTY, syscall.EINVAL, syscall.EBADR, syscall.ENOSYS} {
		at, err := f.nextData(0, func(int, int64, int64) (int64, error) { return 0, errno })
		if at != 0 || err != nil {
			t.Errorf("%v: got %d, %v", errno, at, err)
		}
	}
}
