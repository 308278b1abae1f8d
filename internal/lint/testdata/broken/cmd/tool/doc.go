// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

// Command tool is a main package.
package main

func main() {}
