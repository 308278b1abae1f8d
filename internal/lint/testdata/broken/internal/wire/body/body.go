// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package body

import (
	_ "example.com/broken/internal/wire"
	_ "example.com/broken/internal/wire/fastjson"
)
