// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Package main has a comment that is not a command's.
package main

func main() {}
