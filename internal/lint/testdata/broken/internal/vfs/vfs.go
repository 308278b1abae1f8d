// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package vfs

import (
	_ "example.com/broken/internal/lifecycle"
	_ "example.com/broken/internal/wire"
)
