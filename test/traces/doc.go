// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package traces follows messages through the real binary by their spans: a
// collector in the test takes what the server sends by OTLP over HTTP, and the
// spans of a message, sent by package client and consumed by pull, by pop and
// after its transaction's commit, hang together.
package traces
