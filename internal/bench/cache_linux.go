// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// DropCaches has the kernel write what is dirty and forget what it caches of all
// files of the machine. Pages that a process has mapped and touched stay. Only
// root may, and no container that is not privileged.
func DropCaches() error {
	return dropCaches("/proc/sys/vm/drop_caches", unix.Sync)
}

func dropCaches(file string, sync func()) error {
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err == nil {
		sync() // first: what is dirty is not forgotten
		_, err = f.WriteString("3\n")
		err = errors.Join(err, f.Close())
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrPermission), errors.Is(err, unix.EROFS):
		return fmt.Errorf("bench: dropping the page cache: %w: it takes root, outside of a container or in a privileged one", err)
	}
	return fmt.Errorf("bench: dropping the page cache: %w", err)
}
