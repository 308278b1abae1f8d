// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Command twostage is all of Twostage in one binary: the server, and the tools to
// look after it. `twostage help` lists its commands.
package main
