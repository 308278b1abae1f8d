// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// allocated is how many bytes of the disk a file takes.
func allocated(path string) (int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, fmt.Errorf("%s: the system does not say how many blocks it takes", path)
	}
	return st.Blocks * 512, nil
}

// lockHeld tells whether a broker holds the lock file, without taking it.
func lockHeld(path string) (bool, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	lock := unix.Flock_t{Type: unix.F_WRLCK, Len: 1}
	err = unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &lock)
	if err != nil {
		err = fmt.Errorf("who holds %s: %w", path, err)
	}
	return lock.Type != unix.F_UNLCK, errors.Join(err, f.Close())
}
