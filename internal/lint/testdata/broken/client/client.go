// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	_ "example.com/broken/internal/broker/topic"
	_ "example.com/broken/internal/remoting"
	_ "example.com/broken/internal/store"
	_ "example.com/broken/internal/wire"
	_ "github.com/klauspost/compress/zstd"
	_ "github.com/pierrec/lz4/v4"
	_ "github.com/some/module"
)
