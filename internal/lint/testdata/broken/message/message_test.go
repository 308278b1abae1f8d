// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package message

import (
	_ "example.com/broken/client"
	_ "example.com/broken/internal/store"
	_ "os"
)

func start() { go start() }
