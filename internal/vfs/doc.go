// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package vfs is the part of a file system that a message store needs, as an
// interface with two implementations.
//
//   - OS is the real one. It is written for Linux (fallocate, fdatasync,
//     SEEK_DATA, mmap, OFD locks, statfs). On other systems the package builds, and
//     OS fails with errors.ErrUnsupported until someone writes it for that system.
//   - Mem keeps everything in memory and is an ordinary citizen of tests. It
//     knows which bytes and which names a power cut would take away, it can be
//     killed or crashed at any operation, it runs out of space, and it fails on
//     demand. It works on every system.
//
// One conformance suite runs against both.
//
// # Durability
//
// A write is visible to every reader and every Mapping at once, and survives
// the death of the process. It survives a power cut only after a successful
// Sync of the file. A name (create, rename, remove, MkdirAll) survives a power
// cut only after a successful SyncDir of the directory that holds it. Sync of a
// file says nothing about its name, and SyncDir nothing about contents. Names
// changed by one Rename inside one directory survive together or not at all.
//
// SyncAll of a Syncer is all of those at once, for all of a file system, and is
// the quicker way from about ten changed files on (ext4: 64 files 0.9 ms against
// 5 to 8, 4096 files 56 ms against 170 to 450). The price is that it writes what
// others have changed on the same file system, and that their lost writes are
// reported as if they were ours. OS has it where the kernel is known to report
// what was lost: Linux 5.8, on ext2 to ext4, XFS, Btrfs, F2FS and tmpfs.
//
// After a failed Sync or SyncAll the unsynced bytes are in doubt for good: a later Sync
// that succeeds does not cover them. Treat a failed Sync as the end of writing
// to that file.
//
// # On disk
//
// The package itself writes two kinds of file: the lock file, which holds the
// four bytes "lock" as Apache RocketMQ's does, and for ReplaceFile the trio
// name, name.bak (the content before the last replacement) and name.tmp (an
// unfinished one, which may be deleted at any time). ReplaceSecret writes name and
// name.tmp only.
//
// # Lock order
//
// Mem has one lock for the tree and one for each file; the tree's is taken
// first. Fault functions run with no lock held.
//
// # What it refuses
//
// O_APPEND and every flag other than O_RDONLY, O_WRONLY, O_RDWR, O_CREATE,
// O_EXCL and O_TRUNC; opening a directory as a file; mapping past the end of a
// file; writable mappings.
package vfs
