// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !race

package client

const raceEnabled = false
