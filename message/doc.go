// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package message holds what a RocketMQ message is: the names of its
// properties, its flags, its identifiers, and the bytes it has in the commit
// log, in a pull answer and in a batch.
//
// Applications use [Message] (what they send) and [Received] (what they get).
// Brokers and tools use [Record], the stored form, whose codec does not
// allocate.
//
// # Bytes
//
// The package owns four formats, each drawn beside its codec:
//
//   - the record (record.go): versions 1 and 2, IPv4 and IPv6 hosts, the CRC
//     that may end it (record_crc.go), and the blank marker that ends a commit
//     log file;
//   - the properties text (properties.go);
//   - the body of a batch (batch.go);
//   - the two message ids (offsetid.go, uniquekey.go).
//
// All integers are big endian. The formats are those of Apache RocketMQ 4.9.8;
// record version 2 (long topic names) and the CRC over all of a record are those
// of 5.x. Tests compare them byte
// for byte with stores recorded from Apache RocketMQ 4.9.8.
//
// # Invariants
//
//   - Decoding never panics, and a decoded slice never reaches past the record
//     or batch member it came from.
//   - Whatever DecodeRecord accepts with version 1 or 2, AppendRecord can write
//     again. The bytes are equal when the record was written by RocketMQ or by
//     this package.
//   - Of two properties with one name the last one counts, as in RocketMQ.
//
// # What it refuses
//
// Nothing here opens a file or a connection, and the only clock is the function
// given to NewIDGenerator. Bodies are stored as they came: Inflate knows zlib
// (compression types 0 and 3), while lz4 and zstd are only named, because their
// codecs would be dependencies of everybody who imports this package.
//
// A property PropertyCRC32 at the end of a record is taken for its CRC, whoever
// has written it: who stores records that others made calls PatchCRC.
//
// Functions without a receiver and methods that only read may be called from
// any number of goroutines. Message, Received and Properties have no lock: one
// goroutine at a time may change them.
package message
