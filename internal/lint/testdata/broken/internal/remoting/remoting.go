// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package remoting

import (
	_ "example.com/broken/internal/store"
	_ "example.com/broken/internal/wire"
)

func serve() { go serve() }
