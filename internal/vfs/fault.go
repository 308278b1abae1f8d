// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package vfs

import "fmt"

// Op names an operation to a fault function.
type Op uint8

// The operations, after the methods of FS and File.
const (
	OpOpen Op = iota + 1
	OpMkdirAll
	OpRemove
	OpRemoveAll
	OpRename // name is the old name
	OpReadDir
	OpStat
	OpSyncDir
	OpSyncAll // name is the directory of the Syncer
	OpLock
	OpUsage
	OpRead
	OpWrite
	OpSize
	OpTruncate
	OpSync
	OpPreallocate
	OpNextData // NextHole too
	OpMap
)

var opNames = [...]string{
	OpOpen: "open", OpMkdirAll: "mkdir", OpRemove: "remove", OpRemoveAll: "removeall", OpRename: "rename",
	OpReadDir: "readdir", OpStat: "stat", OpSyncDir: "syncdir", OpSyncAll: "syncall", OpLock: "lock", OpUsage: "usage", OpRead: "read",
	OpWrite: "write", OpSize: "size", OpTruncate: "truncate", OpSync: "sync", OpPreallocate: "preallocate",
	OpNextData: "seek", OpMap: "mmap",
}

// String returns the word that errors use for op.
func (op Op) String() string {
	if int(op) < len(opNames) && opNames[op] != "" {
		return opNames[op]
	}
	return fmt.Sprintf("Op(%d)", uint8(op))
}

// Changes reports whether op can change what is on disk or what is durable.
// OpOpen counts, since it may create and truncate.
func (op Op) Changes() bool {
	switch op {
	case OpReadDir, OpStat, OpUsage, OpRead, OpSize, OpNextData, OpMap:
		return false
	}
	return true
}

// ShortWrite is what a fault function returns to make a write stop after N
// bytes with Err.
type ShortWrite struct {
	N   int
	Err error
}

func (e *ShortWrite) Error() string { return fmt.Sprintf("after %d bytes: %v", e.N, e.Err) }

// Unwrap returns Err.
func (e *ShortWrite) Unwrap() error { return e.Err }
