// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package header

import (
	_ "example.com/broken/internal/vfs"
	_ "example.com/broken/internal/wire"
	_ "example.com/broken/internal/wire/body"
	_ "example.com/broken/message"
)
