// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package commitlog is the log that holds every record of a store, one after
// the other, cut into files of one size (package segment names them).
//
//	file 0                                file 1
//	|rec|rec|rec|...|rec|blank|undefined| |rec|rec|...|rec| zeros ...  |
//	^0                                   ^FileSize         ^End       ^file end
//
// A record never crosses a file end. When a record and the 8 bytes of a blank
// marker do not both fit in what is left of a file, the marker goes there
// ({i32 bytes left, i32 0xCBD43194}) and the record starts the next file.
// Formats: CommitLog and MessageExtEncoder of Apache RocketMQ 4.9.8, drawn in
// package message.
//
// # Owns on disk
//
// The directory of the log (written with pwrite, every file reserved in full
// before its first byte) and the directory for damaged bytes.
//
// # Invariants
//
//   - One writer: Write and Roll are called by one goroutine at a time.
//   - Bytes below End never change. End only moves after the bytes are written,
//     so whoever has loaded End may read everything below it.
//   - A record's physicalOffset is its position. Recovery uses that to tell a
//     record from bytes that only look like one.
//   - Everything between End and the end of the last file is zero, so that old
//     bytes are never taken for records after a crash.
//   - After a failed write or fsync the log takes no more writes, ever: what the
//     kernel has done with the dirty pages is unknown (Err tells the cause).
//   - Files are removed from the front alone, never the last one (Trim), and only
//     what is durable. Who holds a reference keeps what it has.
//   - This package never reads a mapping. Mappings are handed out for writev; what
//     this package itself reads it reads with pread, so that a medium error is
//     an error and no signal.
//
// # Recovery
//
// Recover walks the records from a given start. A record counts when its magic,
// its size, its position and the CRC of its body are right, and when no sector
// of its properties is all zeros (a power cut's trace that no CRC tells). One
// that ends with a CRC of all of it (message.PropertyCRC32) is judged by that
// instead. At the first position where that fails it looks further, to the end
// of all files, for a record that counts. If there is one, the bytes in between
// are damaged: they are copied to the damage directory, reported and skipped,
// and the walk goes on behind them. If there is none, the log ends here: what
// follows is zeroed and later files are removed.
//
// A record that counts, but whose queue id, queue offset or store timestamp is
// negative, or whose store timestamp is beyond Options.Newest, was written in
// whole and changed later: no CRC covers these. The same is said of one for which
// the visitor returns ErrImplausible. It is damage of just its size, also at the
// end of the log, and its timestamp is not taken for the log's.
//
// A read error stops recovery instead; nothing is
// cut because of it.
//
// A body may hold bytes that look like a record with just the position they
// have. They are only found if the record around them is damaged; that is
// accepted.
//
// # Locks
//
// Log.listMu guards the file list against concurrent changes (readers use the
// atomic pointer); Log.syncMu lets one fdatasync round run at a time;
// file.mu before pool.mu. None is held while a caller's function runs.
package commitlog
