// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	_ "example.com/broken/internal/broker"
	_ "example.com/broken/internal/replica"
	_ "example.com/broken/internal/store/commitlog"
	_ "example.com/broken/internal/vfs"
	_ "example.com/broken/internal/wire/header"
	_ "example.com/broken/message"
)

func run() { go run() }
