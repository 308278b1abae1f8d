// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package interop holds no code, only tests: the official RocketMQ client for Go,
// unmodified, against the real binary. It is a module of its own, so that the
// client's dependencies stay out of Twostage's.
//
// Cases run side by side on one server, each with topics and groups of its own,
// because the client refreshes routes only every 30 seconds and takes one-second
// pauses of its own; a case that stops its server has one to itself. What is to be
// killed, or is to be another process, is this test binary in another role
// (process_test.go, killed_test.go). What the client has no call for, and what it
// only reacts to, is asked in frames of our own (raw_test.go).
//
// The binary is that of the environment variable TWOSTAGE_BIN.
package interop
