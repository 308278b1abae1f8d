// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package commitlog

import (
	_ "example.com/broken/internal/remoting"
	_ "example.com/broken/internal/store"
	_ "example.com/broken/internal/store/segment"
	_ "example.com/broken/internal/wire"
	_ "github.com/some/module"
)

func run() { go run() }
