// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package route

import (
	_ "example.com/broken"
	_ "example.com/broken/internal/nosuch"
)
