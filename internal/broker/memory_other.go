// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package broker

// memory is taken for the machine's, in bytes.
func memory() int64 { return unknownMemory }
