// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package body has a Go type for each JSON body of RocketMQ's commands and for
// the JSON files under config/, and the one body that is not only JSON: the
// deflated registration of a broker.
//
// Type and field names are Java's, so that a body is found by the name that the
// protocol's sources give it; those of the transaction inspector are Twostage's
// own. Every type has [Unmarshal], [Marshal] and their kin; [RegisterBrokerBody]
// has its own pair for the deflated form. The JSON is fastjson's dialect (see
// wire/fastjson); only the route (105), to clients that ask for it, and the
// inspector's bodies are written as standard JSON.
//
// # What is written
//
// Names and keys in ascending order, so equal values give equal bytes. A field
// that only 5.x knows is written only when it has a value, so that what 4.9
// clients and tools see is what a 4.9 broker would send. Java leaves null fields
// out and writes empty sets as []: so do we, with nil slices and maps counting as
// empty.
//
// # What is read
//
// The forms of 4.9 and 5.x, of Java, Go and C++ clients. Unknown fields are
// skipped. An absent field has the value that Java's class gives it, for instance
// perm 6 in a [TopicConfig]. C++ clients send subVersion as a string, Go clients
// the elements of codeSet, and enums may come as ordinals: fastjson takes all
// three, so do we. Anything else of a wrong type is an error that names the field.
//
// # What it refuses
//
// Bodies over the limits of their kind (see [Unmarshal]), an empty body, a body
// that is not an object, null for a table's entry, an enum ordinal out of range,
// and for registrations a wrong checksum and more than [MaxInflated] bytes behind
// the deflated form.
//
// The package knows no socket, file, clock or goroutine. Its values are plain
// data: whoever shares one between goroutines guards it.
package body
