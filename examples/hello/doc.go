// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Command hello sends a message and consumes it.
//
// docs/quickstart.md runs it.
package main
