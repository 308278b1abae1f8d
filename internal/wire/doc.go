// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package wire reads and writes the frames of RocketMQ's remoting protocol.
//
// It is pure: it knows no socket, file, clock or goroutine. Package remoting
// carries its frames, wire/header gives the extension fields of each command
// types, wire/body the JSON bodies.
//
// # The frame
//
// All integers are big-endian.
//
//	+--------+-------------------------------+----------------+-----------------+
//	| int32  | int32                         | header         | body            |
//	| length | encoding<<24 | header length  | header length  | the rest        |
//	+--------+-------------------------------+----------------+-----------------+
//	         |<------------------------- length -------------------------------->|
//
// The length does not count itself. Encoding 0 is JSON, 1 is ROCKETMQ (binary).
// An answer has the encoding of its request.
//
// A JSON header is an object with the names code, extFields, flag, language,
// opaque, remark, serializeTypeCurrentRPC and version; a binary one is laid out
// as binary.go shows. The format is that of RemotingCommand and
// RocketMQSerializable in Apache RocketMQ 4.9.8.
//
// # Invariants
//
//   - [Decoder.Decode] never panics, whatever its input, and every error is a
//     [*FormatError] that names the part and the offset in the frame.
//   - The field names in a decoded [Command] are unique: where a header repeats a
//     name, the last value counts, as in Java's map.
//   - Unknown extension fields are kept, because signatures cover them; unknown
//     names at the top of a JSON header are checked and dropped.
//   - Decoding into a used [Command] with a used [Decoder], and writing to a
//     buffer with room, allocate nothing.
//
// # What it refuses
//
// Frames and headers above [MaxFrame] and [MaxHeader], more than
// [MaxExtFields] fields, names longer than [MaxFieldName] (the binary header
// could not carry them), a header that does not fill its stated length, unknown
// encodings, malformed JSON, numbers outside 32 bits at the top of a header.
package wire
