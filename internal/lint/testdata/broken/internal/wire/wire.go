// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	_ "example.com/broken/internal/vfs"
	_ "example.com/broken/internal/wire/header"
	_ "golang.org/x/sys/unix"
	_ "net/http"
	_ "sync"
)
