// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// This says something else.
package rpc
