// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package header gives the extension fields of each request and answer a type.
//
// Every type has DecodeExt, which reads the fields of a decoded command, and
// EncodeExt, which writes them. The names and which of them are required are
// those of the header classes of Apache RocketMQ 4.9.8 (package
// org.apache.rocketmq.common.protocol.header) and, for fields that came later,
// of 5.x. [Request] and [Response] find the type by the request code.
//
// # Invariants
//
//   - DecodeExt sets every field of its type: nothing is left from an earlier use.
//   - A required field that is absent, and a number that is none, is an [*Error]
//     that names header and field. An empty value of a number counts as absent,
//     because the binary encoding does not tell the two apart.
//   - A value is true if it is the word true in any case, else false, as in Java.
//   - Fields that no type names (signatures, ReqT, bname, trace context) are
//     ignored here; they stay in the command.
//   - EncodeExt leaves optional fields out that are empty or say nothing, and
//     writes a zero value of a type so that no receiver reads a choice into it.
//
// The types of the send and the pull path ([SendRequest], [PullRequest] and
// their answers) hold byte slices that alias the command, and decode and encode
// without allocation. The others copy what they keep.
//
// The package owns no state and knows no I/O; a header belongs to one goroutine.
package header
