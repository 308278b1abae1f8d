// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package vfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// tellingFS are the file systems whose syncfs is known to cover contents and
// names and to report what could not be written. On those that lie on others
// (overlayfs, FUSE, NFS) an error may stay below.
var tellingFS = map[uint64]bool{
	unix.EXT4_SUPER_MAGIC:  true, // ext2 and ext3 too
	unix.XFS_SUPER_MAGIC:   true,
	unix.BTRFS_SUPER_MAGIC: true,
	unix.F2FS_SUPER_MAGIC:  true,
	unix.TMPFS_MAGIC:       true,
}

// Syncer opens dir and keeps it open: syncfs reports what could not be written
// since then, even if somebody else has been told meanwhile. It does so from
// Linux 5.8 on.
func (osFS) Syncer(dir string) (Syncer, error) {
	var st unix.Statfs_t
	if err := retry(func() error { return unix.Statfs(dir, &st) }); err != nil {
		return nil, &fs.PathError{Op: "statfs", Path: dir, Err: err}
	}
	if kind := uint64(uint32(st.Type)); !tellingFS[kind] {
		return nil, &fs.PathError{Op: "syncfs", Path: dir, Err: fmt.Errorf("%w on a file system of type %#x", errors.ErrUnsupported, kind)}
	}
	release, err := kernel()
	if err != nil {
		return nil, &fs.PathError{Op: "uname", Path: dir, Err: err}
	}
	if !tells(release) {
		return nil, &fs.PathError{Op: "syncfs", Path: dir, Err: fmt.Errorf("%w by Linux %s", errors.ErrUnsupported, release)}
	}
	f, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	return osSyncer{f}, nil
}

func kernel() (string, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", err
	}
	return unix.ByteSliceToString(u.Release[:]), nil
}

// tells reports whether a release of Linux is 5.8 or later.
func tells(release string) bool {
	var major, minor int
	n, _ := fmt.Sscanf(release, "%d.%d", &major, &minor) // n says how far it went
	return n == 2 && (major > 5 || major == 5 && minor >= 8)
}

type osSyncer struct{ f *os.File }

func (s osSyncer) SyncAll() error { return control(s.f, "syncfs", unix.Syncfs) }
func (s osSyncer) Close() error   { return s.f.Close() }
